"""The last events of a node that died."""

from __future__ import annotations

from typing import Any

from rtserver.store.base import Lost, Session, SessionRoom
from rtserver.webhooks.inheritance import farewells
from rtserver.webhooks.journal import Effect

NOW = 1_700_000_000.0


def session(name: str, client: str, **more: Any) -> Session:
    """A session that was open."""
    about = {"client_id": client, "user_id": None, "sid": f"sid-{name}", "connected_at": NOW - 60, **more}
    return Session(name, 1, about)


def lost(*sessions: Session, **rooms: list[str]) -> Lost:
    """A life that ended at NOW."""
    return Lost(1, "other", NOW, list(sessions), rooms)


def told(estate: Lost, connections: int = 0, **members: int) -> list[tuple[str, dict[str, Any]]]:
    """The events, by type and data."""
    said = farewells(estate, connections, lambda room: members.get(room, 0))
    return [(one.type, one.data) for one in said]


def test_nobody() -> None:
    """A node without clients leaves nothing to say."""
    assert told(lost()) == []


def test_one_client() -> None:
    """A client that was in no room is disconnected, with all that the contract lists, and its session closes."""
    (said,) = farewells(lost(session("s1", "ann", user_id="ann")), 3, lambda room: 0)
    assert (said.type, said.room, said.client) == ("client-disconnected", None, "ann")
    assert said.data == {
        "remaining_connections": 3,
        "client_id": "ann",
        "user_id": "ann",
        "sid": "sid-s1",
        "session_id": "s1",
        "reason": "node_lost",
        "duration_s": 60.0,
        "lost_node": "other",
    }
    assert said.effect == Effect(closed="s1")


def test_rooms_first() -> None:
    """A client leaves its rooms before it is disconnected, and a room that is empty then is vacated."""
    events = told(lost(session("s1", "ann"), s1=["a", "b"]), b=2)
    assert [type_ for type_, _ in events] == ["room-left", "room-vacated", "room-left", "client-disconnected"]
    assert [(data["room"], data.get("count")) for _, data in events[:3]] == [("a", 0), ("a", None), ("b", 2)]
    left = events[0][1]
    assert {"client_id", "user_id", "sid", "session_id", "reason"} <= {*left}
    assert (left["reason"], left["session_id"]) == ("node_lost", "s1")


def test_counts_go_down() -> None:
    """Those who remain become fewer with every one who leaves, and only the last one vacates a room."""
    sessions = [session(f"s{n}", f"client {n}") for n in range(3)]
    events = told(lost(*sessions, **{f"s{n}": ["a"] for n in range(3)}), connections=10)
    assert [data["remaining_connections"] for type_, data in events if type_ == "client-disconnected"] == [
        12,
        11,
        10,
    ]
    assert [data["count"] for type_, data in events if type_ == "room-left"] == [2, 1, 0]
    assert [type_ for type_, _ in events].count("room-vacated") == 1
    assert [type_ for type_, _ in events][-2:] == ["room-vacated", "client-disconnected"]


def test_one_member_twice() -> None:
    """A client with two connections leaves a room once, and is disconnected twice, once for each session."""
    events = told(lost(session("s1", "ann"), session("s2", "ann"), s1=["a"], s2=["a"]))
    assert [type_ for type_, _ in events].count("room-left") == 1
    assert [type_ for type_, _ in events].count("room-vacated") == 1
    disconnected = [data["session_id"] for type_, data in events if type_ == "client-disconnected"]
    assert disconnected == ["s1", "s2"]


def test_ordering() -> None:
    """Every event is ordered by its client, and those about a room by the room too."""
    said = list(farewells(lost(session("s1", "ann"), s1=["a"]), 0, lambda room: 0))
    assert [(one.type, one.room, one.client) for one in said] == [
        ("room-left", "a", "ann"),
        ("room-vacated", "a", "ann"),
        ("client-disconnected", None, "ann"),
    ]
    assert said[0].effect == Effect(left=SessionRoom("s1", "a"))


def test_a_clock_that_was_set_back() -> None:
    """A session that seems to have ended before it began lasted for no time."""
    (_, data) = told(lost(session("s1", "ann", connected_at=NOW + 500)))[-1]
    assert data["duration_s"] == 0.0
