"""The JSON of an event and of a batch (Standard Webhooks 1.0.0, "Payload structure"). Pure."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

import orjson


def event_body(type_: str, timestamp: str, data: Mapping[str, Any]) -> bytes:
    """Return ``{"type", "timestamp", "data"}``. Binary values become base64 text; raise `TypeError` for others."""
    event = {"type": type_, "timestamp": timestamp, "data": data}
    try:
        return orjson.dumps(event, default=_text, option=_OPTIONS)
    except TypeError:
        # Integers beyond 64 bits, and halves of surrogate pairs: JavaScript sends them, and the slower way takes them.
        return json.dumps(_readable(event), default=_text, separators=(",", ":")).encode()


def batch_body(timestamp: str, events: Iterable[tuple[str, bytes]]) -> bytes:
    """Return ``{"type": "batch", "timestamp", "data": {"events": [{"id", "type", "timestamp", "data"}…]}}``."""
    inner = b",".join(b'{"id":"%b",%b' % (event_id.encode(), body[1:]) for event_id, body in events)
    return b'{"type":"batch","timestamp":"%b","data":{"events":[%b]}}' % (timestamp.encode(), inner)


def ordering_keys(room: str | None, client: str | None, streamed: bool) -> tuple[str, ...]:
    """Return what an event is ordered by: its room, its client, or for one of neither the node.

    *streamed* is one that belongs to the stream of messages to everybody, which is ordered like a room.
    """
    keys = []
    if room is not None:
        keys.append(f"room {room}")
    elif streamed:
        keys.append("everybody")
    if client is not None:
        keys.append(f"client {client}")
    return tuple(keys) or ("node",)


def _readable(value: Any) -> Any:
    """Return the value as every receiver can read it: null for what is no number, U+FFFD for half a character."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {_readable(key): _readable(inner) for key, inner in value.items()}
    return [_readable(inner) for inner in value] if isinstance(value, list | tuple) else value


_OPTIONS = orjson.OPT_NON_STR_KEYS


def _text(value: Any) -> str:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return base64.b64encode(value).decode()
    raise TypeError(f"{type(value).__name__} cannot be sent as JSON")
