"""What clients say over a plain WebSocket, read into events. Pure.

``{"type": "join", "room": "lobby", "id": 7}`` is the event ``join`` with the payload ``{"room": "lobby"}``, to be
answered with the id 7. What has no ``type`` means what it means in the event ``message`` of socket.io-client.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

from rtserver.gateway.packets import read_json
from rtserver.protocol.errors import BAD_REQUEST, RtError
from rtserver.protocol.names import RESERVED_EVENTS
from rtserver.protocol.routing import UNREADABLE, is_object, unwrap
from rtserver.transport.packets import MalformedPacket

# The bytes that an id may have as JSON: it comes back with the answer.
MAX_ID = 256

ENVELOPE = "message"


class Frame(NamedTuple):
    """One frame: an event and what it is answered with. *problem* is why it is none."""

    event: str
    payload: Any
    id: Any
    size: int
    problem: RtError | None = None


def read(data: str | bytes) -> Frame:
    """Return the frame; raise `MalformedPacket` for a reserved name. JSON may come as binary, plain text may not."""
    if isinstance(data, str):
        size = len(data) if data.isascii() else len(data.encode("utf-8", "replace"))
        value = _value(data)
        if isinstance(value, dict):
            return _read_object(value, size)
        if value is None and is_object(data):
            return _wrong(size, f"the frame {UNREADABLE}")
        return Frame(ENVELOPE, data, None, size)
    try:
        value = _value(data.decode())
    except UnicodeDecodeError:
        value = None
    if isinstance(value, dict):
        return _read_object(value, len(data))
    return _wrong(len(data), "a binary frame must be a JSON object; send text as text")


def unwrapped(frame: Frame) -> Frame:
    """Return the frame that an event ``message`` carries; raise `MalformedPacket` for a reserved name.

    What it cannot carry is left as it is: the router says what is wrong with it.
    """
    if frame.problem is not None:
        return frame
    try:
        event, payload = unwrap(frame.payload)
    except RtError:
        return frame
    return frame._replace(event=_checked(event), payload=payload)


def _checked(event: str) -> str:
    # Nothing may reach the lifecycle handlers of an application from the wire.
    if event in RESERVED_EVENTS:
        raise MalformedPacket(f"the event {event!r} is reserved")
    return event


def _read_object(fields: dict[str, Any], size: int) -> Frame:
    frame_id = fields.pop("id", None)
    if frame_id is not None and not _is_short(frame_id):
        return _wrong(size, f"id: must have at most {MAX_ID} bytes as JSON")
    # A type that is no name is told so by the envelope.
    event = _checked(fields.pop("type")) if isinstance(fields.get("type"), str) else ENVELOPE
    return Frame(event, fields, frame_id, size)


def _is_short(frame_id: Any) -> bool:
    if isinstance(frame_id, int | float):
        return True
    try:
        return len(orjson.dumps(frame_id)) <= MAX_ID
    except TypeError:  # nested too deeply
        return False


def _wrong(size: int, message: str) -> Frame:
    return Frame(ENVELOPE, None, None, size, RtError(BAD_REQUEST, message))


def _value(text: str) -> Any:
    try:
        return read_json(text)
    except MalformedPacket:
        return None
