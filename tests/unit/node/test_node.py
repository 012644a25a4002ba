"""The node's verbs, one by one."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from rtserver.auth.claims import Identity
from rtserver.client import Client
from rtserver.gateway.msgpack import decode, msgpack_format
from rtserver.node import Node
from rtserver.protocol.errors import BAD_REQUEST, KICKED, RtError
from rtserver.protocol.names import RESERVED_EVENTS
from tests.unit.node.stand_ins import Farewell, app, arrive, by_hand, done, heard, lane, person

ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")

# Beyond JSON, beyond what a stock client takes in one packet, and what poses as a part of the protocol.
UNREADABLE = [
    object(),
    {1, 2},
    {(1,): 2},
    [b"x"] * 11,
    [{"_placeholder": True}, b"x"],
    {"_placeholder": True},
]


@pytest.fixture
def node() -> Node:
    """A node with defaults."""
    return app().node


def empty(node: Node) -> bool:
    """Whether nothing of anybody is left."""
    fanout, holding, roster = node._fanout, node._holding, node._roster
    left = (roster._by_sid, roster._by_id, holding._held, fanout._rooms, fanout._everybody)
    return not any(left) and not len(node.registry)


class TestConnect:
    """``connect``."""

    async def test_welcome(self, node: Node):
        """The welcome has exactly the contract's keys and numbers clients from one on."""
        done(node.connect(person(node, "first")))
        ann = person(node, "ann", name="Ann", identity=Identity(user="ann", expires_at=1_700_000_000.0))
        done(node.connect(ann))
        ((event, body),) = heard(ann)
        assert ISO.fullmatch(body.pop("timestamp"))
        assert (event, body) == (
            "welcome",
            {
                "client_id": "ann",
                "sid": ann.sid,
                "name": "Ann",
                "verified": True,
                "message": "Welcome, Ann",
                "client_number": 2,
                "total_connections": 2,
                "expires_at": "2023-11-14T22:13:20.000Z",
            },
        )

    def test_without_a_token_nothing_expires(self, node: Node):
        """``expires_at`` is null and ``verified`` false for a guest."""
        ann = person(node)
        done(node.connect(ann))
        ((_, body),) = heard(ann)
        assert body["expires_at"] is None
        assert body["verified"] is False

    def test_numbers_are_not_used_again(self, node: Node):
        """``client_number`` counts up for the life of the node; ``total_connections`` counts who is there."""
        done(node.part(arrive(node), "client disconnect"))
        ann = person(node)
        done(node.connect(ann))
        ((_, body),) = heard(ann)
        assert (body["client_number"], body["total_connections"]) == (2, 1)

    def test_without_welcome(self):
        """``announce.welcome: false`` is silence."""
        node = app({"announce": {"welcome": False}}).node
        ann = person(node)
        done(node.connect(ann))
        assert heard(ann) == []

    def test_connections_are_announced_when_configured(self):
        """Everybody hears who comes and goes, with ``announce.connections`` only."""
        node = app({"announce": {"connections": True, "welcome": False}, "recovery": {"grace": 0}}).node
        ann, ben = arrive(node, "ann"), person(node, "ben", name="Ben")
        done(node.connect(ben))
        ((event, body),) = heard(ann)
        assert ISO.fullmatch(body.pop("timestamp"))
        expected = {
            "client_id": "ben",
            "name": "Ben",
            "total_connections": 2,
            "message": "Ben connected",
            "username": "SYSTEM",
            "is_system": True,
        }
        assert (event, body) == ("client_connected", expected)
        done(node.lose(ben, "transport close"))
        ((event, body),) = heard(ann)
        body.pop("timestamp")
        assert event == "client_disconnected"
        assert body == {**expected, "total_connections": 1, "message": "Ben disconnected"}

    def test_who_is_there(self, node: Node):
        """``is_connected`` and ``connected`` know client_ids, however many connections each has."""
        ann, tab, ben = arrive(node, "ann"), arrive(node, "ann"), arrive(node, "ben")
        assert sorted(node.connected()) == ["ann", "ben"]
        assert node.connections == 3
        assert {client.sid for client in node.connections_of("ann")} == {ann.sid, tab.sid}
        done(node.part(ann, "x"))
        assert node.is_connected("ann")
        done(node.part(tab, "x"))
        assert not node.is_connected("ann")
        assert node.connections_of("ann") == []
        assert ben.live


class TestGoing:
    """``part`` and ``lose``."""

    def test_a_goodbye_is_at_once(self, node: Node):
        """Who says goodbye is gone from every room at once; others hear the reason."""
        ann, ben = arrive(node, "ann"), arrive(node, "ben")
        for client in (ann, ben):
            for room in ("a", "b"):
                done(node.join(client, room))
        heard(ann)
        done(node.part(ben, "client disconnect"))
        assert [(event, body["room"], body["reason"]) for event, body in heard(ann)] == [
            ("user_left", "a", "client disconnect"),
            ("user_left", "b", "client disconnect"),
        ]

    def test_a_cut_line_is_held(self, node: Node):
        """Who was cut counts as present for the time of grace, then leaves with a reason, and is heard of once."""
        clock = by_hand(node)
        ann, ben = arrive(node, "ann"), arrive(node, "ben")
        for client in (ann, ben):
            done(node.join(client, "a"))
        heard(ann)
        done(node.lose(ben, "transport close"))
        clock.advance(4.9)
        assert heard(ann) == []
        assert node.registry.count("a") == 2
        assert not node.is_connected("ben")
        clock.advance(0.2)
        ((event, body),) = heard(ann)
        assert (event, body["client_id"], body["count"], body["reason"]) == (
            "user_left",
            "ben",
            1,
            "transport close",
        )
        clock.advance(100)
        assert heard(ann) == []

    @pytest.mark.parametrize("recovery", [{"grace": 0}, {"enabled": False}])
    def test_without_grace(self, recovery: dict[str, Any]):
        """Without a time of grace, or without recovery, a cut line is gone at once."""
        node = app({"recovery": recovery}).node
        ben = arrive(node, "ben")
        done(node.join(ben, "a"))
        done(node.lose(ben, "transport close"))
        assert empty(node)

    def test_going_twice_is_going_once(self, node: Node):
        """A second end of the same client changes nothing."""
        ann = arrive(node, "ann")
        ben = arrive(node, "ben")
        done(node.join(ann, "a"))
        done(node.join(ben, "a"))
        done(node.part(ben, "x"))
        heard(ann)
        done(node.part(ben, "x"))
        done(node.lose(ben, "x"))
        assert heard(ann) == []
        assert node.connections == 1

    def test_who_is_gone_hears_nothing(self, node: Node):
        """Nothing is written to a client that is gone or held."""
        by_hand(node)
        ann, ben, cat = arrive(node, "ann"), arrive(node, "ben"), arrive(node, "cat")
        for client in (ann, ben, cat):
            done(node.join(client, "a"))
        done(node.part(ann, "x"))
        done(node.lose(ben, "x"))
        for client in (ann, ben):
            heard(client)
        done(node.publish("a", message="x"))
        done(node.broadcast(message="x"))
        assert done(node.send("ann", "x", 1)) == done(node.send("ben", "x", 1)) == 0
        assert heard(ann) == heard(ben) == []


class TestBlinking:
    """A line that is cut and comes back within the time of grace."""

    @staticmethod
    def blinking(node: Node, times: int) -> tuple[Client, Client]:
        """A witness, and ann after some blinks, each life in the room."""
        witness = arrive(node, "witness")
        done(node.join(witness, "a"))
        ann = arrive(node, "ann")
        done(node.join(ann, "a"))
        heard(witness)
        for _ in range(times):
            done(node.lose(ann, "transport close"))
            ann = arrive(node, "ann")
            done(node.join(ann, "a"))
        return witness, ann

    @pytest.mark.parametrize("times", [1, 2, 3])
    def test_nobody_hears_of_it(self, node: Node, times: int):
        """However often it blinks, nobody hears of it, and it is one member with one connection."""
        clock = by_hand(node)
        witness, ann = self.blinking(node, times)
        assert heard(witness) == []
        clock.advance(60)
        assert heard(witness) == []
        assert [(m["client_id"], m["connections"]) for m in node.members("a")] == [("witness", 1), ("ann", 1)]
        assert node.connections_of("ann") == [ann]

    @pytest.mark.parametrize("times", [1, 2, 3])
    def test_goodbye_ends_all_its_lives(self, node: Node, times: int):
        """After a goodbye nothing of its former lives is left in the room."""
        by_hand(node)
        witness, ann = self.blinking(node, times)
        done(node.part(ann, "client disconnect"))
        assert [event for event, _ in heard(witness)] == ["user_left"]
        assert node.registry.count("a") == 1

    @pytest.mark.parametrize("times", [1, 2, 3])
    def test_leaving_leaves_with_all_its_lives(self, node: Node, times: int):
        """After leaving a room nothing of its former lives is left in it."""
        by_hand(node)
        witness, ann = self.blinking(node, times)
        done(node.leave(ann, "a"))
        assert [event for event, _ in heard(witness)] == ["user_left"]
        assert node.registry.count("a") == 1

    def test_rooms_it_does_not_join_again(self, node: Node):
        """A room that it does not come back to is left when the time of grace is over."""
        clock = by_hand(node)
        witness, ann = arrive(node, "witness"), arrive(node, "ann")
        for client in (witness, ann):
            done(node.join(client, "a"))
        heard(witness)
        done(node.lose(ann, "transport close"))
        arrive(node, "ann")
        clock.advance(6)
        assert [event for event, _ in heard(witness)] == ["user_left"]

    def test_is_announced_as_one_connection(self):
        """With ``announce.connections`` a blink is neither a disconnect nor a connect."""
        node = app({"announce": {"connections": True, "welcome": False}}).node
        clock = by_hand(node)
        witness, ann = self.blinking(node, 3)
        clock.advance(60)
        assert [event for event, _ in heard(witness)] == []
        done(node.part(ann, "x"))
        assert [event for event, _ in heard(witness)] == ["user_left", "client_disconnected"]


class TestSendingAway:
    """``disconnect``."""

    def test_every_connection(self, node: Node):
        """Every connection of the client_id is dismissed as kicked, with the given sentence; nobody else's is."""
        gateway = Farewell(node)
        tabs = [arrive(node, "ann", gateway=gateway) for _ in range(3)]
        arrive(node, "ben", gateway=gateway)
        assert done(node.disconnect("ann", "enough")) == 3
        assert {sid for sid, _ in gateway.dismissed} == {tab.sid for tab in tabs}
        assert {(error.reason, error.message) for _, error in gateway.dismissed} == {(KICKED, "enough")}
        assert node.connected() == ["ben"]

    def test_what_is_held_goes_too(self, node: Node):
        """A connection that was just cut is not left behind in the rooms."""
        by_hand(node)
        witness, tab, lost = arrive(node, "witness"), arrive(node, "ann"), arrive(node, "ann")
        for client in (witness, lost):
            done(node.join(client, "a"))
        heard(witness)
        done(node.lose(lost, "transport close"))
        assert done(node.disconnect("ann")) == 1
        assert not tab.live
        assert [event for event, _ in heard(witness)] == ["user_left"]

    def test_nobody(self, node: Node):
        """Nobody of that name is nobody disconnected."""
        assert done(node.disconnect("ann")) == 0


class TestRooms:
    """``join``, ``leave``, ``subscribe``."""

    def test_joining_too_late_leaves_no_ghost(self, node: Node):
        """Code that lets a client in which has gone meanwhile makes nobody a member."""
        for end in (node.part, node.lose):
            clock = by_hand(node)
            ann = arrive(node)
            done(end(ann, "x"))
            done(node.join(ann, "a"))
            clock.advance(60)
            assert empty(node)

    def test_joining_too_early_leaves_no_ghost(self, node: Node):
        """One that has not come in yet is no member."""
        done(node.join(person(node), "a"))
        assert empty(node)

    def test_subscribing_is_not_joining(self, node: Node):
        """Who subscribes hears the room and is not shown in it; it leaves no trace when it goes."""
        ann = arrive(node)
        node.subscribe(ann, "a")
        done(node.publish("a", message="x"))
        assert len(heard(ann)) == 1
        assert node.members("a") == []
        node.unsubscribe(ann, "a")
        done(node.publish("a", message="x"))
        assert heard(ann) == []
        node.subscribe(ann, "a")
        done(node.part(ann, "x"))
        assert empty(node)

    def test_joined_at_is_of_the_first(self, node: Node):
        """``joined_at`` is when the member came, not when its second connection did."""
        one, two = arrive(node), arrive(node)
        done(node.join(one, "a"))
        before = node.members("a")[0]["joined_at"]
        done(node.join(two, "a"))
        assert node.members("a")[0]["joined_at"] == before
        assert ISO.fullmatch(before)

    def test_silent_joins(self):
        """``announce.joins: false`` silences ``user_joined`` and ``user_left``."""
        node = app({"announce": {"joins": False}}).node
        ann, ben = arrive(node, "ann"), arrive(node, "ben")
        for client in (ann, ben):
            done(node.join(client, "a"))
        done(node.leave(ben, "a"))
        assert heard(ann) == []


class TestPublish:
    """``publish``, ``broadcast`` and ``send``, as backends call them."""

    def test_broadcast_by_the_system(self, node: Node):
        """A message of the server's own is the contract's object with the sender null and named SYSTEM."""
        ann = arrive(node)
        done(node.join(ann, "a"))
        published = done(node.publish("a", message="hi", data={"x": 1}))
        assert (published.offset, published.recipients) == (1, 1)
        assert heard(ann) == [
            [
                "broadcast",
                {
                    "id": published.id,
                    "room": "a",
                    "sender": None,
                    "username": "SYSTEM",
                    "message": "hi",
                    "data": {"x": 1},
                    "timestamp": published.timestamp,
                    "offset": 1,
                },
            ]
        ]

    @pytest.mark.parametrize(
        ("given", "payload"),
        [
            ({"data": {"a": 1}}, {"a": 1}),
            ({"data": [1, b"x"]}, [1, b"x"]),
            ({"data": "text"}, "text"),
            ({"data": None}, None),
            ({"data": b"x"}, b"x"),
            ({"message": "only"}, "only"),
            ({"message": "both", "data": 5}, 5),
        ],
        ids=repr,
    )
    def test_other_events_carry_exactly_their_data(self, node: Node, given: dict[str, Any], payload: Any):
        """The payload of any other event is exactly ``data``, or ``message`` without data; it has an offset."""
        ann = arrive(node)
        done(node.join(ann, "a"))
        assert done(node.publish("a", "task_update", **given)).offset == 1
        assert heard(ann) == [["task_update", payload]]

    def test_names_are_normalised(self, node: Node):
        """Two spellings of one name are one room, and one client_id, for backends as for clients."""
        ann = arrive(node, "zoë")
        done(node.join(ann, "café"))
        assert done(node.publish("cafe\u0301", "news", data=1)).recipients == 1
        assert done(node.send("zoe\u0308", "news", 2)) == 1
        assert heard(ann) == [["news", 1], ["news", 2]]

    @pytest.mark.parametrize("target", [None, "", "  ", 0, False, [], {}, b"a", "x" * 129, "a\x00"], ids=repr)
    def test_no_target_is_nobody(self, node: Node, target: Any):
        """What is no name is a ``bad_request``; it never means everybody."""
        ann = arrive(node)
        for verb in (node.publish(target, message="x"), node.send(target, "x", 1)):
            with pytest.raises(RtError) as refusal:
                done(verb)
            assert refusal.value.reason is BAD_REQUEST
        assert heard(ann) == []

    def test_to_an_empty_room(self, node: Node):
        """Publishing where nobody is has no recipients, and is remembered."""
        assert done(node.publish("a", message="x")).recipients == 0
        assert [one.payload["message"] for one in done(node.latest("a", 10)).publications] == ["x"]
        assert empty(node)

    def test_skip(self, node: Node):
        """Those in ``skip`` get nothing and are not counted."""
        ann, ben = arrive(node, "ann"), arrive(node, "ben")
        assert done(node.say(None, "broadcast", "x", skip=(ann.sid, "nobody"))).recipients == 1
        assert heard(ann) == []
        assert len(heard(ben)) == 1

    @pytest.mark.parametrize("event", [*sorted(RESERVED_EVENTS), "", "  ", "a\x00", "x" * 200])
    def test_events_that_may_not_be(self, node: Node, event: str):
        """Names that Socket.IO reserves, and what is no name, are refused from every entrance, and used up nothing."""
        ann = arrive(node)
        for verb in (
            node.publish("a", event, data=1),
            node.broadcast(event, data=1),
            node.send("ann", event, 1),
        ):
            with pytest.raises(RtError) as refusal:
                done(verb)
            assert refusal.value.reason is BAD_REQUEST
        assert heard(ann) == []
        assert done(node.publish("a", message="x")).offset == 1

    @pytest.mark.parametrize("data", UNREADABLE, ids=lambda data: repr(data)[:20])
    def test_data_that_no_client_can_read(self, node: Node, data: Any):
        """What cannot be written for a stock client is ``bad_request`` from every verb, and used up nothing."""
        ann = arrive(node)
        done(node.join(ann, "a"))
        for verb in (
            node.publish("a", data=data),
            node.publish("a", "custom", data=data),
            node.broadcast("custom", data=data),
            node.send("ann", "custom", data),
        ):
            with pytest.raises(RtError) as refusal:
                done(verb)
            assert refusal.value.reason is BAD_REQUEST
        assert heard(ann) == []
        assert done(node.publish("a", message="x")).offset == 1

    def test_send(self, node: Node):
        """``send`` reaches every connection of a client_id with exactly the data."""
        tabs = [arrive(node, "ann"), arrive(node, "ann")]
        ben = arrive(node, "ben")
        assert done(node.send("ann", "hello", {"a": b"x"})) == 2
        assert [heard(tab) for tab in tabs] == [[["hello", {"a": b"x"}]]] * 2
        assert done(node.send("nobody", "hello")) == 0
        assert heard(ben) == []

    def test_metrics(self):
        """Deliveries are counted one by one, messages by the contract's events."""
        application = app()
        node, metrics = application.node, application.metrics
        for who in ("ann", "ben"):
            done(node.join(arrive(node, who), "a"))
        done(node.publish("a", message="x"))
        done(node.publish("a", "custom", data=1))
        assert metrics.deliveries == 4
        assert metrics.messages["broadcast"] == 1
        assert sum(metrics.messages.values()) == 2


class TestMixedRooms:
    """Clients of both encodings in one room."""

    @pytest.mark.parametrize(
        "data", [datetime(2026, 1, 2, tzinfo=UTC), UUID(int=1), (1, 2), {1: "a"}, 2**70, "\ud800"], ids=repr
    )
    def test_who_else_is_there_decides_nothing(self, node: Node, data: Any):
        """What a backend may publish to JSON clients it may publish to a mixed room; both get the same."""
        ann, ben = arrive(node, "ann"), person(node, "ben")
        ben.format = msgpack_format("/")
        done(node.connect(ben))
        lane(ben).written.clear()
        assert done(node.broadcast("custom", data=data)).recipients == 2
        ((packed,),) = (out.packets for out in lane(ben).written)
        assert [decode(packed).data] == heard(ann)

    @pytest.mark.parametrize("data", [object(), {1, 2}])
    def test_all_or_nobody(self, node: Node, data: Any):
        """What cannot be written reaches nobody, neither in one encoding nor in the other."""
        ann, ben = arrive(node, "ann"), person(node, "ben")
        ben.format = msgpack_format("/")
        done(node.connect(ben))
        lane(ben).written.clear()
        with pytest.raises(RtError):
            done(node.broadcast("custom", data=data))
        assert heard(ann) == []
        assert lane(ben).written == []


class TestCost:
    """Coming and going costs one's own rooms, never all rooms."""

    def test_leaving_does_not_walk_all_rooms(self, node: Node, monkeypatch: pytest.MonkeyPatch):
        """Who is in two rooms of ten thousand touches two of them on the way out."""
        host = arrive(node, "host")
        for number in range(10_000):
            node.subscribe(host, f"r{number}")
        ann = arrive(node)
        for room in ("r1", "r2"):
            done(node.join(ann, room))
        touched: list[str] = []
        whole = type(node._fanout).unsubscribe

        def counted(self: Any, room: str, subscriber: Any) -> None:
            touched.append(room)
            whole(self, room, subscriber)

        monkeypatch.setattr(type(node._fanout), "unsubscribe", counted)
        done(node.part(ann, "x"))
        assert set(touched) == {"r1", "r2"}
        assert len(touched) <= 4
