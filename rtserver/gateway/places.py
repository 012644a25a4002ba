"""Where a plain WebSocket leads to: what the path and the query of its URL mean. Pure."""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, unquote

from rtserver.protocol.errors import BAD_REQUEST, NOT_FOUND, RtError
from rtserver.transport.requests import Scope

PREFIX = "/ws"

# Events that are about a room, or a topic: the one of the path where they name none.
_OF_A_ROOM = frozenset({"join", "leave", "chat", "broadcast", "typing", "presence", "history"})
_OF_A_TOPIC = frozenset({"subscribe", "unsubscribe"})


class Place(NamedTuple):
    """What a URL asks for: a name of one's own, a room, a topic, or one's inbox.

    *catch_up* is what a join is to bring along: ``since``, ``history``.
    """

    client_id: str | None = None
    room: str | None = None
    topic: str | None = None
    inbox: bool = False
    catch_up: dict[str, Any] = {}  # noqa: RUF012  # nobody changes it

    def arrival(self) -> tuple[str, dict[str, Any]] | None:
        """Return the event, with its payload, that brings a client here; None when there is nothing to enter."""
        if self.room is not None:
            return "join", {"room": self.room, **self.catch_up}
        if self.topic is not None:
            return "subscribe", {"topic": self.topic}
        return None

    def complete(self, event: str, payload: Any) -> Any:
        """Return the payload with the room or topic of the place, where it should have one and has none."""
        if isinstance(payload, dict):
            if self.room is not None and event in _OF_A_ROOM and "room" not in payload:
                return {**payload, "room": self.room}
            if self.topic is not None and event in _OF_A_TOPIC and "topic" not in payload:
                return {**payload, "topic": self.topic}
        return payload


def leads_here(path: str) -> bool:
    """Tell whether a path is one of a plain WebSocket."""
    return path == PREFIX or path.startswith(PREFIX + "/")


def place_of(scope: Scope) -> Place:
    """Return where the URL leads to; raise `RtError` when it leads nowhere.

    A name may have a slash, too: in the names of rooms and topics it may stand as it is, in a client_id it is written
    ``%2F``.
    """
    raw = scope.get("raw_path")
    path = raw.partition(b"?")[0].decode("ascii", "replace") if raw else quote(scope["path"])
    parts = path.removeprefix(PREFIX).strip("/").split("/")
    kind, rest = parts[0], "/".join(parts[1:])
    if kind in ("chat", "notify"):
        what = "room" if kind == "chat" else "topic"
        if not rest:
            raise RtError(BAD_REQUEST, f"{what}: is required: {PREFIX}/{kind}/NAME")
        if kind == "notify":
            return Place(topic=_name(what, rest))
        return Place(room=_name(what, rest), catch_up=_catch_up(scope))
    if rest:
        raise RtError(NOT_FOUND, f"there is nothing at {path[:100]}")
    if kind == "notifications":
        return Place(inbox=True)
    return Place(client_id=_name("client_id", kind) if kind else None)


def _name(what: str, text: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise RtError(BAD_REQUEST, f"{what}: must be valid Unicode") from None


def _catch_up(scope: Scope) -> dict[str, Any]:
    query = parse_qsl(scope["query_string"].decode("latin-1"))
    # What is no number is left to the event's model, which says so.
    return {
        key: int(value) if value.isascii() and value.isdecimal() and len(value) < 20 else value
        for key, value in query
        if key in ("since", "history")
    }
