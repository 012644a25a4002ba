"""What backends are told of what the node's verbs do."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from rtserver.app import App
from rtserver.auth.claims import Identity
from rtserver.protocol.errors import RtError
from rtserver.store.base import Delivery, Life
from rtserver.webhooks.journal import Effect
from tests.unit.node.stand_ins import app, arrive, by_hand, done, person

ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
NUMBERS = ("node", "epoch", "seq")


# Whatever a client or a backend may say: at the edges of JSON, and beyond them.
DATA: list[Any] = [
    2**63,
    2**64,
    -(2**70),
    1.5,
    float("inf"),
    float("nan"),
    "\ud800",
    "\0\u2028\x7f",
    b"\0\xff",
    [b"a", {"b": b"c"}],
    (1, 2),
    {1: 2},
    {None: 1},
    {"at": datetime(2026, 1, 1, tzinfo=UTC)},
    {"at": datetime(2026, 1, 1, tzinfo=UTC), "n": 2**70},
    UUID(int=7),
    {1.5: True},
    [[[[]]]],
    {"node": "x", "epoch": 0, "seq": 0},
]


def told_app(events: list[str] | None = None, rooms: list[str] | None = None, **config: Any) -> App:
    """An application with a target, whose journal nobody empties."""
    target = {
        "name": "audit",
        "url": "http://127.0.0.1:9/",
        "secrets": ["whsec_c2VjcmV0LW9mLXRoZS10ZXN0cy0wMTIzNDU2Nzg5"],
        **({"events": events} if events is not None else {}),
        **({"rooms": rooms} if rooms is not None else {}),
    }
    made = app({"webhooks": {"targets": [target]}, "server": {"name": "one"}, **config})
    made.webhooks.emitter.begin(Life(1_700_000_000_000_000, 1))
    return made


def written(made: App) -> Iterator[tuple[Delivery | None, Effect | None]]:
    """What was written since one last asked."""
    entries = made.webhooks._journal._entries
    while entries:
        deliveries, effect = entries.popleft()
        yield (deliveries[0] if deliveries else None), effect


def told(made: App) -> list[tuple[str, dict[str, Any]]]:
    """The events since one last asked, by type and data, without what all of them have."""
    found = []
    for delivery, _ in written(made):
        if delivery is not None:
            data = json.loads(delivery.body)["data"]
            assert data["node"] == "one"
            assert {*NUMBERS} <= {*data}
            found.append(
                (delivery.type, {name: value for name, value in data.items() if name not in NUMBERS})
            )
    return found


def types(made: App) -> list[str]:
    """The types of the events since one last asked."""
    return [type_ for type_, _ in told(made)]


class TestClients:
    """Who comes and goes."""

    async def test_connected(self) -> None:
        """A client that is accepted is told with all that the contract lists."""
        made = told_app()
        arrive(made.node, "bob")
        told(made)
        ann = arrive(made.node, "ann", identity=Identity(user="ann", expires_at=1.9e9))
        ((type_, data),) = told(made)
        assert type_ == "client-connected"
        assert data == {
            "client_number": 2,
            "total_connections": 2,
            "client_id": "ann",
            "user_id": "ann",
            "sid": ann.sid,
            "session_id": ann.session_id,
            "name": "ann",
            "transport": "websocket",
            "ip": "192.0.2.7",
            "recovered": False,
        }

    def test_guests(self) -> None:
        """A guest has no user_id, which is null everywhere."""
        made = told_app()
        guest = arrive(made.node, "guest:1")
        done(made.node.join(guest, "a"))
        done(made.node.part(guest, "client namespace disconnect"))
        users = [data["user_id"] for _, data in told(made) if "user_id" in data]
        assert users == [None] * 4

    def test_disconnected(self) -> None:
        """One that says goodbye leaves its rooms and is disconnected, once, with the reason and how long it was in."""
        made = told_app()
        ann, bob = arrive(made.node, "ann"), arrive(made.node, "bob")
        done(made.node.join(ann, "a"))
        done(made.node.join(bob, "a"))
        told(made)
        done(made.node.part(ann, "client namespace disconnect"))
        (left, data), (gone, last) = told(made)
        assert (left, gone) == ("room-left", "client-disconnected")
        assert (data["room"], data["count"], data["session_id"]) == ("a", 1, ann.session_id)
        assert last.pop("duration_s") >= 0
        assert last == {
            "remaining_connections": 1,
            "client_id": "ann",
            "user_id": None,
            "sid": ann.sid,
            "session_id": ann.session_id,
            "reason": "client namespace disconnect",
        }
        done(made.node.part(ann, "client namespace disconnect"))
        assert told(made) == []

    def test_back_in_time(self) -> None:
        """One that comes back within its time of grace is resumed with its session: it was neither gone nor new."""
        made = told_app()
        clock = by_hand(made.node)
        ann = arrive(made.node, "ann")
        done(made.node.join(ann, "a"))
        told(made)
        done(made.node.lose(ann, "transport close"))
        assert told(made) == []
        again = arrive(made.node, "ann")
        ((type_, data),) = told(made)
        assert (type_, data["session_id"], data["sid"]) == ("client-resumed", ann.session_id, again.sid)
        assert "recovered" in data
        assert {"client_number", "total_connections", "transport", "ip"} <= {*data}
        done(made.node.join(again, "a"))
        clock.advance(1000)
        assert types(made) == []
        done(made.node.part(again, "client namespace disconnect"))
        assert types(made) == ["room-left", "room-vacated", "client-disconnected"]

    def test_not_back_in_time(self) -> None:
        """One that does not come back is gone when its time is over; later it is a new one with its own session."""
        made = told_app()
        clock = by_hand(made.node)
        ann = arrive(made.node, "ann")
        done(made.node.join(ann, "a"))
        told(made)
        done(made.node.lose(ann, "ping timeout"))
        clock.advance(1000)
        events = told(made)
        assert [type_ for type_, _ in events] == ["room-left", "room-vacated", "client-disconnected"]
        assert events[-1][1]["reason"] == "ping timeout"
        later = arrive(made.node, "ann")
        ((type_, data),) = told(made)
        assert (type_, data["recovered"]) == ("client-connected", False)
        assert later.session_id != ann.session_id

    def test_a_line_that_blinks(self) -> None:
        """However often it comes back in time, a session is connected once and disconnected once."""
        made = told_app()
        clock = by_hand(made.node)
        client = arrive(made.node, "ann")
        for _ in range(5):
            done(made.node.lose(client, "transport close"))
            client = arrive(made.node, "ann")
        done(made.node.lose(client, "transport close"))
        clock.advance(1000)
        assert types(made) == ["client-connected", *["client-resumed"] * 5, "client-disconnected"]

    def test_the_stop(self) -> None:
        """When the node closes, everybody who is there, or held, is disconnected."""
        made = told_app()
        by_hand(made.node)
        ann, bob = arrive(made.node, "ann"), arrive(made.node, "bob")
        done(made.node.join(ann, "a"))
        done(made.node.lose(bob, "transport close"))
        told(made)
        made.node.close()
        gone = {data["session_id"] for type_, data in told(made) if type_ == "client-disconnected"}
        assert gone == {ann.session_id, bob.session_id}


class TestRooms:
    """Rooms."""

    def test_in_and_out(self) -> None:
        """The first in occupies the room, the last out vacates it; who joins and leaves is told with the count."""
        made = told_app()
        ann, bob = arrive(made.node, "ann"), arrive(made.node, "bob")
        told(made)
        for client in (ann, bob):
            done(made.node.join(client, "a"))
        for client in (ann, bob):
            done(made.node.leave(client, "a"))
        events = told(made)
        assert [(type_, data.get("client_id"), data.get("count")) for type_, data in events] == [
            ("room-occupied", None, None),
            ("room-joined", "ann", 1),
            ("room-joined", "bob", 2),
            ("room-left", "ann", 1),
            ("room-left", "bob", 0),
            ("room-vacated", None, None),
        ]
        assert {data["room"] for _, data in events} == {"a"}
        assert {"room", "client_id", "user_id", "sid", "count"} <= {*events[1][1]} & {*events[3][1]}

    def test_again(self) -> None:
        """Joining twice, leaving where one is not, and a second connection of a member change nothing."""
        made = told_app()
        ann = arrive(made.node, "ann")
        done(made.node.join(ann, "a"))
        told(made)
        done(made.node.join(ann, "a"))
        done(made.node.leave(ann, "b"))
        second = arrive(made.node, "ann")
        done(made.node.join(second, "a"))
        done(made.node.part(second, "client namespace disconnect"))
        assert types(made) == ["client-connected", "client-disconnected"]

    def test_ordered_by(self) -> None:
        """Events of rooms are ordered by room and client, those of clients by client."""
        made = told_app()
        ann = arrive(made.node, "ann")
        done(made.node.join(ann, "a"))
        done(made.node.part(ann, "client namespace disconnect"))
        keys = {one.type: (one.room, one.client) for one, _ in written(made) if one is not None}
        assert keys == {
            "client-connected": (None, "ann"),
            "room-occupied": ("a", "ann"),
            "room-joined": ("a", "ann"),
            "room-left": ("a", "ann"),
            "room-vacated": ("a", "ann"),
            "client-disconnected": (None, "ann"),
        }


class TestMessages:
    """What is said."""

    @pytest.mark.parametrize("event", ["chat", "broadcast"])
    @pytest.mark.parametrize("room", ["a", None])
    def test_said(self, event: str, room: str | None) -> None:
        """A chat or broadcast is told with who said what where, as it was published."""
        made = told_app()
        ann = arrive(made.node, "ann")
        told(made)
        published = done(made.node.say(room, event, "hello", {"x": 1}, sender=ann))
        assert published.receipt is not None
        ((type_, data),) = told(made)
        assert type_ == "message-broadcast"
        assert ISO.fullmatch(data["timestamp"])
        for name, value in {
            "message": "hello",
            "sender": "ann",
            "room": room,
            "id": published.id,
            "offset": published.offset,
            "data": {"x": 1},
            "timestamp": published.timestamp,
        }.items():
            assert data[name] == value

    def test_without_data(self) -> None:
        """Data that was not given is null, and so is the sender when a backend says something."""
        made = told_app()
        done(made.node.publish("a", "chat", "hello"))
        ((_, data),) = told(made)
        assert (data["data"], data["sender"]) == (None, None)

    @pytest.mark.parametrize("event", ["news", "typing", "x"])
    def test_other_events(self, event: str) -> None:
        """What is published under another name is not told."""
        made = told_app()
        assert done(made.node.publish("a", event, data={"x": 1})).receipt is None
        assert told(made) == []

    def test_rooms(self) -> None:
        """Only those of the rooms that the target wants are told, and those to everybody."""
        made = told_app(rooms=["game-*"])
        for room in ("game-1", "chat"):
            done(made.node.publish(room, "chat", "hello"))
        done(made.node.broadcast("chat", "hello"))
        assert [data["room"] for _, data in told(made)] == ["game-1", None]

    @pytest.mark.parametrize(
        ("text", "data"),
        [
            ("\ud800", None),
            *(("hello", data) for data in DATA),
        ],
        ids=repr,
    )
    def test_whatever_can_be_said(self, text: str, data: Any) -> None:
        """What members are given is told too, whatever it is; what cannot be told is refused before they get it."""
        made = told_app()
        ann = arrive(made.node, "ann")
        done(made.node.join(ann, "a"))
        told(made)
        delivered = made.metrics.deliveries
        try:
            done(made.node.publish("a", "chat", text, data))
            refused = False
        except RtError:
            refused = True
        assert types(made) == ([] if refused else ["message-broadcast"])
        assert made.metrics.deliveries == delivered + (not refused)


class TestSessions:
    """What the store keeps for the last events of a node that dies."""

    def test_effects(self) -> None:
        """Sessions and rooms are kept from the event that opens them to the one that closes them."""
        made = told_app()
        ann = arrive(made.node, "ann", identity=Identity(user="u1"))
        done(made.node.join(ann, "a"))
        done(made.node.part(ann, "client namespace disconnect"))
        effects = {
            one.type: effect for one, effect in written(made) if one is not None and effect is not None
        }
        opened = effects["client-connected"].opened
        assert opened is not None
        assert opened.id == ann.session_id
        assert opened.about == {
            "client_id": "ann",
            "user_id": "u1",
            "sid": ann.sid,
            "connected_at": ann.session_since,
        }
        assert effects["client-disconnected"].closed == ann.session_id
        assert effects["room-joined"].entered == effects["room-left"].left == (ann.session_id, "a")

    @pytest.mark.parametrize(
        ("events", "kept"),
        [
            (["client-disconnected"], {"opened", "closed"}),
            (["client-*", "room-left"], {"opened", "closed", "entered", "left"}),
            (["client-connected", "room-joined"], set()),
            (["server-status"], set()),
        ],
    )
    def test_only_what_is_needed(self, events: list[str], kept: set[str]) -> None:
        """Nothing is kept that no last event needs; what is needed is kept, wanted or not at the time."""
        made = told_app(events=events)
        ann = arrive(made.node, "ann")
        done(made.node.join(ann, "a"))
        done(made.node.part(ann, "client namespace disconnect"))
        found = {
            name
            for _, effect in written(made)
            if effect is not None
            for name, value in effect._asdict().items()
            if value is not None
        }
        assert found == kept

    def test_resumed(self) -> None:
        """One that comes back opens no second session, and closes none."""
        made = told_app()
        by_hand(made.node)
        ann = arrive(made.node, "ann")
        list(written(made))
        done(made.node.lose(ann, "transport close"))
        arrive(made.node, "ann")
        ((_, effect),) = written(made)
        assert effect is not None
        assert (effect.opened, effect.closed) == (None, None)


class TestNobodyWants:
    """Without a target."""

    def test_nothing(self) -> None:
        """Without a target nothing is written, and nothing is waited for."""
        made = app()
        ann = person(made.node, "ann")
        done(made.node.connect(ann))
        done(made.node.join(ann, "a"))
        assert done(made.node.publish("a", "chat", "hello")).receipt is None
        made.node.close()
        assert not made.webhooks._journal._entries

    @pytest.mark.parametrize("ack", ["committed", "queued"])
    @pytest.mark.parametrize("store", ["sqlite:///never-opened.db", "memory://"])
    def test_receipts(self, ack: str, store: str) -> None:
        """An ack waits for the commit when it is told to, and the store survives the process."""
        made = told_app(store={"url": store})
        made = app(
            {
                "webhooks": {
                    "ack": ack,
                    "targets": [{"name": "audit", "url": "http://127.0.0.1:9/"}],
                },
                "store": {"url": store},
            }
        )
        receipt = done(made.node.publish("a", "chat", "hello")).receipt
        assert (receipt is not None) is (ack == "committed" and store.startswith("sqlite"))
