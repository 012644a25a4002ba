"""What the event ``message`` means: it is an envelope around another event.

``socket.send(x)`` emits it, and so do clients that know one event only: ``x`` is an object whose ``message_type`` (or
``type``) names the event, the same as JSON text, or plain text.
"""

from __future__ import annotations

import json
from typing import Any

import orjson

from rtserver.protocol.errors import BAD_REQUEST, RtError

UNREADABLE = "is JSON with numbers that are not finite or too long, too many levels, or half a character"


def is_object(text: str) -> bool:
    """Tell whether a text that our parser refuses was meant as a JSON object, and is one to somebody else's parser.

    RFC 8259 bounds neither numbers nor levels; NaN and a byte order mark are not in it, but leave no doubt either.
    """
    text = text.lstrip("\ufeff \t\r\n")
    if not text.startswith("{"):
        return False
    try:
        json.loads(text, parse_float=str, parse_int=str)
    except RecursionError:
        return True
    except ValueError:
        return False
    return True


def unwrap(payload: Any) -> tuple[str, dict[str, Any]]:
    """Return the event and the payload that ``message`` carries; raise `RtError` when it carries neither.

    Text that is not a JSON object is a plain-text broadcast, and so is any other scalar; an object without a type is a
    ``chat``. One that cannot be taken is an error: it may have been for one person alone.
    """
    if payload is None or isinstance(payload, bool | int | float):
        # orjson writes no number beyond 64 bits.
        payload = str(payload) if type(payload) is int else orjson.dumps(payload).decode()
    if isinstance(payload, str):
        parsed = _json(payload)
        if parsed is None and is_object(payload):
            raise RtError(BAD_REQUEST, f"message: {UNREADABLE}")
        if not isinstance(parsed, dict):
            return "broadcast", {"message": payload}
        payload = parsed
    if not isinstance(payload, dict):
        raise RtError(BAD_REQUEST, "message: must be an object or text")
    fields = dict(payload)
    named = fields.pop("message_type", None)
    # "type" is the older spelling; beside message_type it would be an unknown field of the routed event.
    field = "message_type" if named is not None else "type"
    event = named if named is not None else fields.pop("type", "chat")
    if not isinstance(event, str):
        raise RtError(BAD_REQUEST, f"{field}: must be a string")
    if event == "message":
        raise RtError(BAD_REQUEST, "message_type: a message cannot carry a message")
    return event, fields


def _json(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
