"""Bounded concurrency, and the order of each room and each client through random failures (CONTRACT section 7)."""

from __future__ import annotations

import random
from collections.abc import Iterator
from math import inf

import pytest

from .harness.node_client import Node
from .harness.receiver import CLOSE, RESET, Answer, Event, Receiver, Receivers, Request
from .harness.server import Server, Servers
from .harness.shapes import check_ack, unique
from .harness.webhooks import hooked, said

FLAKY = {"schedule": ["20ms"] * 200, "jitter": 0.5}
TARGETS = {
    "single": {"retry": FLAKY, "concurrency": 4},
    "batched": {"retry": FLAKY, "concurrency": 4, "batch": {"max_events": 7, "max_wait": "20ms"}},
    "one": {"concurrency": 1, "events": ["message-broadcast"]},
    "three": {"concurrency": 3, "events": ["message-broadcast"]},
}


@pytest.fixture(scope="module")
def targets(module_receivers: Receivers) -> dict[str, Receiver]:
    """A receiver for each target."""
    return {name: module_receivers.open() for name in TARGETS}


@pytest.fixture(scope="module")
def server(targets: dict[str, Receiver], module_servers: Servers) -> Server:
    """A server with all of them."""
    return module_servers.serve(
        hooked(*(targets[name].target(name, **more) for name, more in TARGETS.items()))
    )


def moody(seed: int):
    """Fails a third of the requests, in every way, and takes its time over others."""
    chance = random.Random(seed)

    def answer(_: Request) -> Answer:
        roll = chance.random()
        if roll < 0.35:
            return chance.choice([Answer(500), Answer(404), Answer(302), RESET, CLOSE])
        return Answer(after=chance.uniform(0, 0.02) if roll < 0.6 else 0)

    return answer


def keys(event: Event) -> set[str]:
    """The room and the client that an event is about."""
    data = event.data
    about = {f"client {data[key]}" for key in ("client_id", "sender") if key in data}
    return about | ({f"room {data['room']}"} if data.get("room") else set())


def walk(receiver: Receiver) -> Iterator[tuple[Request, Event]]:
    """Every event of every attempt, in the order of arrival."""
    for request in receiver.attempts():
        for event in request.events:
            yield request, event


def check_order(receiver: Receiver) -> None:
    """No event came while an earlier one of its room or client was neither acknowledged nor in the same request."""
    acknowledged: dict[str, float] = {}
    everything: dict[str, dict[int, str]] = {}
    for request, event in walk(receiver):
        for key in keys(event):
            everything.setdefault(key, {})[event.seq] = event.id
        if request.acknowledged and request.answered is not None:
            acknowledged.setdefault(event.id, request.answered)
    for request, event in walk(receiver):
        together = {other.id for other in request.events}
        for key in keys(event):
            for seq, earlier in everything[key].items():
                if seq < event.seq and earlier not in together:
                    in_time = acknowledged.get(earlier, inf) <= request.begun
                    assert in_time, f"{key}: {event.seq} came before {seq} was acknowledged"


@pytest.mark.parametrize("seed", [1, 2])
async def test_order(targets: dict[str, Receiver], server: Server, node: Node, seed: int):
    """Through random failures a target gets the events of each room, and of each client, in their order."""
    flaky = [targets["single"], targets["batched"]]
    for receiver in flaky:
        receiver.always(moody(seed))
    chance = random.Random(seed)
    rooms = [unique("lobby") for _ in range(3)]
    names = [unique("ada") for _ in range(5)]
    clients = [await node.connect(server.url, auth={"client_id": name}) for name in names]
    for client in clients:
        for room in rooms:
            check_ack("join", await client.emit("join", {"room": room}))
    for number in range(60):
        await said(chance.choice(clients), chance.choice(rooms), str(number))
    for client in clients[:2]:
        client.disconnect()
    check_ack("leave", await clients[2].emit("leave", {"room": rooms[0]}))
    for client in clients[2:]:
        client.disconnect()
    for receiver in flaky:
        for name in names:
            await receiver.event("client-disconnected", timeout=40, client_id=name)
        for room in rooms:
            await receiver.event("room-vacated", timeout=40, room=room)
            talk = receiver.find("message-broadcast", room=room)
            numbers = [int(event.data["message"]) for event in talk]
            assert numbers == sorted(numbers)
            assert [event.data["offset"] for event in talk] == list(range(1, len(talk) + 1))
        receiver.always(Answer())
        check_order(receiver)


async def test_concurrency(targets: dict[str, Receiver], server: Server, node: Node):
    """A target never has more requests at once than `concurrency`, and it has as many when there is enough to do."""

    def until_full(target: Receiver, bound: int) -> None:
        # Who is alone waits for company, however slowly the machine sends it.
        target.always(lambda _: Answer(after=0.02 if target.peak >= bound else 1))

    until_full(targets["one"], 1)
    until_full(targets["three"], 3)
    for _ in range(15):
        room = unique("lobby")
        client = await node.member(server.url, room, unique("ada"))
        client.burst("chat", 3, room=room)
    for name, bound in (("one", 1), ("three", 3)):
        await targets[name].take(45, "message-broadcast")
        assert targets[name].peak == bound
