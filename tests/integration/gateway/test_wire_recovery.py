"""Connection state recovery on the wire: what a CONNECT with a pid gives back, to whom, and what it never gives."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import jwt
import msgpack
import pytest

from rtserver.app import App, create_app
from rtserver.fanout import Message
from tests.integration.gateway.house import OFFSET, QUICK, House, Raw, eventually, served

SECRET = "s" * 32
GRACE = {"recovery": {"grace": "30s"}}


@pytest.fixture
def app() -> App:
    """An application that holds a lost client long enough."""
    return create_app({**QUICK, **GRACE})


class Person:
    """One that comes back: what stock socket.io-client remembers of a connection."""

    def __init__(self, house: House, **auth: Any) -> None:
        self.house = house
        self.auth = auth
        self.raw: Raw
        self.accepted: dict[str, Any] = {}
        self.offset: str | None = None
        self.pid: str | None = None

    async def come(self, **more: Any) -> bool:
        """Connect with what is remembered; tell whether the session was recovered."""
        self.raw = await self.house.raw()
        told = {"pid": self.pid, "offset": self.offset} if self.pid is not None else {}
        self.accepted = await self.raw.ask_in(auth={**told, **self.auth, **more})
        if "sid" not in self.accepted:
            return False
        recovered = self.pid is not None and self.accepted.get("pid") == self.pid
        self.pid = self.accepted.get("pid")
        return recovered

    async def events(self) -> list[list[Any]]:
        """Everything that was sent so far, as the client remembers the offsets of it: ``[event, *arguments]``."""
        (ack,) = await self.raw.call("ping", {})
        assert ack["pong"]
        found = [json.loads(frame[2:]) for frame in self.raw.saw("42[")]
        self.raw.seen.clear()
        for event in found:
            if isinstance(event[-1], str):
                self.offset = event.pop()
                assert OFFSET.match(self.offset), event
        return found

    async def names(self) -> list[Any]:
        """What was said, in order: a message's text, or the event's name."""
        return [event[1].get("message", event[0]) for event in await self.events() if event[0] != "welcome"]

    async def cut(self) -> None:
        """Lose the line, and wait until the server knows."""
        sid = self.accepted["sid"]
        self.raw.cut()
        await eventually(lambda: self.house.app.node.away.find(sid) is not None)


async def somebody(house: House, client_id: str = "ann", *rooms: str, **auth: Any) -> Person:
    """One that is there, has heard its welcome and is in these rooms."""
    person = Person(house, client_id=client_id, **auth)
    assert not await person.come()
    for room in rooms:
        (ack,) = await person.raw.call("join", {"room": room})
        assert ack["ok"], ack
    await person.events()
    return person


async def say(house: House, *texts: str, room: str | None = "r") -> None:
    """Publish."""
    for text in texts:
        await (house.app.node.publish(room, "chat", text) if room else house.app.node.broadcast("chat", text))


class TestRestored:
    """What a client gets back."""

    async def test_everything(self, app: App, any_house: House):
        """Same sid, pid and rooms, and every missed message after our CONNECT, once, in order, whatever way it took."""
        ann = await somebody(any_house, "ann", "r", "q")
        sid = ann.accepted["sid"]
        await say(any_house, "heard")
        assert await ann.names() == ["heard"]
        await ann.cut()
        await say(any_house, "one")
        await say(any_house, "all", room=None)
        assert await app.node.send("ann", "personal", {}) == 1
        await app.sio.emit("direct", {}, to=sid)
        await app.sio.emit("listed", {}, to=["r", "q", sid])
        await app.sio.emit("room", {}, room="q")
        await app.sio.emit("without", {}, room="q", skip_sid=sid)
        await say(any_house, "foreign", room="other")
        assert await ann.come()
        assert ann.accepted == {"sid": sid, "pid": ann.pid}
        assert str(ann.raw.seen[1]).startswith("40")
        assert await ann.names() == ["one", "all", "personal", "direct", "listed", "room"]
        (ack,) = await ann.raw.call("rooms", {})
        assert ack["rooms"] == ["r", "q"]
        await say(any_house, "live")
        assert await ann.names() == ["live"]

    async def test_lost_on_the_way(self, any_house: House):
        """What was sent into a dead line is missed as well: the client says what it heard, not the server."""
        ann = await somebody(any_house, "ann", "r")
        await say(any_house, "heard")
        await ann.names()
        await say(any_house, "lost")
        await ann.cut()
        assert await ann.come()
        assert await ann.names() == ["lost"]

    async def test_again_and_again(self, any_house: House):
        """It can be cut any number of times, also before anything new was heard."""
        ann = await somebody(any_house, "ann", "r")
        for number in range(3):
            await ann.cut()
            await say(any_house, f"n{number}")
            assert await ann.come()
            if number != 1:
                continue
            await ann.names()
        assert await ann.names() == ["n2"]

    async def test_heard_nothing(self, any_house: House):
        """A client that was cut before it heard anything is given all of it, its welcome first."""
        ann = Person(any_house, client_id="ann")
        await ann.come()
        await ann.cut()
        await say(any_house, "all", room=None)
        assert await ann.come()
        events = await ann.events()
        assert [event[0] for event in events] == ["welcome", "chat"]
        assert events[0][1]["sid"] == ann.accepted["sid"]

    async def test_an_offset_of_an_earlier_session(self, any_house: House):
        """A client keeps its last offset over a refused recovery; one from before this session is none of it."""
        ann = await somebody(any_house, "ann", "r")
        await say(any_house, "before")
        await ann.names()
        ann.pid = None
        await ann.come()
        await say(any_house, "between")
        await ann.cut()
        assert await ann.come()
        assert await ann.names() == []

    async def test_no_welcome_twice(self, any_house: House):
        """`welcome` is not repeated."""
        ann = await somebody(any_house, "ann")
        await ann.cut()
        assert await ann.come()
        assert await ann.events() == []

    async def test_without_welcome(self):
        """Without a welcome a client that heard nothing yet recovers as well."""
        async with served({**GRACE, "announce": {"welcome": False}}) as house:
            ann = Person(house, client_id="ann")
            await ann.come()
            await ann.cut()
            await say(house, "all", room=None)
            assert await ann.come()
            assert await ann.names() == ["all"]

    async def test_an_unnamed_guest(self, any_house: House):
        """A guest whose name we made up keeps it."""
        guest = Person(any_house)
        await guest.come()
        (first,) = await guest.events()
        await guest.cut()
        assert await guest.come()
        (ack,) = await guest.raw.call("join", {"room": "r"})
        assert ack["members"][0]["client_id"] == first[1]["client_id"]

    async def test_before_it_joined(self, any_house: House):
        """What was said in a room before the client came was not missed, though nothing was heard since."""
        ann = await somebody(any_house, "ann")
        await say(any_house, "early")
        await ann.raw.call("join", {"room": "r"})
        await say(any_house, "late")
        await ann.cut()
        assert await ann.come()
        assert await ann.names() == ["late"]

    async def test_over_polling(self, any_house: House):
        """It goes from one transport to another."""
        ann = await somebody(any_house, "ann", "r")
        await ann.cut()
        await say(any_house, "missed")
        poller = await any_house.poller()
        await poller.post("40" + json.dumps({"client_id": "ann", "pid": ann.pid, "offset": ann.offset}))
        packets = []
        while len(packets) < 2:
            packets += (await poller.poll()).text.split("\x1e")
        assert json.loads(packets[0][2:]) == ann.accepted
        assert json.loads(packets[1][2:])[1]["message"] == "missed"

    async def test_message_pack(self, any_house: House):
        """Clients that speak MessagePack recover, and are given what was sent to others as JSON."""

        async def connect(**auth: Any) -> tuple[Raw, Any]:
            raw = await any_house.raw()
            await raw.send(msgpack.packb({"type": 0, "nsp": "/", "data": {"client_id": "ann", **auth}}))
            return raw, msgpack.unpackb(await raw.receive())["data"]

        raw, accepted = await connect()
        welcome = msgpack.unpackb(await raw.receive())["data"]
        raw.cut()
        await eventually(lambda: any_house.app.node.away.find(accepted["sid"]) is not None)
        json_client = await somebody(any_house, "json")
        await say(any_house, "missed", room=None)
        await any_house.app.node.broadcast("binary", data={"deep": [b"\x00\xff"]})
        await json_client.cut()
        raw, again = await connect(pid=accepted["pid"], offset=welcome[-1])
        assert again == accepted
        missed = msgpack.unpackb(await raw.receive())["data"]
        assert missed[1]["message"] == "missed"
        assert OFFSET.match(missed[-1])
        assert msgpack.unpackb(await raw.receive())["data"][:2] == ["binary", {"deep": [b"\x00\xff"]}]
        assert await json_client.come()
        assert str(await json_client.raw.until("451-")).startswith(
            '451-["binary",{"deep":[{"_placeholder":true'
        )
        assert await json_client.raw.receive() == b"\x00\xff"


class TestOnTheWire:
    """What carries an offset."""

    async def test_every_event(self, app: App, any_house: House):
        """Every event ends in an offset that rises; a volatile one has none."""
        ann, ben = await somebody(any_house, "ann", "r"), await somebody(any_house, "ben", "r")
        await ann.raw.send('42["ping"]', '42["nonsense"]')
        await ann.raw.call("ping", {})
        await say(any_house, "one")
        await app.node.send("ann", "custom", "text")
        await ben.raw.call("typing", {"room": "r", "is_typing": True})
        await ann.raw.call("ping", {})
        events = [json.loads(frame[2:]) for frame in ann.raw.saw("42[")]
        assert [event[0] for event in events] == [
            "user_joined",
            "pong",
            "error",
            "chat",
            "custom",
            "user_typing",
        ]
        offsets = [int(event[-1].split(".")[1]) for event in events[:-1]]
        assert offsets == sorted(offsets)
        assert isinstance(events[-1][-1], dict)

    async def test_strings_at_the_end(self, app: App, any_house: House):
        """An event that is not kept never ends in a string: a stock client would take that for its offset."""
        ann = await somebody(any_house, "ann", "r")
        app.node.signal("r", Message("hint", "a string"))
        assert await ann.raw.until_event("hint") == ["a string", None]

    async def test_acknowledged_events(self, app: App, any_house: House):
        """An event that wants an acknowledgement has no offset, and is not sent again."""
        ann = await somebody(any_house, "ann")
        call = asyncio.ensure_future(app.sio.call("question", "text", to=ann.accepted["sid"], timeout=5))
        assert await ann.raw.until("421[") == '421["question","text"]'
        await ann.raw.send("431[5]")
        assert await call == 5
        await ann.cut()
        assert await ann.come()
        assert await ann.events() == []

    async def test_python(self, any_house: House):
        """python-socketio's client cannot recover: its handlers get what they always got, and it no pid."""
        heard: list[Any] = []
        client = await any_house.stock({"client_id": "py"})
        client.on("chat", heard.append)
        await say(any_house, "one", room=None)
        await eventually(lambda: heard)
        assert heard[0]["message"] == "one"

    async def test_switched_off(self):
        """Without recovery there is no pid, no offset, and nothing is kept."""
        for off in ({"enabled": False}, {"window": 0}):
            async with served({"recovery": off}) as house:
                ann = Person(house, client_id="ann")
                await ann.come(pid="x", offset="y")
                assert set(ann.accepted) == {"sid"}
                ((_, body),) = [json.loads(frame[2:]) for frame in [await ann.raw.until("42")]]
                assert body["client_id"] == "ann"

    async def test_namespaces(self, app: App, any_house: House):
        """An application's own namespace offers no recovery, and its events have no offsets."""
        app.sio.on("x", lambda *_: None, namespace="/own")
        raw = await any_house.raw()
        assert set(await raw.join("/own")) == {"sid"}
        await app.sio.emit("news", "text", namespace="/own")
        assert await raw.until("42/own,") == '42/own,["news","text"]'


class TestRefused:
    """Who gets a new session instead, and what that leaves of the old one."""

    @pytest.mark.parametrize(
        "told",
        [
            {"pid": "x"},
            {"pid": "x.y"},
            {"pid": 5},
            {"pid": None},
            {"pid": "\u00e9.0"},
            {"offset": "garbage"},
            {"offset": 5},
            {"offset": "abcdef.5.5"},
            {"offset": []},
        ],
        ids=repr,
    )
    async def test_forged(self, any_house: House, told: dict[str, Any]):
        """What we never gave out recovers nothing, and burns nothing."""
        ann = await somebody(any_house, "ann", "r")
        await ann.cut()
        pid, offset = ann.pid, ann.offset
        assert not await ann.come(**told)
        assert ann.accepted["sid"] not in str(pid)
        ann.pid, ann.offset = pid, offset
        assert await ann.come()

    async def test_from_the_future(self, any_house: House):
        """An offset that was not reached yet recovers nothing."""
        ann = await somebody(any_house, "ann")
        await ann.cut()
        life, number = str(ann.offset).split(".")
        assert not await ann.come(offset=f"{life}.{int(number) + 1000}")

    async def test_a_stranger(self, any_house: House):
        """Somebody else with the pid gets a session of its own, and the owner still recovers."""
        ann = await somebody(any_house, "ann", "r")
        await ann.cut()
        await say(any_house, "missed")
        eve = Person(any_house, client_id="eve")
        eve.pid, eve.offset = ann.pid, ann.offset
        assert not await eve.come()
        assert await eve.names() == []
        assert await ann.come()
        assert await ann.names() == ["missed"]

    async def test_a_stranger_and_a_live_client(self, any_house: House):
        """Somebody else with the pid of a client that is there does not disturb it."""
        ann = await somebody(any_house, "ann", "r")
        eve = Person(any_house, client_id="eve")
        eve.pid, eve.offset = ann.pid, ann.offset
        assert not await eve.come()
        await say(any_house, "still here")
        assert await ann.names() == ["still here"]

    async def test_left_and_joined_again(self, any_house: House):
        """What was said while the client was not in the room stays unseen, whichever offset it claims to have heard."""
        ann = await somebody(any_house, "ann", "r")
        early = ann.offset
        await say(any_house, "seen")
        await ann.raw.call("leave", {"room": "r"})
        await say(any_house, "not for ann")
        await ann.raw.call("join", {"room": "r"})
        await say(any_house, "seen, too")
        await ann.names()
        await ann.cut()
        await say(any_house, "missed")
        assert await ann.come(offset=early)
        assert await ann.names() == ["seen, too", "missed"]

    async def test_before_the_session(self, any_house: House):
        """No offset leads back to before the session: not of another run, not of nothing heard, not of zero."""
        await say(any_house, "before", room=None)
        ann = await somebody(any_house, "ann", "r")
        life = str(ann.offset).split(".")[0]
        other = "0" * 6 if life != "0" * 6 else "1" * 6
        for offset in (None, f"{life}.0", f"{other}.5"):
            await ann.cut()
            assert await ann.come(offset=offset)
            # All that the session ever was told is told again, and that is its welcome.
            assert [event[0] for event in await ann.events()] == ["welcome"]

    @pytest.mark.parametrize(
        "told",
        [
            {"pid": "x" * 500_000},
            {"pid": ".".join("x" * 1000)},
            {"offset": "9" * 100_000},
            {"offset": {"a": [1] * 1000}},
        ],
        ids=["long", "dots", "digits", "deep"],
    )
    async def test_large(self, any_house: House, told: dict[str, Any]):
        """However much is said instead of a pid or an offset, it is a new session, at once."""
        ann = await somebody(any_house, "ann", "r")
        await ann.cut()
        assert not await ann.come(**told)
        assert await ann.names() == []

    async def test_a_crowd_of_guesses(self, any_house: House):
        """Whoever tries many pids is let in as who it is, and the server keeps nothing of them."""
        ann = await somebody(any_house, "ann", "r")
        await ann.cut()
        sid, digest = str(ann.pid).rsplit(".", 1)
        for number in range(100):
            eve = Person(any_house, client_id="ann")
            eve.pid, eve.offset = f"{sid}.{number:0{len(digest)}x}", ann.offset
            assert not await eve.come()
            await eve.raw.send("41")
            eve.raw.cut()
        assert await ann.come()
        await eventually(lambda: any_house.app.node.connections == 1)
        assert not len(any_house.app.node.away)

    async def test_goodbye(self, any_house: House):
        """A session that was ended by a goodbye is over."""
        ann = await somebody(any_house, "ann", "r")
        await ann.raw.send("41")
        await eventually(lambda: any_house.app.node.connections == 0)
        assert not await ann.come()

    @pytest.mark.parametrize("away", [False, True])
    async def test_kicked(self, app: App, any_house: House, away: bool):
        """So is one that was kicked, also while it was away."""
        ann = await somebody(any_house, "ann", "r")
        if away:
            await ann.cut()
        await app.node.disconnect("ann")
        assert not await ann.come()
        assert await ann.raw.call("rooms", {}) == [{"ok": True, "rooms": []}]

    async def test_kicked_by_sid(self, app: App, any_house: House):
        """So is one that the application disconnects by its sid while it is away."""
        ann = await somebody(any_house, "ann", "r")
        await ann.cut()
        await app.sio.disconnect(ann.accepted["sid"])
        assert not await ann.come()

    async def test_a_gap(self):
        """When a room had more messages than are kept nothing is recovered, and that is said; else all of it is."""
        async with served({**GRACE, "recovery": {"grace": "30s", "max_messages": 3}}) as house:
            ann, ben = await somebody(house, "ann", "r"), await somebody(house, "ben", "q")
            for person in (ann, ben):
                await person.cut()
            await say(house, "1", "2", "3", "4")
            assert not await ann.come()
            assert await ann.names() == []
            assert await ben.come()

    async def test_too_much_at_once(self):
        """What would overflow the line at once is not recovered: the client would be cut for it and come back."""
        async with served({**GRACE, "engine": {"send_buffer": {"max_bytes": "64KB"}}}) as house:
            ann = await somebody(house, "ann", "r")
            await ann.cut()
            await say(house, "x" * 20_000, "y" * 20_000)
            assert not await ann.come()

    async def test_too_late(self):
        """After the window nothing is recovered, and nothing is kept for it."""
        async with served({"recovery": {"grace": 0, "window": "50ms"}}) as house:
            ann = await somebody(house, "ann", "r")
            await house.app.sio.emit("direct", {}, to=ann.accepted["sid"])
            await ann.cut()
            await eventually(lambda: not len(house.app.node.away))
            assert (ann.accepted["sid"],) not in house.app.node._fanout.tape._kept
            assert not await ann.come()


class TestTakeover:
    """A client that comes back before anybody noticed that it was gone."""

    async def test_half_open(self, any_house: House):
        """The dead connection is closed, the new one goes on in its place, and nobody hears of it."""
        ann, ben = await somebody(any_house, "ann", "r"), await somebody(any_house, "ben", "r")
        old = ann.raw
        await say(any_house, "lost on the way")
        assert await ann.come()
        await old.closed()
        await say(any_house, "after")
        assert await ann.names() == ["ben joined the room", "lost on the way", "after"]
        assert await ben.names() == ["lost on the way", "after"]
        (ack,) = await ben.raw.call("presence", {"room": "r"})
        assert {m["client_id"]: m["connections"] for m in ack["members"]} == {"ann": 1, "ben": 1}
        assert any_house.app.node.connections == 2

    async def test_many_at_once(self, any_house: House):
        """Of several connections that ask for one session at the same time one has it in the end."""
        ann = await somebody(any_house, "ann", "r")
        await ann.cut()
        raws = [await any_house.raw() for _ in range(5)]
        connect = "40" + json.dumps({"client_id": "ann", "pid": ann.pid, "offset": ann.offset})
        for raw in raws:
            await raw.send(connect)
        await eventually(lambda: any_house.app.node.connections == 1)
        await asyncio.gather(*(raw.closed() for raw in raws[:-1]))
        await say(any_house, "one")
        assert (await raws[-1].until_event("chat"))[0]["message"] == "one"
        assert len(any_house.app.sio._connections) == 1

    async def test_a_limit_of_one(self):
        """A limit of one connection per user does not keep a user from its own session."""
        async with served({**GRACE, "limits": {"connections": {"per_user": 1}}}) as house:
            ann = await somebody(house, "ann")
            assert await ann.come()

    async def test_a_refused_one_takes_over_nothing(self):
        """Who is refused leaves the live connection alone, and recovers with a good token afterwards."""
        config = {**GRACE, "auth": {"mode": "required", "jwt": {"secret": SECRET, "require_exp": False}}}
        token = jwt.encode({"sub": "ann"}, SECRET, "HS256")
        async with served(config) as house:
            ann = await somebody(house, "ann", "r", token=token)
            old, pid, offset = ann.raw, ann.pid, ann.offset
            for bad in ("x", jwt.encode({"sub": "ann"}, "t" * 32, "HS256"), ""):
                assert not await ann.come(token=bad)
                assert ann.accepted["message"] == "unauthorized"
            await old.call("ping", {})
            old.cut()
            await say(house, "missed")
            assert not await ann.come(token="x")
            ann.pid, ann.offset = pid, offset
            assert await ann.come()
            assert await ann.names() == ["missed"]

    @pytest.mark.parametrize("rooms", [["team-*"], ["other"]])
    async def test_other_claims(self, rooms: list[str]):
        """A token that no longer lets the client into a room it was in recovers nothing; one that does, all."""
        config = {
            **GRACE,
            "auth": {"mode": "required", "jwt": {"secret": SECRET, "require_exp": False}},
            "rooms": [{"match": "*", "join": "claim"}],
        }
        first = jwt.encode({"sub": "ann", "rooms": ["team-a"]}, SECRET, "HS256")
        async with served(config) as house:
            ann = await somebody(house, "ann", "team-a", token=first)
            await ann.cut()
            recovered = await ann.come(token=jwt.encode({"sub": "ann", "rooms": rooms}, SECRET, "HS256"))
            assert recovered is (rooms == ["team-*"])


class TestPresence:
    """What others see."""

    async def test_within_grace(self, any_house: House):
        """Nobody hears of a client that recovers within its time of grace."""
        ben, ann = await somebody(any_house, "ben", "r"), await somebody(any_house, "ann", "r")
        await ben.names()
        await ann.cut()
        (ack,) = await ben.raw.call("presence", {"room": "r"})
        assert ack["count"] == 2
        assert await ann.come()
        assert await ben.names() == []
        await ann.raw.send("41")
        assert (await ben.raw.until_event("user_left"))[0]["client_id"] == "ann"

    async def test_after_grace(self):
        """One that recovers later left and joins again, is told neither of itself, and is a member as before."""
        async with served({"recovery": {"grace": 0}, "announce": {"connections": True}}) as house:
            ben, ann = await somebody(house, "ben", "r"), await somebody(house, "ann", "r")
            await ben.names()
            await ann.cut()
            await say(house, "meanwhile")
            assert await ann.come()
            said = [event[0] for event in await ben.events()]
            assert said == ["user_left", "client_disconnected", "chat", "client_connected", "user_joined"]
            heard = [event[0] for event in await ann.events()]
            assert heard == ["client_disconnected", "chat", "client_connected"]
            await say(house, "again")
            assert await ann.names() == ["again"]
            assert [m["client_id"] for m in house.app.node.members("r")] == ["ben", "ann"]

    async def test_full_meanwhile(self):
        """A room that others filled meanwhile is not overfilled: nothing is recovered."""
        async with served({"recovery": {"grace": 0}, "rooms": [{"match": "*", "max_members": 1}]}) as house:
            ann = await somebody(house, "ann", "r")
            await ann.cut()
            await somebody(house, "ben", "r")
            assert not await ann.come()

    async def test_private(self, any_house: House):
        """Within the time of grace a private message is delivered, and kept; nobody is told so who was not there."""
        ann, ben = await somebody(any_house, "ann"), await somebody(any_house, "ben")
        await ann.cut()
        (ack,) = await ben.raw.call("private", {"to": "ann", "message": "psst"})
        assert ack["delivered"] == 1
        assert await ann.come()
        assert await ann.names() == ["psst"]

    async def test_private_after_grace(self):
        """After it a private message is refused, and does not arrive after all."""
        async with served({"recovery": {"grace": 0}}) as house:
            ann, ben = await somebody(house, "ann"), await somebody(house, "ben")
            await ann.cut()
            (ack,) = await ben.raw.call("private", {"to": "ann", "message": "psst"})
            assert ack["error"]["reason"] == "not_found"
            assert await ann.come()
            assert await ann.names() == []

    async def test_another_tab_was_its_heir(self, any_house: House):
        """A tab opened meanwhile took its place; both are there then, and both are heard of when they go."""
        ben, ann = await somebody(any_house, "ben", "r"), await somebody(any_house, "ann", "r")
        await ann.cut()
        tab = await somebody(any_house, "ann", "r")
        assert await ann.come()
        (ack,) = await ben.raw.call("presence", {"room": "r"})
        assert {m["client_id"]: m["connections"] for m in ack["members"]} == {"ann": 2, "ben": 1}
        await ben.names()
        await tab.raw.send("41")
        await say(any_house, "one left")
        assert await ben.names() == ["one left"]
        await ann.raw.send("41")
        assert (await ben.raw.until_event("user_left"))[0]["client_id"] == "ann"
        await ben.raw.send("41")
        await eventually(
            lambda: not any_house.app.node._holding._held and not len(any_house.app.node.registry)
        )


class TestApplication:
    """With code of an application."""

    async def test_handlers(self, app: App, any_house: House):
        """It hears of the end before it is asked about the return, under the same sid, with its session as it was."""
        told: list[str] = []

        @app.sio.event
        async def connect(sid: str, environ: Any, auth: dict[str, Any]) -> None:
            told.append(f"connect {sid} {sorted(auth)} {await app.sio.get_session(sid)}")

        @app.sio.event
        async def disconnect(sid: str, reason: str) -> None:
            await asyncio.sleep(0.05)
            await app.sio.save_session(sid, {"left": reason})
            told.append(f"disconnect {sid}")

        hooks: list[bool] = []

        @app.on_connect
        async def hook(client: Any, auth: dict[str, Any]) -> None:
            hooks.append(client.recovered)

        ann = await somebody(any_house, "ann", "r")
        sid = ann.accepted["sid"]
        await say(any_house, "lost on the way")
        assert await ann.come()
        assert told == [
            f"connect {sid} ['client_id'] {{}}",
            f"disconnect {sid}",
            f"connect {sid} ['client_id'] {{'left': 'transport close'}}",
        ]
        assert hooks == [False, True]
        assert await ann.names() == ["lost on the way"]
        ann.raw.cut()

    async def test_refused_by_the_handler(self, app: App, any_house: House):
        """Whom the handler refuses is given nothing, and recovers when the handler thinks better of it."""
        closed = False

        @app.sio.event
        async def connect(sid: str, environ: Any) -> bool:
            await asyncio.sleep(0)
            return not closed

        ann = await somebody(any_house, "ann", "r")
        pid = ann.pid
        await ann.cut()
        await say(any_house, "missed")
        closed = True
        assert not await ann.come()
        assert ann.accepted["message"] == "unauthorized"
        assert not [frame for frame in ann.raw.seen if "missed" in str(frame)]
        closed, ann.pid = False, pid
        assert await ann.come()
        assert await ann.names() == ["missed"]

    async def test_forgotten_while_it_decides(self):
        """When a gap opens while the handler decides, the line is closed, and the next attempt says so honestly."""
        app = create_app({**QUICK, "recovery": {"grace": 0, "max_messages": 2}})

        @app.sio.event
        async def connect(sid: str, environ: Any) -> None:
            if len(app.node.away):
                for text in "1234":
                    await app.node.publish("r", "chat", text)

        async with served(app) as house:
            ann = await somebody(house, "ann", "r")
            await ann.cut()
            raw = await house.raw()
            await raw.send("40" + json.dumps({"client_id": "ann", "pid": ann.pid, "offset": ann.offset}))
            await raw.closed()
            assert not raw.saw("4")
            assert not await ann.come()
            assert await ann.names() == []

    async def test_many_at_once(self, app: App, any_house: House):
        """While the handler thinks about one, others may ask for the same session: one has it, and is really there."""
        thinking: list[str] = []
        thought = asyncio.Event()

        @app.sio.event
        async def connect(sid: str, environ: Any) -> None:
            thinking.append(sid)
            if len(thinking) > 1:
                await thought.wait()

        @app.sio.event
        async def disconnect(sid: str, reason: str) -> None:
            await asyncio.sleep(0.01)

        ann = await somebody(any_house, "ann", "r")
        sid = ann.accepted["sid"]
        raws = [await any_house.raw() for _ in range(4)]
        connect_again = "40" + json.dumps({"client_id": "ann", "pid": ann.pid, "offset": ann.offset})
        await raws[0].send(connect_again)
        await eventually(lambda: len(thinking) == 2)
        for raw in raws[1:]:
            await raw.send(connect_again)
        await asyncio.gather(*(raw.closed() for raw in raws[:-1]))
        await eventually(lambda: len(thinking) == 5)
        thought.set()
        await raws[-1].until("40{")
        await app.sio.emit("direct", {}, to=sid)
        assert (await raws[-1].until_event("direct"))[0] == {}
        await say(any_house, "room")
        assert (await raws[-1].until_event("chat"))[0]["message"] == "room"
        assert any_house.app.node.connections == 1


async def test_two_tabs_and_the_journal():
    """A session that recovers beside the tab that took its place is in its rooms for the last events, too."""
    notes: list[Any] = []
    config = {
        **QUICK,
        **GRACE,
        "webhooks": {
            "targets": [{"name": "a", "url": "http://127.0.0.1:9/", "events": ["client-*", "room-*"]}]
        },
        "store": {"url": "memory://"},
    }
    app = create_app(config)
    emitter = app.node._reporter._emitter

    def spied(real: Any) -> Any:
        def noted(*args: Any, **more: Any) -> Any:
            effect = more.get("effect") or next((one for one in args if hasattr(one, "entered")), None)
            notes.extend([effect] if effect is not None else [])
            return real(*args, **more)

        return noted

    emitter.emit, emitter.note = spied(emitter.emit), spied(emitter.note)
    async with served(app) as house:
        ann = await somebody(house, "ann", "r")
        await ann.cut()
        tab = await somebody(house, "ann")
        assert await ann.come()
        await tab.raw.send("41")
        await eventually(lambda: house.app.node.connections == 1)
        there: set[Any] = set()
        for effect in notes:
            there |= {effect.entered} if effect.entered else set()
            there -= {effect.left} if effect.left else set()
            there = {place for place in there if place.session != effect.closed}
        (client,) = house.app.node._roster.everybody()
        assert [tuple(place) for place in there] == [(client.session_id, "r")]


async def test_nothing_is_left(any_house: House):
    """When everybody has said goodbye, nothing of anybody is left."""
    people = [await somebody(any_house, f"p{number}", "r") for number in range(3)]
    for person in people:
        await person.cut()
        assert await person.come()
        await any_house.app.sio.emit("direct", {}, to=person.accepted["sid"])
    for person in people:
        await person.raw.send("41")
    await eventually(lambda: not any_house.app.node.connections)
    for person in people:
        person.raw.cut()
    await any_house.empty()
    assert not len(any_house.app.node.away)
    assert not [stream for stream in any_house.app.node._fanout.tape._kept if isinstance(stream, tuple)]
