"""Socket.IO v5 packets, read strictly. Pure.

https://socket.io/docs/v4/socket-io-protocol/#packet-encoding:
``<type>[<attachments>-][<namespace>,][<ack id>][<JSON>]``. What does not fit is malformed, and closes the connection.
"""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

from rtserver.protocol.names import RESERVED_EVENTS
from rtserver.transport.packets import MalformedPacket

CONNECT, DISCONNECT, EVENT, ACK, CONNECT_ERROR, BINARY_EVENT, BINARY_ACK = range(7)

# The JavaScript parser refuses more by default (socket.io-parser's maxAttachments), and so do we.
MAX_ATTACHMENTS = 10
MAX_NAMESPACE = 256
_MAX_ACK_DIGITS = 15  # what a JavaScript number counts exactly

# An event without attachments in the main namespace: nearly everything that clients send.
_COMMON = re.compile(r"2([0-9]{0,15})(?=\[)").match


class Packet:
    """One packet; *data* is its JSON, with placeholders while attachments are *missing*. *size* is in bytes."""

    __slots__ = ("attachments", "data", "id", "missing", "namespace", "size", "type")

    def __init__(
        self, kind: int, namespace: str, ack_id: int | None, data: Any, missing: int, size: int
    ) -> None:
        self.type = kind
        self.namespace = namespace
        self.id = ack_id
        self.data = data
        self.size = size
        self.attachments: list[bytes] = []
        self.missing = missing

    def attach(self, data: bytes) -> None:
        """Add an attachment; put all in place with the last. Raise `MalformedPacket` for a bad placeholder."""
        self.attachments.append(data)
        self.size += len(data)
        self.missing -= 1
        if not self.missing:
            self.data = placed(self.data, self.attachments)
            self.type -= BINARY_EVENT - EVENT


def decode(text: str) -> Packet:
    """Return the packet; raise `MalformedPacket`."""
    common = _COMMON(text)
    if common is not None:
        kind, missing, namespace, digits, at = EVENT, 0, "/", common[1], common.end()
        ack_id = int(digits) if digits else None
    else:
        kind = _kind(text)
        at, missing = _attachments(text, kind)
        at, namespace = _namespace(text, at)
        at, ack_id = _ack_id(text, at)
    data = read_json(text[at:]) if at < len(text) else None
    check(kind, data, ack_id)
    return Packet(kind, namespace, ack_id, data, missing, len(text) if text.isascii() else _size(text))


def _kind(text: str) -> int:
    if not text or not "0" <= text[0] <= "6":
        raise MalformedPacket("unknown packet type")
    kind = int(text[0])
    if kind == CONNECT_ERROR:
        raise MalformedPacket("CONNECT_ERROR is the server's to send")
    return kind


def _attachments(text: str, kind: int) -> tuple[int, int]:
    if kind not in (BINARY_EVENT, BINARY_ACK):
        return 1, 0
    dash = text.find("-", 1, 4)
    digits = text[1:dash] if dash > 0 else ""
    if not (digits.isascii() and digits.isdigit()) or not 1 <= int(digits) <= MAX_ATTACHMENTS:
        raise MalformedPacket(f"between 1 and {MAX_ATTACHMENTS} attachments are allowed")
    return dash + 1, int(digits)


def _namespace(text: str, at: int) -> tuple[int, str]:
    if text[at : at + 1] != "/":
        return at, "/"
    comma = text.find(",", at, at + MAX_NAMESPACE + 1)
    end = comma if comma > 0 else len(text)
    if end - at > MAX_NAMESPACE:
        raise MalformedPacket("the namespace is too long")
    namespace = text[at:end].partition("?")[0]
    return end + 1, namespace


def _ack_id(text: str, at: int) -> tuple[int, int | None]:
    end = at
    while end < len(text) and "0" <= text[end] <= "9":
        end += 1
    if end - at > _MAX_ACK_DIGITS:
        raise MalformedPacket("the ack id is too long")
    return end, int(text[at:end]) if end > at else None


def read_json(text: str) -> Any:
    """Return what the JSON says; raise `MalformedPacket`."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return _lenient(text)


def _lenient(text: str) -> Any:
    """Read what JavaScript writes and orjson refuses: half a surrogate pair, which becomes a question mark."""
    if "\\u" not in text:
        raise MalformedPacket("the payload is not JSON")
    try:
        return orjson.loads(json.dumps(json.loads(text), ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        raise MalformedPacket("the payload is not JSON") from None


def check(kind: int, data: Any, ack_id: int | None) -> None:
    """Hold the payload against its type, as the reference decoder does; raise `MalformedPacket`."""
    if kind == CONNECT:
        valid = data is None or isinstance(data, dict)
    elif kind == DISCONNECT:
        valid = data is None and ack_id is None
    elif kind in (ACK, BINARY_ACK):
        valid = isinstance(data, list) and ack_id is not None
    else:
        valid = isinstance(data, list) and bool(data) and _is_event_name(data[0])
    if not valid:
        raise MalformedPacket("the payload does not fit the packet's type")


def _is_event_name(name: Any) -> bool:
    if isinstance(name, str):
        return name not in RESERVED_EVENTS
    return isinstance(name, int | float) and not isinstance(name, bool)


def _size(text: str) -> int:
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        raise MalformedPacket("the text is not valid Unicode") from None


def placed(data: Any, attachments: list[bytes]) -> Any:
    """Return *data* with the attachments in place of their placeholders; raise `MalformedPacket`."""
    try:
        return _replace(data, attachments, set())
    except RecursionError:
        raise MalformedPacket("the payload is nested too deeply") from None


def _replace(value: Any, attachments: list[bytes], used: set[int]) -> Any:
    if isinstance(value, list):
        return [_replace(part, attachments, used) for part in value]
    if not isinstance(value, dict):
        return value
    if value.get("_placeholder") is True:
        number = value.get("num")
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < len(attachments):
            raise MalformedPacket("illegal attachments")
        if number in used:
            # No encoder writes this, and it would make much out of little.
            raise MalformedPacket("one attachment in two places")
        used.add(number)
        return attachments[number]
    return {key: _replace(part, attachments, used) for key, part in value.items()}
