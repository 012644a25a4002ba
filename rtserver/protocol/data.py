"""What a payload's ``data`` may hold: anything that every encoding can carry, nested within reason."""

from __future__ import annotations

from typing import Any

import orjson

# Far below what the encoders and the clients' parsers bear, even inside a page of history inside an ack.
MAX_DEPTH = 64

_PLAIN = (str, int, float, bool, type(None), bytes)


def sound_data(value: Any) -> Any:
    """Return *value*; raise `ValueError` when it nests too deeply or poses as a binary placeholder.

    ``{"_placeholder": true}`` is how Socket.IO marks where an attachment goes: taken as data, it would break the
    clients that get it in one packet with somebody else's binary.
    """
    _look(value, MAX_DEPTH)
    return value


def count_binary(value: Any) -> int:
    """Return how many binary values *value*, which is sound, holds at any depth."""
    if isinstance(value, bytes | bytearray | memoryview):
        return 1
    if isinstance(value, dict):
        return sum(map(count_binary, value.values()))
    if isinstance(value, list | tuple):
        return sum(map(count_binary, value))
    return 0


def weight(value: Any) -> int:
    """Return about how many bytes *value*, which is sound, takes on the wire: JSON, binary as it is."""
    binary = 0

    def count(part: Any) -> str:
        nonlocal binary
        binary += len(part) if isinstance(part, bytes | bytearray | memoryview) else 0
        return ""

    try:
        return len(orjson.dumps(value, default=count)) + binary
    except TypeError:
        return len(repr(value))


def _look(value: Any, depth: int) -> None:
    if isinstance(value, _PLAIN):
        return
    if not depth:
        raise ValueError(f"must not nest deeper than {MAX_DEPTH} levels")
    if isinstance(value, dict):
        if value.get("_placeholder") is True:
            raise ValueError("must not contain a Socket.IO placeholder")
        for part in value.values():
            _look(part, depth - 1)
    elif isinstance(value, list | tuple):
        for part in value:
            _look(part, depth - 1)
