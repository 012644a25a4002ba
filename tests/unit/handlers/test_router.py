"""The router: what a bad event is told, limits, policies, and the envelope ``message``."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtserver.auth.claims import Identity
from rtserver.router import HASTE, ROUTES
from tests.unit.handlers.table import Table, reason
from tests.unit.node.stand_ins import done, heard, lane

BAD = [
    ("join", None, "payload"),
    ("join", "lobby", "payload"),
    ("join", ["lobby"], "payload"),
    ("join", 5, "payload"),
    ("join", True, "payload"),
    ("join", b"lobby", "payload"),
    ("join", {}, "room"),
    ("join", {"room": None}, "room"),
    ("join", {"room": 5}, "room"),
    ("join", {"room": ["a"]}, "room"),
    ("join", {"room": {}}, "room"),
    ("join", {"room": b"a"}, "room"),
    ("join", {"room": ""}, "room"),
    ("join", {"room": "   "}, "room"),
    ("join", {"room": "a\x00"}, "room"),
    ("join", {"room": "a\u202eb"}, "room"),
    ("join", {"room": "a\x7f"}, "room"),
    ("join", {"room": "x" * 129}, "room"),
    ("join", {"room": "a", "history": -1}, "history"),
    ("join", {"room": "a", "history": 1001}, "history"),
    ("join", {"room": "a", "history": "5"}, "history"),
    ("join", {"room": "a", "history": 1.5}, "history"),
    ("join", {"room": "a", "history": True}, "history"),
    ("join", {"room": "a", "since": -1}, "since"),
    ("join", {"room": "a", "roomm": "b"}, "roomm"),
    ("leave", {}, "room"),
    ("leave", {"room": "a", "reason": "x"}, "reason"),
    ("chat", {}, "message"),
    ("chat", {"message": 5}, "message"),
    ("chat", {"message": None}, "message"),
    ("chat", {"message": {}}, "message"),
    ("chat", {"message": "x", "room": ""}, "room"),
    ("chat", {"message": "x", "room": 0}, "room"),
    ("chat", {"message": "x", "room": []}, "room"),
    ("chat", {"message": "x", "echo": "no"}, "echo"),
    ("chat", {"message": "x", "echo": 0}, "echo"),
    ("chat", {"message": "x", "sender": "admin"}, "sender"),
    ("broadcast", {"message": ["x"]}, "message"),
    ("broadcast", {"message": "x", "to": "ben"}, "to"),
    ("private", {"message": "x"}, "to"),
    ("private", {"to": "", "message": "x"}, "to"),
    ("private", {"to": [], "message": "x"}, "to"),
    ("private", {"to": "ben"}, "message"),
    ("typing", {"room": "a"}, "is_typing"),
    ("typing", {"room": "a", "is_typing": 1}, "is_typing"),
    ("typing", {"room": "a", "is_typing": "true"}, "is_typing"),
    ("presence", {}, "room"),
    ("presence", {"room": "a", "limit": 0}, "limit"),
    ("presence", {"room": "a", "limit": 1001}, "limit"),
    ("presence", {"room": "a", "cursor": 5}, "cursor"),
    ("history", {"limit": 5}, "room"),
    ("history", {"room": "a", "limit": 0}, "limit"),
    ("history", {"room": "a", "before": "x"}, "before"),
    ("refresh_token", {}, "token"),
    ("refresh_token", {"token": 5}, "token"),
    ("refresh_token", {"token": "x", "user": "ann"}, "user"),
    ("rooms", {"room": "a"}, "room"),
    ("rooms", [], "payload"),
]


class TestBadEvents:
    """Bad input costs the sender one answer."""

    @pytest.mark.parametrize(("event", "payload", "field"), BAD, ids=repr)
    def test_names_the_field(self, table: Table, event: str, payload: Any, field: str):
        """What is wrong is a ``bad_request`` that names the field, with an ack as without."""
        ann = table.person("ann", "lobby")
        ack = table.ask(ann, event, payload)
        assert reason(ack) == "bad_request"
        assert ack["error"]["code"] == 4000
        assert field in ack["error"]["message"]
        table.tell(ann, event, payload)
        ((name, body),) = heard(ann)
        assert (name, body) == ("error", {**ack["error"], "event": event})

    @pytest.mark.parametrize("event", [event for event, route in ROUTES.items() if route.model is not None])
    def test_takes_one_object(self, table: Table, event: str):
        """More than one argument is a mistake, not something to ignore."""
        assert reason(table.ask(table.person(), event, {"room": "a", "message": "x"}, {})) == "bad_request"

    def test_message_takes_one_argument(self, table: Table):
        """The envelope, too, carries one thing."""
        ann = table.person()
        assert reason(table.ask(ann, "message", {"message": "one"}, {"message": "two"})) == "bad_request"
        assert heard(ann) == []

    @pytest.mark.parametrize("args", [[], [{}], [1, 2], ["x"], [b"x"]], ids=repr)
    @pytest.mark.parametrize(
        "event", ["nope", "", "Join", "join ", "chat\x00", "__class__", "answer", "*", "x" * 500]
    )
    def test_unknown_events(self, table: Table, event: str, args: list[Any]):
        """An event that does not exist is ``unknown_event``, whatever it carries."""
        ack = table.ask(table.person(), event, *args)
        assert reason(ack) == "unknown_event"
        assert ack["error"]["code"] == 4005
        assert len(ack["error"]["message"]) < 200

    @pytest.mark.parametrize("event", [5, 1.5, -1])
    def test_events_that_are_numbers(self, table: Table, event: float):
        """Socket.IO lets an event be a number; none of ours is one."""
        ann = table.person()
        assert reason(table.ask(ann, event, {})) == "unknown_event"
        table.tell(ann, event, {})
        ((name, body),) = heard(ann)
        assert (name, body["event"]) == ("error", event)

    @given(
        st.sampled_from([*ROUTES, "message", "nope"]),
        st.lists(
            st.recursive(
                st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(max_size=5),
                lambda inner: (
                    st.lists(inner, max_size=3)
                    | st.dictionaries(
                        st.sampled_from(
                            [
                                *(
                                    "room",
                                    "message",
                                    "to",
                                    "data",
                                    "type",
                                    "message_type",
                                    "history",
                                    "since",
                                    "limit",
                                )
                            ]
                        )
                        | st.text(max_size=3),
                        inner,
                        max_size=4,
                    )
                ),
                max_leaves=10,
            ),
            max_size=2,
        ),
        st.booleans(),
    )
    def test_anything(self, event: str, args: list[Any], wants_ack: bool):
        """Whatever arrives is answered by an ack or an ``error`` of the closed list, and never by ``server_error``."""
        table = Table({"limits": {"rate": None, "message_size": 1000}})
        ann = table.person("ann", "lobby")
        if wants_ack:
            ack = table.ask(ann, event, *args, size=2000)
            assert ack["ok"] or reason(ack) != "server_error"
            return
        table.tell(ann, event, *args, size=2000)
        for name, *body in heard(ann):
            assert name != "error" or body[0]["reason"] != "server_error"

    def test_a_handler_that_fails(self, table: Table, monkeypatch: pytest.MonkeyPatch):
        """A fault of ours is ``server_error``, says nothing of what went wrong, and is counted."""

        async def broken(*args: object) -> dict[str, Any]:
            raise RuntimeError("password=hunter2")

        monkeypatch.setitem(ROUTES, "rooms", ROUTES["rooms"]._replace(handler=broken))
        ack = table.ask(table.person(), "rooms")
        assert reason(ack) == "server_error"
        assert "hunter2" not in str(ack)
        assert table.app.metrics.refused["server_error"] == 1


class TestEnvelope:
    """``message``: an event in the payload."""

    @pytest.mark.parametrize("key", ["message_type", "type"])
    @pytest.mark.parametrize("as_text", [False, True])
    def test_is_routed(self, table: Table, key: str, as_text: bool):
        """An object, or JSON text, with a type is that event, answered as it would be."""
        ann = table.person()
        payload: Any = {key: "join", "room": "a"}
        if as_text:
            payload = f'{{"{key}":"join","room":"a"}}'
        ack = table.ask(ann, "message", payload)
        assert (ack["ok"], ack["room"], ack["count"]) == (True, "a", 1)

    @pytest.mark.parametrize(
        "payload", [{"message": "hi"}, '{"message":"hi"}', {"type": "chat", "message": "hi"}]
    )
    def test_a_missing_type_is_chat(self, table: Table, payload: Any):
        """An object without a type is a ``chat``."""
        ann = table.person()
        assert table.ask(ann, "message", payload).keys() == {"ok", "id", "offset", "timestamp"}
        ((event, body),) = heard(ann)
        assert (event, body["message"]) == ("chat", "hi")

    @pytest.mark.parametrize("text", ["hello", "", "5", "null", '"x"', "[1]", "{not json", "NaN", "true"])
    def test_plain_text(self, table: Table, text: str):
        """Text that is not a JSON object is a plain-text ``broadcast``."""
        ann = table.person()
        assert table.ask(ann, "message", text)["recipients"] == 1
        ((event, body),) = heard(ann)
        assert (event, body["message"], body["room"]) == ("broadcast", text, None)

    @pytest.mark.parametrize(
        ("payload", "why"),
        [
            ([], "bad_request"),
            (b"x", "bad_request"),
            ({"type": 5, "message": "x"}, "bad_request"),
            ({"message_type": ["chat"], "message": "x"}, "bad_request"),
            ({"message_type": "message", "message": "x"}, "bad_request"),
            ({"message_type": "chat", "type": "join", "message": "x"}, "bad_request"),
            ({"type": "nope"}, "unknown_event"),
            ({"type": "connect"}, "unknown_event"),
            ({"type": "disconnect"}, "unknown_event"),
            ({"type": ""}, "unknown_event"),
        ],
        ids=repr,
    )
    def test_what_it_cannot_carry(self, table: Table, payload: Any, why: str):
        """What carries no event, or one that does not exist, is refused as it would be alone."""
        assert reason(table.ask(table.person(), "message", payload)) == why

    @pytest.mark.parametrize(("scalar", "text"), [(42, "42"), (True, "true"), (None, "null"), (1.5, "1.5")])
    def test_scalars_are_plain_text(self, table: Table, scalar: Any, text: str):
        """A JSON scalar is a plain-text broadcast, as text that is not JSON is."""
        ann = table.person()
        assert table.ask(ann, "message", scalar)["ok"]
        ((event, (body,)),) = [(event, args) for event, *args in heard(ann)]
        assert (event, body["message"]) == ("broadcast", text)

    def test_errors_name_the_inner_event(self, table: Table):
        """Without an ack the error says which event was meant."""
        ann = table.person()
        table.tell(ann, "message", {"type": "join"})
        ((event, body),) = heard(ann)
        assert (event, body["event"]) == ("error", "join")


class TestRates:
    """``limits.rate`` and ``limits.events``."""

    def test_rate(self):
        """After ``burst`` events one waits; ``retry_after`` says how long, and then it works."""
        table = Table({"limits": {"rate": {"messages": 2, "per": "1s", "burst": 3}}})
        ann = table.person()
        assert all(table.ask(ann, "ping", now=100.0)["ok"] for _ in range(3))
        ack = table.ask(ann, "ping", now=100.0)
        assert reason(ack) == "rate_limited"
        assert ack["error"]["code"] == 4008
        assert ack["error"]["retry_after"] == 0.5
        assert table.ask(ann, "ping", now=100.5)["ok"]
        assert reason(table.ask(ann, "ping", now=100.5)) == "rate_limited"

    def test_everybody_has_an_own_bucket(self):
        """One client's excess is nobody else's, not even another tab's."""
        table = Table({"limits": {"rate": {"messages": 1}}})
        ann, tab = table.person("ann"), table.person("ann")
        table.ask(ann, "ping")
        assert reason(table.ask(ann, "ping")) == "rate_limited"
        assert table.ask(tab, "ping")["ok"]

    @pytest.mark.parametrize(
        "bad", [("nope", {}), ("chat", {}), ("join", "x"), (5, {}), ("message", 5), ("chat", 1)]
    )
    def test_bad_events_count(self, bad: tuple[Any, Any]):
        """Unknown and bad events use the rate up as good ones do."""
        table = Table({"limits": {"rate": {"messages": 1, "burst": 2}}})
        ann = table.person()
        table.ask(ann, *bad)
        table.ask(ann, *bad)
        assert reason(table.ask(ann, *bad)) == "rate_limited"
        assert reason(table.ask(ann, "ping")) == "rate_limited"

    def test_without_an_ack(self):
        """Who wants no ack is told by ``error``, with ``retry_after``."""
        table = Table({"limits": {"rate": {"messages": 1}}})
        ann = table.person()
        table.tell(ann, "rooms")
        table.tell(ann, "rooms")
        ((event, body),) = heard(ann)
        assert event == "error"
        assert body.keys() == {"code", "reason", "message", "event", "retry_after"}

    @pytest.mark.parametrize("wrap", [False, True])
    def test_per_event(self, wrap: bool):
        """An event's own rate holds for it alone, also inside the envelope ``message``."""
        table = Table({"limits": {"rate": None, "events": {"chat": {"messages": 1, "per": "10s"}}}})
        ann = table.person()

        def chat(now: float, enveloped: bool) -> dict[str, Any]:
            if enveloped:
                return table.ask(ann, "message", {"type": "chat", "message": "x"}, now=now)
            return table.ask(ann, "chat", {"message": "x"}, now=now)

        assert chat(5.0, wrap)["ok"]
        for enveloped in (wrap, not wrap):
            ack = chat(5.0, enveloped)
            assert reason(ack) == "rate_limited"
            assert ack["error"]["retry_after"] == 10.0
        assert table.ask(ann, "message", "plain", now=5.0)["ok"]
        assert table.ask(ann, "ping", now=5.0)["ok"]
        assert chat(15.0, not wrap)["ok"]

    def test_large_events_cost_more(self):
        """Every 16 KiB of an event cost one more token, so a burst is bounded in bytes as well."""
        table = Table({"limits": {"rate": {"messages": 10, "burst": 10}}})
        ann = table.person()
        assert [table.ask(ann, "ping", size=size)["ok"] for size in (16_383, 16_384, 64_000)] == [True] * 3
        assert [table.ask(ann, "ping")["ok"] for _ in range(4)] == [True, True, True, False]

    def test_an_event_is_never_too_large_for_its_rate(self):
        """An event that costs more than the whole burst is let through by a full bucket."""
        table = Table({"limits": {"rate": {"messages": 2}}})
        ann = table.person()
        assert table.ask(ann, "ping", size=900_000)["ok"]
        assert table.ask(ann, "ping", size=900_000)["error"]["retry_after"] == 1.0
        assert table.ask(ann, "ping", size=900_000, now=1.0)["ok"]

    def test_the_envelope_has_a_rate_of_its_own(self):
        """A rate for ``message`` counts what comes in the envelope, whatever it carries."""
        table = Table({"limits": {"rate": None, "events": {"message": {"messages": 2, "per": "10s"}}}})
        ann = table.person()
        assert table.ask(ann, "message", "plain")["ok"]
        assert table.ask(ann, "message", {"type": "join", "room": "a"})["ok"]
        assert reason(table.ask(ann, "message", {"type": "rooms"})) == "rate_limited"
        assert table.ask(ann, "rooms")["ok"]

    async def test_sustained_abuse(self):
        """Who goes on after a thousand refusals is sent away as rate_limited, and may come back."""
        table = Table({"limits": {"rate": {"messages": 1, "per": "1h"}}})
        ann = table.person()
        acks = [table.ask(ann, "ping") for _ in range(1001)]
        assert [ack["ok"] for ack in acks].count(False) == 1000
        assert ann.gateway.dismissed == []
        assert reason(table.ask(ann, "ping")) == "rate_limited"
        ((_, farewell),) = ann.gateway.dismissed
        assert farewell.farewell()["reason"] == "rate_limited"
        assert farewell.farewell()["reconnect"] is True
        assert not table.node.is_connected("ann")

    def test_refusals_now_and_then_are_no_abuse(self):
        """Refusals that come slower than 10 a second are answered for as long as it takes."""
        table = Table({"limits": {"rate": {"messages": 1, "per": "1h"}}})
        ann = table.person()
        table.ask(ann, "ping")
        assert all(not table.ask(ann, "ping", now=number / 10)["ok"] for number in range(3000))
        assert ann.gateway.dismissed == []

    async def test_who_is_in_a_hurry_is_listened_to_now_and_then(self):
        """A client that goes on after many refusals is read in pieces; one that is refused a few times is not."""
        table = Table({"limits": {"rate": {"messages": 1, "per": "1h"}}})
        ann, ben = table.person("ann"), table.person("ben")
        for client, events in ((ann, HASTE + 3), (ben, HASTE - 3)):
            for _ in range(events):
                table.ask(client, "ping")
        assert not lane(ann).reading
        assert lane(ben).reading
        assert ann.gateway.dismissed == []
        ann.session._rested()
        assert lane(ann).reading

    def test_other_refusals_are_no_abuse(self):
        """Bad and forbidden events within the rate send nobody away."""
        table = Table({"limits": {"rate": None}})
        ann = table.person()
        assert all(not table.ask(ann, "nope")["ok"] for _ in range(3000))
        assert ann.gateway.dismissed == []

    def test_no_rate(self):
        """``rate: null`` is no limit."""
        table = Table({"limits": {"rate": None}})
        ann = table.person()
        assert all(table.ask(ann, "ping")["ok"] for _ in range(500))


class TestMessageSize:
    """``limits.message_size``."""

    LIMIT = 100

    @pytest.fixture
    def table(self) -> Table:
        """A server that takes 100 bytes."""
        return Table({"limits": {"rate": None, "message_size": self.LIMIT}})

    @pytest.mark.parametrize("event", ["chat", "broadcast", "private", "message"])
    @pytest.mark.parametrize(
        ("at_limit", "over"),
        [
            ({"message": "x" * 100}, {"message": "x" * 101}),
            ({"message": "é" * 50}, {"message": "é" * 50 + "x"}),
            ({"message": "x" * 60, "data": "y" * 40}, {"message": "x" * 60, "data": "y" * 41}),
            ({"message": "", "data": [11] + [1] * 48}, {"message": "", "data": [111] + [1] * 48}),
            (
                {"message": "x" * 20, "data": {"a": b"y" * 74}},
                {"message": "x" * 20, "data": {"a": b"y" * 75}},
            ),
            ({"message": "", "data": b"y" * 100}, {"message": "", "data": b"y" * 101}),
            ({"message": "x" * 50, "data": b"y" * 50}, {"message": "x" * 51, "data": b"y" * 50}),
        ],
        ids=lambda payload: repr(payload)[:50],
    )
    def test_exactly(self, table: Table, event: str, at_limit: dict[str, Any], over: dict[str, Any]):
        """Message and data of exactly the limit pass, one byte more does not: text in UTF-8, binary as it is."""
        ann = table.person("ann")
        to = {"to": "ann"} if event == "private" else {}
        passed = table.ask(ann, event, {**at_limit, **to}, size=5000)
        assert passed["ok"], passed
        refused = table.ask(ann, event, {**over, **to}, size=5000)
        assert reason(refused) == "message_too_large"
        assert refused["error"]["code"] == 4007
        assert len(heard(ann)) == 1

    def test_other_fields_do_not_count(self, table: Table):
        """The room's name and the packet around it are not part of the message."""
        room = "r" * 128
        ann = table.person("ann", room)
        assert table.ask(ann, "chat", {"message": "x" * 100, "room": room}, size=5000)["ok"]
        assert table.ask(ann, "join", {"room": "q" * 120}, size=5000)["ok"]

    def test_enveloped_text(self, table: Table):
        """Plain text and JSON text are measured as what they mean."""
        ann = table.person()
        assert table.ask(ann, "message", "x" * 100, size=5000)["ok"]
        assert reason(table.ask(ann, "message", "x" * 101, size=5000)) == "message_too_large"
        assert table.ask(ann, "message", '{"message":"%s"}' % ("x" * 100), size=5000)["ok"]
        assert (
            reason(table.ask(ann, "message", '{"message":"%s"}' % ("x" * 101), size=5000))
            == "message_too_large"
        )

    def test_a_large_unknown_event(self, table: Table):
        """Size matters where there is something to deliver; an unknown event is unknown."""
        assert reason(table.ask(table.person(), "nope", {"message": "x" * 5000})) == "unknown_event"


class TestPolicies:
    """``rooms``: who may join and publish."""

    TABLE: ClassVar[dict[str, Any]] = {
        "rooms": [
            {"match": "open", "publish": "anyone"},
            {"match": "users-*", "join": "authenticated", "publish": "authenticated"},
            {"match": "claim-*", "join": "claim", "publish": "claim"},
            {"match": "news", "publish": "nobody"},
            {"match": "shut", "join": "nobody", "publish": "nobody"},
        ]
    }

    USER = Identity(user="ann")
    CLAIMS = Identity(user="ann", rooms=("claim-a*",), publish=("claim-ab",))

    @pytest.mark.parametrize(
        ("identity", "room", "join", "publish_outside", "publish_inside"),
        [
            (None, "open", "ok", "ok", "ok"),
            (None, "users-x", "forbidden", "forbidden", None),
            (USER, "users-x", "ok", "ok", "ok"),
            (None, "claim-ab", "forbidden", "forbidden", None),
            (USER, "claim-ab", "forbidden", "forbidden", None),
            (CLAIMS, "claim-ab", "ok", "ok", "ok"),
            (CLAIMS, "claim-ac", "ok", "forbidden", "forbidden"),
            (CLAIMS, "claim-b", "forbidden", "forbidden", None),
            (CLAIMS, "news", "ok", "forbidden", "forbidden"),
            (CLAIMS, "shut", "forbidden", "forbidden", None),
            (None, "other", "ok", "not_a_member", "ok"),
        ],
    )
    @pytest.mark.parametrize("event", ["chat", "broadcast"])
    def test_policies(
        self,
        event: str,
        identity: Identity | None,
        room: str,
        join: str,
        publish_outside: str,
        publish_inside: str | None,
    ):
        """The first policy that matches decides who joins and who publishes, from inside and outside."""
        table = Table(self.TABLE)
        ann = table.person("ann", identity=identity)

        def outcome(name: str, **fields: str) -> str:
            ack = table.ask(ann, name, {"room": room, **fields})
            return "ok" if ack["ok"] else reason(ack)

        assert outcome(event, message="x") == publish_outside
        assert outcome("join") == join
        if publish_inside is not None:
            assert outcome(event, message="x") == publish_inside

    def test_backends_publish_anywhere(self):
        """``nobody`` is about clients: the node's own verb publishes, and members hear it."""
        table = Table(self.TABLE)
        ann = table.person("ann", "news")
        assert done(table.node.publish("news", message="hi")).recipients == 1
        assert [event for event, _ in heard(ann)] == ["broadcast"]

    def test_the_whole_server(self):
        """A message without a room goes to everybody, unless a policy for all names says otherwise."""
        assert Table({}).ask(Table({}).person(), "chat", {"message": "x"})["ok"]
        table = Table({"rooms": [{"match": "*", "publish": "nobody"}]})
        assert reason(table.ask(table.person(), "chat", {"message": "x"})) == "forbidden"


class TestCounting:
    """What `/metrics` shows of events."""

    def test_every_event_once(self, table: Table) -> None:
        """An event counts once under its name, refused or not; names that are made up are one series."""
        client = table.person("ann")
        for event in ("ping", "join", "message", "made-up-1", "made-up-2", "", "__proto__"):
            table.ask(client, event, {})
        for event in (None, 5, ["ping"], {"ping": 1}):
            table.ask(client, event, {})
        received = table.app.metrics.received
        assert {name: received[name] for name in received} == {"ping": 1, "join": 1, "message": 1, "other": 8}
