"""How members and publications are listed."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rtserver.rooms.stream import Publication
from rtserver.rooms.views import listed, shown


def _members(count: int) -> list[dict[str, Any]]:
    return [{"client_id": f"c{number}"} for number in range(count)]


def test_a_page_and_the_cursor_of_the_next() -> None:
    """The cursor is there while there is more, and is gone at the end."""
    members = _members(5)
    assert listed(members, 2, None) == (members[:2], "c1")
    assert listed(members, 2, "c1") == (members[2:4], "c3")
    assert listed(members, 2, "c3") == (members[4:], None)
    assert listed(members, 5, None) == (members, None)
    assert listed([], 5, None) == ([], None)


def test_a_cursor_whose_member_left_begins_anew() -> None:
    """Nobody is left out because somebody went."""
    assert listed(_members(3), 2, "gone")[0] == _members(3)[:2]


@given(st.integers(0, 30), st.integers(1, 10))
def test_pages_add_up_to_all(count: int, limit: int) -> None:
    """Walking with the cursor shows every member once, in order, in pages that are full but for the last."""
    members = _members(count)
    seen: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        page, cursor = listed(members, limit, cursor)
        seen += page
        if cursor is None:
            break
        assert len(page) == limit
    assert seen == members


def test_history_shows_messages_as_they_were_sent() -> None:
    """A chat's or broadcast's object, and beside it the event's name."""
    payload = {"id": "i", "room": "r", "message": "m", "offset": 3}
    for event in ("chat", "broadcast"):
        assert shown(Publication(event, payload, 3, "i", 0.0), "r") == {"event": event, **payload}


def test_history_wraps_custom_events() -> None:
    """An event whose payload is anything at all is shown in an object that names id, room and offset."""
    assert shown(Publication("task_update", [1, 2], 4, "i", 0.0), None) == {
        "event": "task_update",
        "id": "i",
        "room": None,
        "data": [1, 2],
        "timestamp": "1970-01-01T00:00:00.000Z",
        "offset": 4,
    }
