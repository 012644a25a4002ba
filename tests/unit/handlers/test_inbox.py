"""The events of notifications: topics, and a user's inbox."""

from __future__ import annotations

from typing import Any

import pytest

from rtserver.auth.claims import Identity
from rtserver.client import Client
from rtserver.protocol.notices import Notice
from tests.unit.handlers.table import Table, reason
from tests.unit.node.stand_ins import done, heard

NOTICE = Notice(title="Deployed", message="1.4 is out", type="success", data={"version": [1, 4]})


def told(table: Table, user: str = "ann", **more: Any) -> dict[str, Any]:
    """A notification that the user got."""
    return done(table.notifications.send(user, NOTICE.model_copy(update=more)))


class TestTopics:
    """``subscribe`` and ``unsubscribe``."""

    def test_hearing_a_topic(self, table: Table):
        """Who is subscribed hears a topic's notifications, in the contract's shape, until it unsubscribes."""
        ann, bob = table.person("ann"), table.person("bob")
        assert table.ask(ann, "subscribe", {"topic": "deploys"}) == {"ok": True, "topic": "deploys"}
        assert done(table.notifications.notify("deploys", NOTICE)) == 1
        ((event, body),) = heard(ann)
        assert event == "notification"
        assert isinstance(body.pop("id"), str)
        assert body.pop("timestamp").endswith("Z")
        assert body == {
            "topic": "deploys",
            "type": "success",
            "level": "success",
            "title": "Deployed",
            "message": "1.4 is out",
            "data": {"version": [1, 4]},
        }
        assert heard(bob) == []
        assert table.ask(ann, "unsubscribe", {"topic": "deploys"}) == {"ok": True, "topic": "deploys"}
        assert done(table.notifications.notify("deploys", NOTICE)) == 0

    def test_no_room(self, table: Table):
        """A topic is no room: it has no members, shows up nowhere, and a room of its name hears nothing of it."""
        ann, bob = table.person("ann"), table.person("bob", "deploys")
        table.ask(ann, "subscribe", {"topic": "deploys"})
        assert table.ask(ann, "rooms", {})["rooms"] == []
        assert [member["client_id"] for member in table.node.members("deploys")] == ["bob"]
        heard(bob)
        done(table.notifications.notify("deploys", NOTICE))
        assert heard(bob) == []

    def test_names(self, table: Table):
        """Topics are named like rooms: in NFC, and bad names are ``bad_request``."""
        ann = table.person("ann")
        assert table.ask(ann, "subscribe", {"topic": "cafe\u0301"})["topic"] == "caf\u00e9"
        for name in ("", "a" * 129, "a\u202eb", 7, None):
            assert reason(table.ask(ann, "subscribe", {"topic": name})) == "bad_request"

    def test_twice_and_never(self, table: Table):
        """Subscribing twice is once, and unsubscribing from what one does not hear is no error."""
        ann = table.person("ann")
        for _ in range(2):
            assert table.ask(ann, "subscribe", {"topic": "t"})["ok"]
        assert done(table.notifications.notify("t", NOTICE)) == 1
        assert table.ask(ann, "unsubscribe", {"topic": "other"})["ok"]

    def test_a_limit(self):
        """One connection hears as many topics as it may be in rooms, and rooms do not count."""
        table = Table({"limits": {"rooms_per_client": 2, "rate": None}})
        ann = table.person("ann", "lobby", "dev")
        for topic in ("a", "b"):
            assert table.ask(ann, "subscribe", {"topic": topic})["ok"]
        assert reason(table.ask(ann, "subscribe", {"topic": "c"})) == "too_many_rooms"
        assert table.ask(ann, "subscribe", {"topic": "a"})["ok"]
        table.ask(ann, "unsubscribe", {"topic": "a"})
        assert table.ask(ann, "subscribe", {"topic": "c"})["ok"]

    def test_policies(self):
        """The policy that matches ``topic:NAME`` says by its ``join`` who may subscribe."""
        table = Table(
            {"rooms": [{"match": "topic:staff-*", "join": "claim"}, {"match": "*"}], "limits": {"rate": None}}
        )
        guest = table.person("ann")
        staff = table.person("bob", identity=Identity("bob", rooms=("topic:staff-*",)))
        assert reason(table.ask(guest, "subscribe", {"topic": "staff-news"})) == "forbidden"
        assert table.ask(guest, "subscribe", {"topic": "news"})["ok"]
        assert table.ask(staff, "subscribe", {"topic": "staff-news"})["ok"]

    def test_who_is_gone(self, table: Table):
        """A client that is gone is told nothing, and counts no more."""
        ann = table.person("ann")
        table.ask(ann, "subscribe", {"topic": "t"})
        done(table.node.part(ann, "client disconnect"))
        assert done(table.notifications.notify("t", NOTICE)) == 0


class TestInbox:
    """``notifications``, ``mark_read``, ``mark_all_read``."""

    def test_a_new_one(self, table: Table):
        """All clients of the user hear a new notification, as it stands in the inbox, and nobody else does."""
        tabs = [table.person("ann"), table.person("ann")]
        bob = table.person("bob")
        stored = told(table)
        assert stored["user"] == "ann"
        for tab in tabs:
            assert heard(tab) == [["new_notification", stored]]
            answer = table.ask(tab, "notifications", {})
            assert answer == {"ok": True, "notifications": [stored], "unread": 1}
        assert heard(bob) == []
        assert table.ask(bob, "notifications", {}) == {"ok": True, "notifications": [], "unread": 0}

    def test_pages(self, table: Table):
        """The newest come first, a page at a time; ``unread`` counts all of them."""
        ids = [told(table)["id"] for _ in range(5)]
        ann = table.person("ann")
        first = table.ask(ann, "notifications", {"limit": 2})
        assert [one["id"] for one in first["notifications"]] == [ids[4], ids[3]]
        assert first["unread"] == 5
        rest = table.ask(ann, "notifications", {"before": ids[3]})
        assert [one["id"] for one in rest["notifications"]] == [ids[2], ids[1], ids[0]]

    def test_marking(self, table: Table):
        """All of the user's tabs hear which were read; the inbox says when, and counts them no more."""
        ids = [told(table)["id"] for _ in range(3)]
        tabs = [table.person("ann"), table.person("ann")]
        ack = table.ask(tabs[0], "mark_read", {"notification_ids": [ids[1], ids[1], "unknown"]})
        assert ack == {"ok": True, "marked": 1}
        for tab in tabs:
            assert heard(tab) == [["notification_read", {"notification_ids": [ids[1]]}]]
        inbox = table.ask(tabs[1], "notifications", {})
        assert inbox["unread"] == 2
        assert ["read_at" in one for one in inbox["notifications"]] == [False, True, False]
        unread = table.ask(tabs[1], "notifications", {"unread": True})["notifications"]
        assert [one["id"] for one in unread] == [ids[2], ids[0]]

    def test_marking_another_users(self, table: Table):
        """Another user's notification is neither marked nor told to anybody."""
        theirs = told(table, "bob")["id"]
        ann, bob = table.person("ann"), table.person("bob")
        assert table.ask(ann, "mark_read", {"notification_ids": [theirs]}) == {"ok": True, "marked": 0}
        assert heard(ann) == heard(bob) == []
        assert table.ask(bob, "notifications", {})["unread"] == 1

    def test_marking_all(self, table: Table):
        """Everything is read at once, and all tabs hear so."""
        for _ in range(3):
            told(table)
        tabs = [table.person("ann"), table.person("ann")]
        assert table.ask(tabs[0], "mark_all_read", {}) == {"ok": True, "marked": 3}
        assert [heard(tab) for tab in tabs] == [[["all_read", {}]]] * 2
        assert table.ask(tabs[1], "mark_all_read") == {"ok": True, "marked": 0}

    def test_guests(self):
        """Where there are tokens, a client without one has no inbox, whatever it calls itself."""
        table = Table({"auth": {"mode": "optional", "jwt": {"secret": "s" * 64}}, "limits": {"rate": None}})
        guest = table.person("ann")
        for event, payload in (
            ("notifications", {}),
            ("mark_read", {"notification_ids": ["x"]}),
            ("mark_all_read", {}),
        ):
            ack = table.ask(guest, event, payload)
            assert reason(ack) == "forbidden"
            assert "token" in ack["error"]["message"]
        user = table.person("ben", identity=Identity("ben"))
        assert table.ask(user, "notifications", {})["ok"]

    def test_an_answer_has_an_end(self, table: Table):
        """A page is cut before it becomes a very long answer, and is never empty while there is more."""
        for _ in range(30):
            told(table, message="x" * 60_000)
        ann = table.person("ann")
        seen: list[str] = []
        while page := table.ask(
            ann, "notifications", {"limit": 1000, **({"before": seen[-1]} if seen else {})}
        )["notifications"]:
            assert len(page) <= 17
            seen += [one["id"] for one in page]
        assert len(seen) == len(set(seen)) == 30

    @pytest.mark.parametrize(
        ("event", "payload"),
        [
            ("notifications", {"limit": 0}),
            ("notifications", {"limit": 1001}),
            ("notifications", {"unread": "yes"}),
            ("notifications", {"before": 7}),
            ("notifications", {"unraed": True}),
            ("mark_read", {}),
            ("mark_read", {"notification_ids": "x"}),
            ("mark_read", {"notification_ids": [1]}),
            ("mark_read", {"notification_ids": ["x"] * 1001}),
            ("mark_read", {"notification_ids": ["\ud800"]}),
            ("mark_all_read", {"user": "bob"}),
            ("subscribe", {}),
        ],
    )
    def test_bad_payloads(self, table: Table, event: str, payload: dict[str, Any]):
        """What is not in the contract is ``bad_request`` and names its field."""
        ack = table.ask(table.person("ann"), event, payload, size=100)
        assert reason(ack) == "bad_request"
        named = next(iter(payload), "notification_ids" if event == "mark_read" else "topic")
        assert named in ack["error"]["message"]


class TestStoreThatFails:
    """A store that is full or gone."""

    def test_a_clear_error(self, table: Table):
        """Who asks hears ``server_error``, chat goes on, and the server knows that it is not well."""
        ann, bob = table.person("ann", "lobby"), table.person("bob", "lobby")
        heard(ann)
        table.inbox.broken = True
        for event, payload in (("notifications", {}), ("mark_all_read", {})):
            ack = table.ask(ann, event, payload)
            assert reason(ack) == "server_error"
            assert "store" in ack["error"]["message"]
        assert not table.keeper.healthy
        assert table.ask(ann, "chat", {"room": "lobby", "message": "still here"})["ok"]
        assert [event for event, _ in heard(bob)] == ["chat"]
        assert table.ask(ann, "subscribe", {"topic": "t"})["ok"]

    def test_nobody_hears_of_what_is_not_stored(self, table: Table):
        """A notification that could not be stored is told to nobody."""
        ann: Client = table.person("ann")
        table.inbox.broken = True
        with pytest.raises(Exception, match="store"):
            told(table)
        assert heard(ann) == []
