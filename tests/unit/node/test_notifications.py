"""The verbs of notifications as code in the server uses them, and what backends are told."""

from __future__ import annotations

from typing import Any

import pytest

from rtserver.protocol.errors import RtError
from rtserver.protocol.notices import Notice
from rtserver.reports import Reporter
from tests.unit.handlers.table import Table
from tests.unit.node.stand_ins import done, heard

NOTICE = Notice(title="t", message="m")


@pytest.fixture
def table() -> Table:
    """A server with defaults."""
    return Table()


class Emitted:
    """An emitter that keeps what it is given."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any], str | None]] = []

    def wants(self, type_: str) -> bool:
        """Want everything."""
        return True

    def emit(self, type_: str, data: dict[str, Any], *, client: str | None = None) -> None:
        """Keep it."""
        self.events.append((type_, data, client))


def test_what_was_read_is_reported():
    """A backend hears whose notifications were read, a thousand at a time, and nothing when there are none."""
    emitted = Emitted()
    reporter = Reporter(emitted)  # type: ignore[arg-type]
    reporter.read("ann", [])
    reporter.read("ann", [str(number) for number in range(2500)])
    assert [len(data["notification_ids"]) for _, data, _ in emitted.events] == [1000, 1000, 500]
    assert {(type_, data["user_id"], client) for type_, data, client in emitted.events} == {
        ("notification-read", "ann", "ann")
    }


@pytest.mark.parametrize("name", ["", " ", "a" * 129, "a\nb", "\u202e"])
def test_names_of_users_and_topics(table: Table, name: str):
    """Code that names nobody is refused, and reaches nobody."""
    ann = table.person("ann")
    for verb in (table.notifications.send, table.notifications.notify):
        with pytest.raises(RtError) as caught:
            done(verb(name, NOTICE))
        assert caught.value.reason.reason == "bad_request"
    assert heard(ann) == []


def test_too_large(table: Table):
    """What is over ``limits.message_size`` is neither told nor stored."""
    large = Notice(title="t", message="x" * 64_000)
    for verb in (table.notifications.send, table.notifications.notify):
        with pytest.raises(RtError) as caught:
            done(verb("ann", large))
        assert caught.value.reason.reason == "message_too_large"
    assert table.inbox.kept == {}


def test_names_are_normal(table: Table):
    """A user is the same however the name was typed."""
    ann = table.person("caf\u00e9")
    done(table.notifications.send("cafe\u0301", NOTICE))
    ((event, body),) = heard(ann)
    assert (event, body["user"]) == ("new_notification", "caf\u00e9")


def test_other_namespaces_and_rooms(table: Table):
    """Neither a member of a room called like the user, nor one of a room called like the topic, hears anything."""
    bob = table.person("bob", "ann", "deploys")
    heard(bob)
    done(table.notifications.send("ann", NOTICE))
    assert done(table.notifications.notify("deploys", NOTICE)) == 0
    assert heard(bob) == []
