"""Who wants which events."""

from __future__ import annotations

import pytest

from rtserver.webhooks.targets import Target


@pytest.mark.parametrize(
    ("events", "rooms", "type_", "room", "wanted"),
    [
        (("*",), ("*",), "room-joined", "a", True),
        (("*",), ("*",), "server-status", None, True),
        (("room-*",), ("*",), "room-left", "a", True),
        (("room-*",), ("*",), "client-connected", None, False),
        (("room-*", "client-*"), ("*",), "client-connected", None, True),
        (("message-broadcast",), ("game-*",), "message-broadcast", "game-7", True),
        (("message-broadcast",), ("game-*",), "message-broadcast", "chat", False),
        (("message-broadcast",), ("game-*",), "message-broadcast", None, True),
        (("*",), (), "room-joined", "a", False),
        (("*",), (), "server-status", None, True),
        ((), ("*",), "server-status", None, False),
        (("*",), ("a?",), "room-joined", "ab", True),
        (("*",), ("a?",), "room-joined", "a", False),
        (("*",), ("[a]",), "room-joined", "[a]", True),
        (("*",), ("[a]",), "room-joined", "a", False),
        (("*",), ("*",), "room-joined", "two\nlines", True),
        (("Room-*",), ("*",), "room-joined", "a", False),
    ],
)
def test_wants(
    events: tuple[str, ...], rooms: tuple[str, ...], type_: str, room: str | None, wanted: bool
) -> None:
    """An event is wanted whose type is, and whose room is if it has one."""
    assert Target("audit", "http://x/", events=events, rooms=rooms).wants(type_, room) is wanted
