"""Kill -9 at random points of a running load: nothing that was acknowledged is lost (CONTRACT section 7).

`RTSERVER_KILLS=50 .venv/bin/pytest tests/acceptance/test_webhooks_kills.py` kills as often; by default it is a handful.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from .harness.node_client import Node, NodeClient
from .harness.receiver import OK, RESET, Answer, Event, Receiver, Request
from .harness.server import Server, Servers
from .harness.webhooks import check_rising, hooked

KILLS = int(os.environ.get("RTSERVER_KILLS", "6"))
TALKERS = 6
PATIENCE = 60.0
BACK = {"reconnection": True, "reconnectionDelay": 20, "reconnectionDelayMax": 50, "randomizationFactor": 0}
TARGETS = {"singles": {"concurrency": 8}, "batches": {"batch": {"max_events": 20, "max_wait": "20ms"}}}


class Load:
    """Clients that talk, come and go for as long as it runs, whatever becomes of the server."""

    def __init__(self, node: Node, url: str, chance: random.Random) -> None:
        self.sent: dict[str, asyncio.Future[list[Any]]] = {}
        self._node = node
        self._url = url
        self._chance = chance
        self._over = False
        self._clients: list[NodeClient] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Let them talk."""
        for number in range(TALKERS):
            client = await self._node.connect(self._url, auth={"client_id": f"talker-{number}"}, **BACK)
            self._clients.append(client)
            self._tasks.append(asyncio.create_task(self._talk(client, f"room-{number % 3}")))
        self._tasks.append(asyncio.create_task(self._come_and_go()))

    async def stop(self) -> None:
        """Let them finish, and say goodbye."""
        self._over = True
        await asyncio.gather(*self._tasks)
        for client in self._clients:
            client.disconnect()

    def acknowledged(self) -> dict[str, str]:
        """What was acknowledged: the text of each id."""
        acks = {text: future.result()[0] for text, future in self.sent.items() if future.done()}
        return {ack["id"]: text for text, ack in acks.items() if ack["ok"]}

    async def _talk(self, client: NodeClient, room: str) -> None:
        joined = 0
        while not self._over:
            if not client.connected:
                await asyncio.sleep(0.01)
                continue
            if joined != client.connects:
                joined = client.connects
                client.send("join", {"room": room})
            text = f"{client.c} {len(self.sent)}"
            event = self._chance.choice(["chat", "broadcast"])
            self.sent[text] = ack = client.start(event, {"room": room, "message": text, "echo": False})
            await asyncio.wait({ack}, timeout=0.2)

    async def _come_and_go(self) -> None:
        while not self._over:
            client = self._node.open(self._url, **BACK)
            with contextlib.suppress(AssertionError):
                await client.until_connected(timeout=1)
                client.send("join", {"room": "passing"})
                await asyncio.sleep(self._chance.uniform(0, 0.05))
            if self._chance.random() < 0.3:
                client.engine_close()
            client.disconnect()
            await asyncio.sleep(0.05)


def moody(chance: random.Random) -> Callable[[Request], Answer]:
    """Mostly good, sometimes late, and now and then a failure: there is always something pending."""

    def answer(_: Request) -> Answer:
        roll = chance.random()
        if roll < 0.1:
            return chance.choice([Answer(500), RESET])
        return Answer(after=chance.uniform(0, 0.01)) if roll < 0.5 else OK

    return answer


def again(server: Server) -> Server:
    """The same command once more."""
    return Server(server.argv, server.cwd, server.port)


async def killed_at_start(server: Server, after: float) -> None:
    """Start it once more, and kill it before, or about when, it is ready."""
    server = again(server)
    starting = asyncio.create_task(asyncio.to_thread(server.start))
    await asyncio.sleep(after)
    await asyncio.to_thread(server.kill)
    with contextlib.suppress(AssertionError, ValueError):  # it never said where it answers
        await starting


async def kill_and_restart(servers: Servers, server: Server, load: Load, chance: random.Random) -> Server:
    """Kill it at a random point after the first ack, sometimes its heir as well, and start it."""
    before = len(load.acknowledged())
    async with asyncio.timeout(PATIENCE):
        while len(load.acknowledged()) == before:
            await asyncio.sleep(0.005)
    await asyncio.sleep(chance.uniform(0, 0.8))
    await asyncio.to_thread(server.kill)
    if chance.random() < 0.3:
        await killed_at_start(server, chance.uniform(0.2, 1.2))
    return await asyncio.to_thread(servers.start, again(server))


def sessions(receiver: Receiver, type_: str) -> Counter[str]:
    """How often, by distinct webhook ids, each session was told of."""
    return Counter(event.data["session_id"] for event in receiver.find(type_))


def delivered(receiver: Receiver) -> dict[str, str]:
    """What was delivered: the text of each id."""
    return {event.data["id"]: event.data["message"] for event in receiver.find("message-broadcast")}


def numbered(events: list[Event]) -> dict[tuple[str, int, int], str]:
    """The id of each number."""
    numbers: dict[tuple[str, int, int], str] = {}
    for event in events:
        number = (event.data["node"], event.data["epoch"], event.seq)
        assert numbers.setdefault(number, event.id) == event.id, number
    return numbers


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest) -> dict[str, str]:
    """Where the outbox is."""
    if request.param == "sqlite":
        return {}
    return {"url": request.getfixturevalue("database")}


@pytest.mark.parametrize("how", list(TARGETS))
async def test_kills(receiver: Receiver, servers: Servers, node: Node, how: str, store: dict[str, str]):
    """Killed again and again, a server delivers all that it acknowledged, and lets go of everybody exactly once."""
    chance = random.Random(KILLS)
    target = receiver.target(how, **TARGETS[how])
    server = servers.serve(hooked(target, recovery={"grace": "200ms"}, store=store))
    receiver.always(moody(random.Random(KILLS)))
    load = Load(node, server.url, chance)
    await load.start()
    for _ in range((KILLS + 1) // len(TARGETS)):
        server = await kill_and_restart(servers, server, load, chance)
    await load.stop()
    receiver.always(OK)

    acknowledged = load.acknowledged()
    assert len(acknowledged) > 10 * KILLS // len(TARGETS)

    def lost() -> dict[str, str]:
        there = delivered(receiver)
        return {one: text for one, text in acknowledged.items() if one not in there}

    def unpaired() -> dict[str, int]:
        begun, ended = sessions(receiver, "client-connected"), sessions(receiver, "client-disconnected")
        return {one: begun[one] - ended[one] for one in {*begun, *ended} if begun[one] != ended[one]}

    await receiver.until(lambda: not lost(), lambda: f"what was acknowledged, {lost()},", PATIENCE)
    await receiver.until(lambda: not unpaired(), lambda: f"a goodbye of {unpaired()}", PATIENCE)
    await asyncio.to_thread(server.stop)

    told = delivered(receiver)
    assert acknowledged.items() <= told.items()
    assert set(told.values()) <= load.sent.keys()
    assert len(set(told.values())) == len(told)
    begun, ended = sessions(receiver, "client-connected"), sessions(receiver, "client-disconnected")
    assert begun == ended
    assert set(ended.values()) == {1}
    reasons = Counter(event.data["reason"] for event in receiver.find("client-disconnected"))
    assert reasons["node_lost"] >= TALKERS
    numbered(receiver.distinct())
    for number in range(3):
        events = receiver.find("message-broadcast", room=f"room-{number}")
        if not store:
            check_rising(events, f"room-{number}")
        # Where nodes share the store, a dead one is noticed later than its successor begins.
        for epoch in {event.data["epoch"] for event in events}:
            check_rising([event for event in events if event.data["epoch"] == epoch], f"room-{number}")
