"""The JSON of an event and of a batch (Standard Webhooks 1.0.0, "Payload structure"). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rtserver.protocol.plain import plain_json


def event_body(type_: str, timestamp: str, data: Mapping[str, Any]) -> bytes:
    """Return ``{"type", "timestamp", "data"}``. Binary values become base64 text; raise `TypeError` for others."""
    return plain_json({"type": type_, "timestamp": timestamp, "data": data})


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
