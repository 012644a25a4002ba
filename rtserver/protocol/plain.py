"""JSON that every receiver can read, of values that no JSON can hold: binary, very large numbers, half characters."""

from __future__ import annotations

import base64
import json
import math
from typing import Any

import orjson


def plain_json(value: Any) -> bytes:
    """Return *value* as JSON. Binary values become base64 text; raise `TypeError` for what is none of ours."""
    try:
        return orjson.dumps(value, default=_text, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:
        # Integers beyond 64 bits, and halves of surrogate pairs: JavaScript sends them, and the slower way takes them.
        return json.dumps(_readable(value), default=_text, separators=(",", ":")).encode()


def _readable(value: Any) -> Any:
    """Return the value as every receiver can read it: null for what is no number, U+FFFD for half a character."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {_readable(key): _readable(inner) for key, inner in value.items()}
    return [_readable(inner) for inner in value] if isinstance(value, list | tuple) else value


def _text(value: Any) -> str:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return base64.b64encode(value).decode()
    raise TypeError(f"{type(value).__name__} cannot be sent as JSON")
