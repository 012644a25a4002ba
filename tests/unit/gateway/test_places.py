"""Where the URLs of plain WebSockets lead to."""

from __future__ import annotations

from typing import Any

import pytest

from rtserver.gateway.places import Place, leads_here, place_of
from rtserver.protocol.errors import BAD_REQUEST, NOT_FOUND, RtError


def at(raw: str, *, decoded: str | None = None) -> Place:
    """The place of a URL's path and query."""
    path, _, query = raw.partition("?")
    scope: dict[str, Any] = {"path": decoded or path, "query_string": query.encode()}
    if decoded is None:
        scope["raw_path"] = path.encode()
    return place_of(scope)


@pytest.mark.parametrize(
    ("raw", "place"),
    [
        ("/ws", Place()),
        ("/ws/", Place()),
        ("/ws/user123", Place(client_id="user123")),
        ("/ws/user123/", Place(client_id="user123")),
        ("/ws/a%2Fb", Place(client_id="a/b")),
        ("/ws/J%C3%BCrgen", Place(client_id="Jürgen")),
        ("/ws/chat/lobby", Place(room="lobby")),
        ("/ws/chat/a%20b", Place(room="a b")),
        ("/ws/chat/a/b", Place(room="a/b")),
        ("/ws/chat/a%2Fb", Place(room="a/b")),
        ("/ws/chat/lobby?since=4", Place(room="lobby", catch_up={"since": 4})),
        ("/ws/chat/lobby?history=20&token=x", Place(room="lobby", catch_up={"history": 20})),
        ("/ws/chat/lobby?history=x", Place(room="lobby", catch_up={"history": "x"})),
        ("/ws/notify/deploys", Place(topic="deploys")),
        ("/ws/notify/ops/disks", Place(topic="ops/disks")),
        ("/ws/notifications", Place(inbox=True)),
        ("/ws/notifications/", Place(inbox=True)),
    ],
)
def test_places(raw: str, place: Place) -> None:
    """Every row of the contract, with any name, and a slash at the end."""
    assert at(raw) == place


def test_without_the_raw_path() -> None:
    """A server that only tells the decoded path serves the same names."""
    assert at("", decoded="/ws/chat/a b/ü") == Place(room="a b/ü")
    assert at("", decoded="/ws/100%") == Place(client_id="100%")


@pytest.mark.parametrize(
    ("raw", "reason", "words"),
    [
        ("/ws/chat", BAD_REQUEST, "room: is required: /ws/chat/NAME"),
        ("/ws/chat/", BAD_REQUEST, "room: is required"),
        ("/ws/notify", BAD_REQUEST, "topic: is required"),
        ("/ws/a/b", NOT_FOUND, "there is nothing at /ws/a/b"),
        ("/ws/notifications/x", NOT_FOUND, "there is nothing"),
        ("/ws/%ff", BAD_REQUEST, "client_id: must be valid Unicode"),
        ("/ws/chat/%ff", BAD_REQUEST, "room: must be valid Unicode"),
    ],
)
def test_nowhere(raw: str, reason: Any, words: str) -> None:
    """A path that leads nowhere says what is wrong with it."""
    with pytest.raises(RtError) as refused:
        at(raw)
    assert refused.value.reason is reason
    assert words in refused.value.message


@pytest.mark.parametrize(
    ("path", "ours"), [("/ws", True), ("/ws/", True), ("/ws/a/b", True), ("/wsx", False), ("/", False)]
)
def test_whose_path(path: str, ours: bool) -> None:
    """Paths under /ws are ours, and no others."""
    assert leads_here(path) is ours


def test_the_place_completes_what_is_said_there() -> None:
    """Where an event should name a room or topic and does not, it is the one of the path; null stays null."""
    room, topic = Place(room="r"), Place(topic="t")
    assert room.complete("chat", {"message": "x"}) == {"message": "x", "room": "r"}
    assert room.complete("typing", {"is_typing": True}) == {"is_typing": True, "room": "r"}
    assert room.complete("chat", {"room": "other"}) == {"room": "other"}
    assert room.complete("chat", {"room": None}) == {"room": None}
    assert room.complete("private", {"to": "x"}) == {"to": "x"}
    assert room.complete("chat", [1]) == [1]
    assert topic.complete("unsubscribe", {}) == {"topic": "t"}
    assert topic.complete("chat", {"message": "x"}) == {"message": "x"}
    assert Place().complete("chat", {"message": "x"}) == {"message": "x"}


def test_arrivals() -> None:
    """A room is joined and a topic subscribed to, as by an event."""
    assert Place(room="r", catch_up={"since": 1}).arrival() == ("join", {"room": "r", "since": 1})
    assert Place(topic="t").arrival() == ("subscribe", {"topic": "t"})
    assert Place(client_id="a").arrival() is None
