"""Connection state recovery with the stock client behind a line that is cut at random (CONTRACT section 5)."""

from __future__ import annotations

import asyncio
import os
import random
from typing import Any

import pytest
import yaml

from .harness.line import Line, line
from .harness.node_client import TRANSPORTS, Node, NodeClient, until
from .harness.server import COMMON, Server, Servers, command, free_port, merged
from .harness.shapes import SECRET, check_ack, token, unique

# Stock clients notice by their own timeout only when the line dies between the handshake of WebSocket and our OPEN.
BACK = {
    "timeout": 800,
    "reconnection": True,
    "reconnectionDelay": 20,
    "reconnectionDelayMax": 60,
    "randomizationFactor": 0.5,
}
ROUNDS = int(os.environ.get("RECOVERY_RUNS", "200" if os.environ.get("CI") else "24"))
AT_ONCE = 8
# A stock client that is cut in the middle of an upgrade may not notice before pings fail to come.
PINGS = {"ping_interval": "2s", "ping_timeout": "2s"}
SEED = int(os.environ.get("RECOVERY_SEED", "6"))

APP = """
from rtserver import create_app
from rtserver.fanout import Message

app = create_app("config.yaml")


@app.sio.on("text")
async def text(sid, data):
    # Strings at the end of everything that is sent: kept, to one client, and volatile.
    await app.sio.emit("kept", "a string", room=data["room"])
    await app.sio.emit("direct", ("two", "strings"), to=sid)
    app.node.signal(data["room"], Message("passing", "not an offset"))
    return {"ok": True}
"""


@pytest.fixture(scope="module")
def steady(module_servers: Servers) -> Server:
    """A server that holds lost clients for long."""
    return module_servers.serve({"recovery": {"grace": "10s"}, "engine": PINGS})


@pytest.fixture(scope="module")
def forgetful(module_servers: Servers) -> Server:
    """A server with a short grace and a short memory: both answers come up."""
    return module_servers.serve({"recovery": {"grace": "100ms", "max_messages": 25}, "engine": PINGS})


async def behind(line: Line, node: Node, client_id: str, **more: Any) -> NodeClient:
    """A client behind the line, which comes back by itself."""
    return await node.connect(line.url, auth={"client_id": client_id}, **{**BACK, **more})


async def outage(wire: Line, client: NodeClient, *, half: bool = False) -> None:
    """Cut the line, and let nobody through until `wire.down` is false again.

    Without that a poll that was cut may be sent again by Node.js, and the client never hears that anything happened.
    """
    wire.down = True
    wire.cut(half=half)
    await client.until_disconnected()


async def answers(client: NodeClient) -> bool:
    """Whether the server hears it."""
    try:
        return bool((await client.emit("ping", {}, timeout=0.5))["pong"])
    except AssertionError:
        return False


async def messages(client: NodeClient, count: int) -> list[str]:
    """The next chat messages' texts."""
    return [payload["message"] for payload in await client.take("chat", count)]


async def test_recovered(steady: Server, node: Node, transports: str):
    """`socket.recovered` of the stock client is true, its id stays, it is in its rooms, and nothing was missed."""
    room, who = unique("r"), unique("bob")
    ada = await node.member(steady.url, room, unique("ada"))
    async with line(steady.port) as wire:
        bob = await behind(wire, node, who, transports=transports)
        check_ack("join", await bob.emit("join", {"room": room}))
        sid = bob.sid
        await outage(wire, bob)
        for number in range(3):
            check_ack("chat", await ada.emit("chat", {"room": room, "message": f"missed {number}"}))
        check_ack("private", await ada.emit("private", {"to": who, "message": "psst"}))
        wire.down = False
        await bob.until_reconnected()
        assert (bob.recovered, bob.sid) == (True, sid)
        assert await messages(bob, 3) == ["missed 0", "missed 1", "missed 2"]
        assert (await bob.next("private"))["message"] == "psst"
        assert check_ack("rooms", await bob.emit("rooms"))["rooms"] == [room]
        assert len([event for event, _ in bob.events if event == "welcome"]) == 1
    await ada.none("user_left")


async def test_half_open(steady: Server, node: Node, transports: str):
    """A client that is back before the server noticed anything takes its own place: once present, nothing missed."""
    room, who = unique("r"), unique("bob")
    ada = await node.member(steady.url, room, unique("ada"))
    async with line(steady.port) as wire:
        bob = await behind(wire, node, who, transports=transports)
        check_ack("join", await bob.emit("join", {"room": room}))
        await outage(wire, bob, half=True)
        check_ack("chat", await ada.emit("chat", {"room": room, "message": "into the void"}))
        wire.down = False
        await bob.until_reconnected()
        assert bob.recovered
        assert await messages(bob, 1) == ["into the void"]
        ack = check_ack("presence", await ada.emit("presence", {"room": room}))
        assert {m["client_id"]: m["connections"] for m in ack["members"]}[who] == 1
    await ada.none("user_left")


async def test_heard_nothing(steady: Server, node: Node):
    """A client that heard nothing at all since it connected recovers."""
    async with line(steady.port) as wire:
        bob = await behind(wire, node, unique("bob"))
        sid = bob.sid
        for cuts in range(3):
            wire.cut()
            await bob.until_reconnected(cuts + 2)
            assert (bob.recovered, bob.sid) == (True, sid)


async def test_cut_in_the_handshake(steady: Server, node: Node):
    """Wherever in the handshake, or in what follows it, the line is cut: the client gets in, and its welcome once."""
    async with line(steady.port) as wire:
        for size in range(1, 1200, 45):
            wire.cut_after(size)
            bob = node.open(wire.url, auth={"client_id": unique("bob")}, **BACK)
            await bob.until(lambda bob=bob: bob.connected, "connect")
            wire.left = None
            # The line may be about to be cut even so.
            await until(lambda bob=bob: answers(bob), bool)
            welcomes = [args for event, args in bob.events if event == "welcome"]
            assert len(welcomes) == len({args[0]["sid"] for args in welcomes})
            assert welcomes[-1][0]["sid"] == bob.sid
            bob.forget()


async def test_strings(servers: Servers, node: Node, transports: str):
    """Events that end in strings of their own confuse nobody."""
    where = servers.directory()
    (where / "my_app.py").write_text(APP)
    port = free_port()
    config = merged(COMMON, {"server": {"port": port}, "recovery": {"grace": "10s"}, "engine": PINGS})
    (where / "config.yaml").write_text(yaml.safe_dump(config))
    server = servers.start(Server([*command(), "serve", "--app", "my_app:app"], where, port))
    room = unique("r")
    ada = await node.member(server.url, room, unique("ada"))
    async with line(server.port) as wire:
        bob = await behind(wire, node, unique("bob"), transports=transports)
        check_ack("join", await bob.emit("join", {"room": room}))
        for cuts in range(2):
            await bob.emit("text", {"room": room})
            await bob.sync()
            await outage(wire, bob)
            wire.down = False
            await bob.until_reconnected(cuts + 2)
            assert bob.recovered
        await outage(wire, bob)
        await ada.emit("text", {"room": room})
        wire.down = False
        await bob.until_reconnected(4)
        assert bob.recovered
        await bob.sync()
        kept = [args[:-1] for event, args in bob.events if event == "kept"]
        assert kept == [["a string"]] * 3
        assert [args[:-1] for event, args in bob.events if event == "direct"] == [["two", "strings"]] * 2
        assert [args for event, args in bob.events if event == "passing"] == [["not an offset", None]] * 2


async def test_refused_meanwhile(servers: Servers, node: Node):
    """A client whose token ran out is refused, and recovers with a new one: the attempt cost it nothing."""
    config = {"auth": {"mode": "required", "jwt": {"secret": SECRET}}, "recovery": {"grace": "10s"}}
    server = servers.serve(config)
    room, who = unique("r"), unique("bob")
    ada = await node.connect(server.url, auth={"token": token(unique("ada"))})
    check_ack("join", await ada.emit("join", {"room": room}))
    async with line(server.port) as wire:
        bob = await node.connect(wire.url, auth={"token": token(who)}, **BACK)
        check_ack("join", await bob.emit("join", {"room": room}))
        bob.authorize({"token": "expired"})
        wire.cut()
        assert (await bob.until_refused()).message == "unauthorized"
        check_ack("chat", await ada.emit("chat", {"room": room, "message": "missed"}))
        bob.authorize({"token": token(who)})
        bob.reconnect()
        await bob.until_reconnected()
        assert bob.recovered
        assert await messages(bob, 1) == ["missed"]


async def test_after_a_restart(servers: Servers, node: Node):
    """Another run of the server recovers nothing, and says so."""
    where = servers.directory()
    server = servers.serve(cwd=where)
    bob = await node.connect(server.url, **BACK)
    sid = bob.sid
    server.kill()
    await bob.until_disconnected()
    servers.serve(cwd=where, port=server.port)
    await bob.until_reconnected()
    assert not bob.recovered
    assert bob.sid != sid


async def test_history_after_a_restart(servers: Servers, node: Node):
    """An offset from before a restart is never taken for one of this run, however much was said since."""
    where = servers.directory()
    server = servers.serve(cwd=where)
    bob = await node.member(server.url, "r", unique("bob"))
    last = 0
    for number in range(3):
        ack = check_ack("chat", await bob.emit("chat", {"room": "r", "message": f"old {number}"}))
        last = ack["offset"]
    bob.forget()
    server.kill()
    again = servers.serve(cwd=where, port=server.port)
    ada = await node.member(again.url, "r", unique("ada"))
    for number in range(5):
        check_ack("chat", await ada.emit("chat", {"room": "r", "message": f"new {number}"}))
    ack = check_ack("join", await ada.emit("join", {"room": "r", "since": last}))
    assert ack["recovered"] is False
    assert ack["offset"] > last + 5
    assert (await ada.emit("history", {"room": "r", "since": last}))["complete"] is False
    assert (
        check_ack("join", await ada.emit("join", {"room": "r", "since": ack["offset"] - 2}))["recovered"]
        is True
    )


# --- at random ------------------------------------------------------------------------------------------------------


class Talk:
    """One run: somebody talks while the other's line is cut at random; then the other's story is judged."""

    def __init__(self, seed: int, server: Server, node: Node) -> None:
        self.random = random.Random(seed)
        self.seed = seed
        self.server = server
        self.node = node
        self.rooms = [unique("r") for _ in range(2)]
        self.who, self.speaker = unique("bob"), unique("ada")
        self.number = 0
        self.talking = True
        self.joined: dict[str, dict[str, int]] = {}
        self.private: list[int] = []
        self.last: dict[str | None, int] = {}

    async def run(self) -> tuple[int, int]:
        """Return how many returns were recovered, and how many were not."""
        async with line(self.server.port) as wire:
            kind = self.random.choice(list(TRANSPORTS))
            ada = await self.node.member(self.server.url, self.rooms[0], self.speaker)
            check_ack("join", await ada.emit("join", {"room": self.rooms[1]}))
            bob = self.node.open(wire.url, transports=kind, auth={"client_id": self.who}, **BACK)
            talking = asyncio.ensure_future(self._talk(ada))
            connects = 1
            await self._enter(bob, connects)
            for _ in range(self.random.randint(2, 4)):
                connects = bob.connects + 1
                await self._cut(wire, bob)
                await self._enter(bob, connects)
            self.talking = False
            await talking
            await self._settle(ada, bob)
            found = self._judge(bob)
            ada.forget()
            bob.forget()
            return found

    async def _talk(self, ada: NodeClient) -> None:
        while self.talking:
            for _ in range(self.random.choice((1, 1, 2, 5, 12))):
                await self._say(ada)
            await asyncio.sleep(self.random.choice((0, 0.001, 0.01, 0.03)))

    async def _say(self, ada: NodeClient) -> None:
        self.number += 1
        what = {"message": "x" * self.random.choice((1, 50, 700)), "data": self.number}
        kind = self.random.choice(("room", "room", "room", "room", "private", "everybody"))
        if kind == "private":
            ack = await ada.emit("private", {"to": self.who, **what})
            if ack["ok"]:
                self.private.append(self.number)
            return
        room = self.random.choice(self.rooms) if kind == "room" else None
        ack = check_ack("chat", await ada.emit("chat", {**what, **({"room": room} if room else {})}))
        if room is not None:
            self.last[room] = max(self.last.get(room, 0), ack["offset"])

    async def _cut(self, wire: Line, bob: NodeClient) -> None:
        before = wire.cuts
        if self.random.random() < 0.5:
            wire.cut_after(self.random.randint(1, 6000), down=True)
            await until(lambda: _async(wire.cuts), lambda cuts: cuts > before, pause=0.005)
        else:
            wire.down = True
            wire.cut(half=self.random.random() < 0.5)
        await bob.until_disconnected()
        await asyncio.sleep(self.random.choice((0, 0, 0.05, 0.15, 0.4)))
        wire.down = False

    async def _enter(self, bob: NodeClient, connects: int) -> None:
        """Wait until it is back, and in its rooms: by itself when it recovered, and else by joining them."""
        while True:
            await bob.until_reconnected(connects, timeout=20.0)
            sid, connects = bob.sid, bob.connects
            if bob.recovered and sid in self.joined and len(self.joined[sid]) == len(self.rooms):
                return
            joined = self.joined.setdefault(str(sid), {})
            try:
                for room in self.rooms:
                    if room not in joined:
                        joined[room] = check_ack("join", await bob.emit("join", {"room": room}, timeout=3.0))[
                            "offset"
                        ]
                return
            except AssertionError:
                # Cut once more in the middle of it.
                if bob.connected and bob.connects == connects:
                    raise
                connects += 1

    async def _settle(self, ada: NodeClient, bob: NodeClient) -> None:
        """Say a last word on every way, and wait for it."""
        for room in self.rooms:
            ack = check_ack("chat", await ada.emit("chat", {"room": room, "message": "end", "data": 0}))
            self.last[room] = ack["offset"]
        await until(
            lambda: _async(
                sum(event == "chat" and args[0]["message"] == "end" for event, args in bob.events)
            ),
            lambda count: count == len(self.rooms),
        )
        assert sorted(check_ack("rooms", await bob.emit("rooms"))["rooms"]) == sorted(self.rooms)

    def _judge(self, bob: NodeClient) -> tuple[int, int]:
        sessions: dict[str, list[tuple[str, dict[str, Any]]]] = {}
        recovered, fresh, current = 0, 0, ""
        for what, *rest in bob.story:
            if what == "connect":
                sid, says_recovered = rest
                # Recovered means the same session, and nothing else does.
                assert says_recovered is (sid == current), self
                recovered, fresh = recovered + says_recovered, fresh + (not says_recovered)
                assert says_recovered or sid not in sessions, self
                current = sid
                sessions.setdefault(sid, [])
            elif what in ("chat", "private") and rest[0][0]["sender"] == self.speaker:
                sessions[current].append((what, rest[0][0]))
        for sid, heard in sessions.items():
            self._judge_session(heard, self.joined.get(sid, {}), last=sid == current)
        return recovered, fresh - 1

    def _judge_session(
        self, heard: list[tuple[str, dict[str, Any]]], joined: dict[str, int], *, last: bool
    ) -> None:
        """No gap, no duplicate, in order: by the offsets of every room, and by the numbers over all of it."""
        numbers = [body["data"] for _, body in heard if body["data"]]
        assert numbers == sorted(set(numbers)), self
        for room, since in joined.items():
            offsets = [body["offset"] for event, body in heard if event == "chat" and body["room"] == room]
            # What came before the acknowledgement of the join counts, too.
            offsets = [offset for offset in offsets if offset > since]
            assert offsets == list(range(since + 1, since + 1 + len(offsets))), self
            assert not last or offsets[-1:] == [self.last[room]], self
        private = [body["data"] for event, body in heard if event == "private"]
        if private:
            first = self.private.index(private[0])
            assert private == self.private[first : first + len(private)], self

    def __repr__(self) -> str:
        return f"RECOVERY_SEED={self.seed}"


async def _async(value: Any) -> Any:
    return value


@pytest.mark.parametrize("which", ["steady", "forgetful"])
async def test_at_random(request: pytest.FixtureRequest, node: Node, which: str):
    """However the line is cut, `recovered` means no gap, no duplicate, in order, same rooms; all else is a new one."""
    server: Server = request.getfixturevalue(which)
    recovered = fresh = 0
    rounds = -(-ROUNDS // 2 // AT_ONCE)
    for number in range(rounds):
        seeds = [SEED * 100_000 + number * AT_ONCE + k for k in range(AT_ONCE)]
        for back, anew in await asyncio.gather(*(Talk(seed, server, node).run() for seed in seeds)):
            recovered, fresh = recovered + back, fresh + anew
    assert recovered
    assert which == "steady" or fresh
