"""How events are written for plain WebSockets: one JSON object each, with the event's name in ``type``."""

from __future__ import annotations

import base64
import json
from typing import Any

import orjson

from rtserver.transport.outbound import Outbound


class PlainFormat:
    """The one format of plain WebSockets. Binary values become base64 text: JSON has nothing else for them."""

    __slots__ = ()
    offsets = False

    def event(self, name: str, args: tuple[Any, ...], ack_id: int | None = None) -> Outbound:
        """Return an event; *ack_id*, in ``ack``, asks for an answer. Raises as `written`."""
        frame = framed(name, args)
        if ack_id is not None:
            frame["ack"] = ack_id
        return Outbound.text(written(frame))

    def again(self, out: Outbound) -> Outbound:
        """Return what was kept as it is: clients of this format catch up by ``since``, and are never given any."""
        return out

    def ack(self, ack_id: Any, args: list[Any]) -> Outbound:
        """Return the answer to the frame with that ``id``; raise as `written`.

        The id of a message that was published is in ``message_id``.
        """
        frame = {"type": "ack", "id": ack_id, "ok": True}
        fields = framed("ack", tuple(args))
        if "id" in fields:
            fields["message_id"] = fields.pop("id")
        return Outbound.text(written({**frame, **fields}))


PLAIN = PlainFormat()


def framed(name: str, args: tuple[Any, ...]) -> dict[str, Any]:
    """Return an event as an object: ``type``, and beside it the fields of its payload.

    What is no object, and an object with a ``type`` of its own that ``level`` does not repeat, is in ``data``.
    """
    if not args:
        return {"type": name}
    payload = args[0]
    if len(args) > 1:
        return {"type": name, "data": list(args)}
    if not isinstance(payload, dict) or ("type" in payload and payload["type"] != payload.get("level")):
        return {"type": name, "data": payload}
    frame = {"type": name, **payload}
    frame["type"] = name
    return frame


def written(frame: dict[str, Any]) -> bytes:
    """Return JSON; raise `TypeError` or `ValueError` for what it cannot hold."""
    try:
        return orjson.dumps(frame, default=_base64)
    except TypeError:
        # Integers beyond 64 bits, and keys that are no strings.
        try:
            return json.dumps(frame, separators=(",", ":"), allow_nan=False, default=_base64).encode()
        except RecursionError:
            raise ValueError("nested too deeply") from None


def _base64(value: Any) -> str:
    if isinstance(value, bytes | bytearray | memoryview):
        return base64.b64encode(value).decode()
    raise TypeError(f"{type(value).__name__} cannot be sent as JSON")
