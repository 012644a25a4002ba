"""Every event through the router, with a real node and broker: acknowledgements, and what others hear."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from rtserver.auth.claims import Identity
from tests.unit.handlers.table import Table, reason
from tests.unit.node.stand_ins import done, heard, lane, person

ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


class TestJoin:
    """``join``."""

    def test_ack(self, table: Table):
        """The ack has exactly the contract's keys, with the joiner among the members."""
        ack = table.ask(table.person("ann", name="Ann"), "join", {"room": "lobby"})
        (member,) = ack.pop("members")
        assert ack == {
            "ok": True,
            "room": "lobby",
            "count": 1,
            "offset": 0,
            "history": [],
            "recovered": False,
        }
        assert TIMESTAMP.fullmatch(member.pop("joined_at"))
        assert member == {"client_id": "ann", "name": "Ann", "verified": False, "connections": 1}

    def test_others_hear(self, table: Table):
        """Those in the room hear ``user_joined`` with exactly the contract's keys; the joiner does not."""
        ann = table.person("ann", "lobby")
        stranger = table.person("eve")
        ben = table.person("ben", "lobby", name="Ben")
        ((event, body),) = heard(ann)
        assert TIMESTAMP.fullmatch(body.pop("timestamp"))
        assert (event, body) == (
            "user_joined",
            {
                "room": "lobby",
                "client_id": "ben",
                "name": "Ben",
                "count": 2,
                "message": "Ben joined the room",
                "username": "SYSTEM",
                "is_system": True,
            },
        )
        assert heard(ben) == heard(stranger) == []

    def test_twice(self, table: Table):
        """Joining twice is answered alike and announced once."""
        ann, ben = table.person("ann", "lobby"), table.person("ben", "lobby")
        heard(ann)
        assert table.ask(ben, "join", {"room": "lobby"})["count"] == 2
        assert heard(ann) == []

    def test_second_tab(self, table: Table):
        """A user's second connection is the same member: counted once, announced never."""
        ann, ben = table.person("ann", "lobby"), table.person("ben", "lobby")
        heard(ann)
        again = table.person("ben")
        ack = table.ask(again, "join", {"room": "lobby"})
        assert ack["count"] == 2
        assert [member["connections"] for member in ack["members"]] == [1, 2]
        assert heard(ann) == heard(ben) == []

    def test_at_most_a_hundred_members_are_shown(self, table: Table):
        """``members`` lists at most 100; ``count`` is exact."""
        for number in range(101):
            table.person(f"p{number}", "lobby")
        ack = table.ask(table.person("last"), "join", {"room": "lobby"})
        assert (len(ack["members"]), ack["count"]) == (100, 102)

    def test_history(self, table: Table):
        """``history: n`` gives the latest n publications, oldest first, as they were delivered."""
        ann = table.person("ann", "lobby")
        for number in range(5):
            table.ask(ann, "chat", {"room": "lobby", "message": str(number), "data": b"x"})
        said = [body for event, body in heard(ann) if event == "chat"]
        ack = table.ask(table.person("ben"), "join", {"room": "lobby", "history": 3})
        assert ack["history"] == [{"event": "chat", **body} for body in said[-3:]]
        assert ack["offset"] == 5

    @pytest.mark.parametrize(
        ("since", "recovered", "offsets"),
        [(5, True, []), (3, True, [4, 5]), (0, True, [1, 2, 3, 4, 5]), (6, False, [])],
    )
    def test_since(self, table: Table, since: int, recovered: bool, offsets: list[int]):
        """``since`` gives what came after an offset; ``recovered`` says that nothing is missing."""
        ann = table.person("ann", "lobby")
        for number in range(5):
            table.ask(ann, "chat", {"room": "lobby", "message": str(number)})
        ack = table.ask(table.person("ben"), "join", {"room": "lobby", "since": since})
        assert ack["recovered"] is recovered
        assert [one["offset"] for one in ack["history"]] == offsets

    def test_names_are_normalised(self, table: Table):
        """Two spellings of one name are one room."""
        table.person("ann", "café")
        ack = table.ask(table.person("ben"), "join", {"room": "cafe\u0301"})
        assert (ack["room"], ack["count"]) == ("café", 2)

    @pytest.mark.parametrize("name", ["user:ann", "topic:x", "sid:y", "user:"])
    def test_reserved_prefixes(self, table: Table, name: str):
        """Names that the server uses itself are nobody's to join."""
        assert reason(table.ask(table.person(), "join", {"room": name})) == "forbidden"

    def test_too_many_rooms(self):
        """``limits.rooms_per_client`` holds for new rooms, and rooms left make place."""
        table = Table({"limits": {"rooms_per_client": 2}})
        ann = table.person("ann", "a", "b")
        assert reason(table.ask(ann, "join", {"room": "c"})) == "too_many_rooms"
        assert table.ask(ann, "join", {"room": "a"})["ok"]
        table.ask(ann, "leave", {"room": "a"})
        assert table.ask(ann, "join", {"room": "c"})["ok"]

    def test_room_full(self):
        """``max_members`` counts client_ids: a member's second tab comes in, a third person does not."""
        table = Table({"rooms": [{"match": "small", "max_members": 2}, {"match": "*"}]})
        table.person("ann", "small")
        table.person("ben", "small")
        ack = table.ask(table.person("cat"), "join", {"room": "small"})
        assert reason(ack) == "room_full"
        assert ack["error"]["code"] == 4011
        assert table.ask(table.person("ben"), "join", {"room": "small"})["count"] == 2
        assert table.ask(table.person("cat"), "join", {"room": "large"})["ok"]

    def test_a_refused_join_leaves_nothing(self):
        """Who was refused is in no room and hears nothing of it."""
        table = Table({"rooms": [{"match": "*", "join": "nobody", "publish": "anyone"}]})
        eve = table.person("eve")
        assert reason(table.ask(eve, "join", {"room": "vip"})) == "forbidden"
        assert table.ask(table.person("ann"), "chat", {"room": "vip", "message": "x"})["ok"]
        assert heard(eve) == []
        assert table.ask(eve, "rooms")["rooms"] == []
        assert len(table.node.registry) == 0

    def test_without_presence(self):
        """Where presence is off the ack lists nobody and nothing is announced; the count is exact."""
        table = Table({"rooms": [{"match": "*", "presence": False}]})
        ann = table.person("ann", "dark")
        ack = table.ask(table.person("ben"), "join", {"room": "dark"})
        assert (ack["members"], ack["count"]) == ([], 2)
        assert heard(ann) == []


class TestLeave:
    """``leave``."""

    def test_ack_and_announcement(self, table: Table):
        """The ack names the room; those who stay hear ``user_left``; who left hears nothing of the room any more."""
        ann, ben = table.person("ann", "lobby"), table.person("ben", "lobby", name="Ben")
        heard(ann)
        assert table.ask(ben, "leave", {"room": "lobby"}) == {"ok": True, "room": "lobby"}
        ((event, body),) = heard(ann)
        assert TIMESTAMP.fullmatch(body.pop("timestamp"))
        assert (event, body) == (
            "user_left",
            {
                "room": "lobby",
                "client_id": "ben",
                "name": "Ben",
                "count": 1,
                "message": "Ben left the room",
                "username": "SYSTEM",
                "is_system": True,
            },
        )
        table.ask(ann, "chat", {"room": "lobby", "message": "alone"})
        assert heard(ben) == []

    def test_one_tab_of_two(self, table: Table):
        """The member stays while another tab is in the room."""
        ann = table.person("ann", "lobby")
        one, two = table.person("ben", "lobby"), table.person("ben", "lobby")
        heard(ann)
        table.ask(one, "leave", {"room": "lobby"})
        assert heard(ann) == []
        table.ask(two, "leave", {"room": "lobby"})
        assert [event for event, _ in heard(ann)] == ["user_left"]

    def test_not_a_member(self, table: Table):
        """One cannot leave where one is not, or leave twice."""
        ann = table.person("ann", "lobby")
        assert reason(table.ask(ann, "leave", {"room": "other"})) == "not_a_member"
        table.ask(ann, "leave", {"room": "lobby"})
        assert reason(table.ask(ann, "leave", {"room": "lobby"})) == "not_a_member"


class TestChatAndBroadcast:
    """``chat`` and ``broadcast``."""

    @pytest.mark.parametrize("event", ["chat", "broadcast"])
    @pytest.mark.parametrize("room", ["lobby", None])
    @pytest.mark.parametrize("data", [{}, {"data": None}, {"data": {"a": [b"\0", 1]}}], ids=repr)
    def test_body(self, table: Table, event: str, room: str | None, data: dict[str, Any]):
        """Everybody concerned, the sender too, hears the contract's object, with ``data`` exactly when it was given."""
        ann, ben = table.person("ann", "lobby", name="Ann"), table.person("ben", "lobby")
        stranger = table.person("eve")
        heard(ann)
        payload = {"message": "hi", **data} | ({"room": room} if room else {})
        ack = table.ask(ann, event, payload)
        keys = {"ok", "id", "offset", "timestamp"} | ({"recipients"} if event == "broadcast" else set())
        assert ack.keys() == keys
        assert ID.fullmatch(ack["id"])
        assert TIMESTAMP.fullmatch(ack["timestamp"])
        body = {
            "id": ack["id"],
            "room": room,
            "sender": "ann",
            "username": "Ann",
            "message": "hi",
            **data,
            "timestamp": ack["timestamp"],
            "offset": 1,
        }
        assert heard(ann) == heard(ben) == [[event, body]]
        assert heard(stranger) == ([] if room else [[event, body]])
        if event == "broadcast":
            assert ack["recipients"] == (2 if room else 3)

    @pytest.mark.parametrize("event", ["chat", "broadcast"])
    @pytest.mark.parametrize("room", ["lobby", None])
    def test_echo_false(self, table: Table, event: str, room: str | None):
        """With ``echo: false`` the sending connection alone hears nothing, and is not counted."""
        ann, ben, tab = (table.person(who, "lobby") for who in ("ann", "ben", "ann"))
        for client in (ann, ben):
            heard(client)
        ack = table.ask(ann, event, {"message": "hi", "echo": False} | ({"room": room} if room else {}))
        assert heard(ann) == []
        assert len(heard(ben)) == len(heard(tab)) == 1
        assert ack.get("recipients", 2) == 2

    def test_offsets(self, table: Table):
        """Offsets rise by one per publication of a room; those to everybody are a stream of their own."""
        ann = table.person("ann", "a", "b")
        offsets = [
            table.ask(ann, event, {"message": ""} | ({"room": room} if room else {}))["offset"]
            for event, room in (
                ("chat", "a"),
                ("broadcast", "a"),
                ("chat", "b"),
                ("chat", None),
                ("broadcast", None),
            )
        ]
        assert offsets == [1, 2, 1, 1, 2]

    def test_a_refused_message_uses_no_offset(self, table: Table):
        """What nobody heard is not counted."""
        ann = table.person("ann", "a")
        deep: Any = 1
        for _ in range(400):
            deep = [deep]
        assert reason(table.ask(ann, "chat", {"room": "a", "message": "", "data": deep})) == "bad_request"
        assert table.ask(ann, "chat", {"room": "a", "message": ""})["offset"] == 1

    def test_members_only(self, table: Table):
        """By default only members publish to a room."""
        assert reason(table.ask(table.person(), "chat", {"room": "a", "message": ""})) == "not_a_member"

    def test_ids_sort_by_time(self, table: Table):
        """A later message has the greater id."""
        ann = table.person()
        ids = [table.ask(ann, "chat", {"message": ""})["id"] for _ in range(50)]
        assert ids == sorted(set(ids))

    def test_without_an_ack_nothing_is_answered(self, table: Table):
        """The sender of an event without an ack hears the message itself only."""
        ann = table.person()
        table.tell(ann, "chat", {"message": "hi"})
        assert [event for event, _ in heard(ann)] == ["chat"]


class TestPrivate:
    """``private``."""

    def test_every_connection_of_one(self, table: Table):
        """Every connection of the client_id gets the message, nobody else, not even the sender."""
        ann, ben, tab, eve = (table.person(who) for who in ("ann", "ben", "ben", "eve"))
        ack = table.ask(ann, "private", {"to": "ben", "message": "psst", "data": b"x"})
        assert ack.keys() == {"ok", "id", "timestamp", "delivered"}
        assert ack["delivered"] == 2
        body = {
            "id": ack["id"],
            "sender": "ann",
            "username": "ann",
            "to": "ben",
            "message": "psst",
            "data": b"x",
            "timestamp": ack["timestamp"],
        }
        assert heard(ben) == heard(tab) == [["private", body]]
        assert heard(ann) == heard(eve) == []

    def test_to_oneself(self, table: Table):
        """One may write to oneself; every own connection gets it."""
        ann, tab = table.person("ann"), table.person("ann")
        assert table.ask(ann, "private", {"to": "ann", "message": ""})["delivered"] == 2
        assert len(heard(ann)) == len(heard(tab)) == 1

    @pytest.mark.parametrize("to", ["nobody", "lobby", "SYSTEM"])
    def test_nobody_there(self, table: Table, to: str):
        """Nobody under that client_id is ``not_found``; a room is nobody, and neither is a sid."""
        ann = table.person("ann", "lobby")
        assert reason(table.ask(ann, "private", {"to": to, "message": ""})) == "not_found"
        assert reason(table.ask(ann, "private", {"to": ann.sid, "message": ""})) == "not_found"
        assert heard(ann) == []

    @pytest.mark.parametrize("depth", [300, 900])
    def test_data_that_cannot_be_written(self, table: Table, depth: int):
        """Data that cannot be written again is the sender's mistake, not the server's."""
        deep: Any = 1
        for _ in range(depth):
            deep = [deep]
        ann, ben = table.person("ann"), table.person("ben")
        assert reason(table.ask(ann, "private", {"to": "ben", "message": "", "data": deep})) == "bad_request"
        assert heard(ben) == []


class TestTyping:
    """``typing``."""

    @pytest.mark.parametrize("is_typing", [True, False])
    def test_others_see_it(self, table: Table, is_typing: bool):
        """The others in the room hear ``user_typing``, which may be dropped under pressure and is never stored."""
        ann, ben, tab = (
            table.person("ann", "a", name="Ann"),
            table.person("ben", "a"),
            table.person("ann", "a"),
        )
        heard(ann)
        assert table.ask(ann, "typing", {"room": "a", "is_typing": is_typing}) == {"ok": True}
        assert len(lane(ben).volatile) == 1
        body = {"room": "a", "client_id": "ann", "username": "Ann", "is_typing": is_typing}
        assert heard(ben) == heard(tab) == [["user_typing", body]]
        assert heard(ann) == []
        assert table.ask(ben, "history", {"room": "a"})["messages"] == []

    def test_only_members(self, table: Table):
        """Who is not in the room does not type there."""
        assert reason(table.ask(table.person(), "typing", {"room": "a", "is_typing": True})) == "not_a_member"


class TestPing:
    """``ping``."""

    @pytest.mark.parametrize("args", [[], [None], [5], ["x"], [{"a": 1}], [1, 2, 3], [b"x"]], ids=repr)
    def test_takes_anything(self, table: Table, args: list[Any]):
        """Whatever it carries, the ack is ``pong`` and the time."""
        ack = table.ask(table.person(), "ping", *args)
        assert TIMESTAMP.fullmatch(ack.pop("timestamp"))
        assert ack == {"ok": True, "pong": True}

    def test_without_an_ack(self, table: Table):
        """Without an ack the sender gets ``pong`` with the time."""
        ann, ben = table.person("ann"), table.person("ben")
        table.tell(ann, "ping", {"x": 1})
        ((event, body),) = heard(ann)
        assert event == "pong"
        assert body.keys() == {"timestamp"}
        assert heard(ben) == []


class TestPresence:
    """``presence``."""

    def test_ack(self, table: Table):
        """The ack lists who is there, with their connections, and counts them exactly."""
        table.person("ann", "a", name="Ann")
        tab = table.person("ann", "a", name="Ann")
        table.person("ben", "a", identity=Identity(user="ben"))
        ack = table.ask(tab, "presence", {"room": "a"})
        assert ack.keys() == {"ok", "members", "count"}
        assert ack["count"] == 2
        assert all(TIMESTAMP.fullmatch(member.pop("joined_at")) for member in ack["members"])
        assert ack["members"] == [
            {"client_id": "ann", "name": "Ann", "verified": False, "connections": 2},
            {"client_id": "ben", "name": "ben", "verified": True, "connections": 1},
        ]

    def test_an_empty_room(self, table: Table):
        """A room without members has none; looking creates nothing."""
        assert table.ask(table.person(), "presence", {"room": "empty"}) == {
            "ok": True,
            "members": [],
            "count": 0,
        }
        assert len(table.node.registry) == 0

    def test_pages(self, table: Table):
        """``limit`` and ``cursor`` walk through everybody, each once."""
        everybody = [f"p{number}" for number in range(25)]
        for who in everybody:
            table.person(who, "a")
        seen: list[str] = []
        cursor: dict[str, str] = {}
        for _ in range(10):
            ack = table.ask(table.person("x"), "presence", {"room": "a", "limit": 7, **cursor})
            assert ack["count"] == 25
            seen += [member["client_id"] for member in ack["members"]]
            if "next" not in ack:
                break
            cursor = {"cursor": ack["next"]}
        assert seen == everybody

    def test_forbidden(self):
        """Who may not join may not look, and where presence is off nobody may."""
        table = Table(
            {
                "rooms": [
                    {"match": "closed", "join": "nobody"},
                    {"match": "dark", "presence": False},
                    {"match": "*"},
                ]
            }
        )
        ann = table.person("ann", "dark")
        assert reason(table.ask(ann, "presence", {"room": "closed"})) == "forbidden"
        assert reason(table.ask(ann, "presence", {"room": "dark"})) == "forbidden"


class TestHistory:
    """``history``."""

    def test_ack(self, table: Table):
        """Publications oldest first, the stream's offset, and whether anything is missing."""
        ann = table.person("ann", "a")
        for number in range(4):
            table.ask(ann, "broadcast", {"room": "a", "message": str(number)})
        ack = table.ask(ann, "history", {"room": "a", "limit": 2})
        assert ack.keys() == {"ok", "messages", "offset", "complete"}
        assert [message["message"] for message in ack["messages"]] == ["2", "3"]
        assert ack["messages"][0].keys() == {
            *("event", "id", "room", "sender", "username", "message", "timestamp", "offset")
        }
        assert ack["offset"] == 4

    def test_before_and_since(self, table: Table):
        """``before`` is exclusive, and so is ``since``."""
        ann = table.person("ann", "a")
        for number in range(6):
            table.ask(ann, "chat", {"room": "a", "message": str(number)})

        def offsets(**fields: int) -> list[int]:
            return [one["offset"] for one in table.ask(ann, "history", {"room": "a", **fields})["messages"]]

        assert offsets(before=3) == [1, 2]
        assert offsets(since=4) == [5, 6]
        assert offsets(since=2, before=5) == [3, 4]

    def test_complete(self):
        """``complete`` is false when publications since the offset were evicted."""
        table = Table({"rooms": [{"match": "*", "history": {"size": 2}}]})
        ann = table.person("ann", "a")
        for number in range(4):
            table.ask(ann, "chat", {"room": "a", "message": str(number)})
        assert table.ask(ann, "history", {"room": "a", "since": 1})["complete"] is False
        assert table.ask(ann, "history", {"room": "a", "since": 2})["complete"] is True

    def test_custom_events_show_their_data(self, table: Table):
        """A publication under another event name is listed with its data, whatever they are."""
        ann = table.person("ann", "a")
        done(table.node.publish("a", "task_update", data=[1, 2]))
        assert heard(ann) == [["task_update", [1, 2]]]
        (message,) = table.ask(ann, "history", {"room": "a"})["messages"]
        assert ID.fullmatch(message.pop("id"))
        assert message.pop("timestamp").endswith("Z")
        assert message == {"event": "task_update", "room": "a", "data": [1, 2], "offset": 1}

    def test_forbidden(self):
        """Who may not join may not read; a member may."""
        table = Table({"rooms": [{"match": "*", "join": "authenticated"}]})
        assert reason(table.ask(table.person("eve"), "history", {"room": "a"})) == "forbidden"
        ann = table.person("ann", "a", identity=Identity(user="ann"))
        assert table.ask(ann, "history", {"room": "a"})["ok"]

    @pytest.mark.parametrize("how", ["join", "history"])
    def test_an_answer_has_a_size(self, table: Table, how: str):
        """A short question is not worth an answer without end: the oldest are left out, and the answer says so."""
        ann = table.person("ann", "a")
        for _ in range(30):
            table.ask(ann, "chat", {"room": "a", "message": "\x01" * 60_000}, now=1e6)
        asked = {"room": "a", "since": 0} | ({"history": 100} if how == "join" else {"limit": 100})
        answer = table.ask(table.person("ben"), how, asked, now=1e6)
        kept = answer["history" if how == "join" else "messages"]
        assert 1 <= len(kept) < 30
        assert kept[-1]["offset"] == answer["offset"] == 30
        assert not answer["recovered" if how == "join" else "complete"]
        assert len(json.dumps(kept)) < 1_200_000

    @pytest.mark.parametrize("how", ["join", "history"])
    @pytest.mark.parametrize("depth", [10, 60, 120, 195, 198, 210, 248, 249, 250, 251, 252, 253, 260])
    @pytest.mark.parametrize("binary_beside", [False, True])
    def test_whatever_was_accepted_can_be_read_again(
        self, table: Table, how: str, depth: int, binary_beside: bool
    ):
        """A message that was accepted can be written into an answer with history, however deep its data are."""
        ann = table.person("ann", "a")
        deep: Any = 1
        for _ in range(depth):
            deep = [deep]
        accepted = table.ask(ann, "chat", {"room": "a", "message": "", "data": deep})
        if binary_beside:
            table.ask(ann, "chat", {"room": "a", "message": "", "data": b"x"})
        if not accepted["ok"]:
            assert reason(accepted) == "bad_request"
        ben = table.person("ben")
        ack = table.ask(ben, how, {"room": "a"} | ({"history": 9} if how == "join" else {}))
        ben.format.ack(1, [ack])  # type: ignore[attr-defined]

    @pytest.mark.parametrize("how", ["join", "history"])
    def test_an_answer_is_one_that_a_stock_client_takes(self, table: Table, how: str):
        """However much binary a room remembers, and whatever looks like it, the answer can be read."""
        ann = table.person("ann", "a")
        forged = {"_placeholder": True, "num": 99}
        for data in [forged, {"deep": [forged]}, *(b"%d" % number for number in range(15))]:
            table.ask(ann, "chat", {"room": "a", "message": "", "data": data})
        ben = table.person("ben")
        ack = table.ask(ben, how, {"room": "a"} | ({"history": 100} if how == "join" else {}))
        ben.session.send(ben.format.ack(1, [ack]))  # type: ignore[attr-defined]
        ((read,),) = heard(ben)
        assert read == ack


class TestRooms:
    """``rooms``."""

    @pytest.mark.parametrize("args", [[], [{}]])
    def test_ack(self, table: Table, args: list[Any]):
        """The names of one's rooms, in the order of joining, with or without an empty payload."""
        ann = table.person("ann", "b", "a", "c")
        table.ask(ann, "leave", {"room": "a"})
        assert table.ask(ann, "rooms", *args) == {"ok": True, "rooms": ["b", "c"]}

    def test_those_of_this_connection(self, table: Table):
        """Another tab's rooms are its own."""
        table.person("ann", "a")
        assert table.ask(table.person("ann"), "rooms")["rooms"] == []


class TestWho:
    """What a client that has not come in, or has gone, can do."""

    def test_one_that_is_being_accepted_hears_nothing(self, table: Table):
        """Messages to everybody do not reach who has not been accepted."""
        pending = person(table.node, "eve")
        table.ask(table.person("ann"), "broadcast", {"message": "secret"})
        assert heard(pending) == []
