"""Socket.IO's other encoding: one MessagePack object per packet, binary included, no attachments.

What ``socket.io-msgpack-parser`` (protocol 5) and python-socketio's ``msgpack`` serializer speak:
``{type, nsp, data?, id?}``, types 0 to 4, always in a binary message.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from typing import Any

import msgpack
import orjson

from rtserver.gateway.formats import accepted, extract, write_json
from rtserver.gateway.packets import (
    ACK,
    CONNECT,
    CONNECT_ERROR,
    DISCONNECT,
    EVENT,
    MAX_NAMESPACE,
    Packet,
    check,
    placed,
    read_json,
)
from rtserver.protocol.identifiers import iso_timestamp
from rtserver.transport.outbound import Outbound
from rtserver.transport.packets import MalformedPacket

# The JavaScript library writes `undefined`, dates, and in Node also array buffers as extensions of type 0.
_JAVASCRIPT = 0
# MessagePack packs tighter than what others get as JSON, so its packets are always weighed.
SIZE_UNKNOWN = sys.maxsize
# What a JavaScript date can hold, in milliseconds; eight bytes that say more than that are a buffer.
_DATE_RANGE = 8_640_000_000_000_000


def decode(data: bytes) -> Packet:
    """Return the packet; raise `MalformedPacket`."""
    try:
        fields = msgpack.unpackb(data, ext_hook=_extension, timestamp=3)
    except (ValueError, TypeError, OverflowError, RecursionError, msgpack.UnpackException):
        raise MalformedPacket("the packet is not MessagePack") from None
    if not isinstance(fields, dict):
        raise MalformedPacket("the packet is not an object")
    kind, namespace, ack_id = fields.get("type"), fields.get("nsp"), fields.get("id")
    if kind not in (CONNECT, DISCONNECT, EVENT, ACK) or isinstance(kind, bool | float):
        raise MalformedPacket("unknown packet type")
    if not isinstance(namespace, str) or len(namespace) > MAX_NAMESPACE:
        raise MalformedPacket("the namespace is not a string, or too long")
    if ack_id is not None and (isinstance(ack_id, bool) or not isinstance(ack_id, int) or ack_id < 0):
        raise MalformedPacket("the ack id is not a number")
    check(kind, fields.get("data"), ack_id)
    return Packet(kind, namespace.partition("?")[0], ack_id, fields.get("data"), 0, SIZE_UNKNOWN)


class MsgpackFormat:
    """The encoding, for one namespace. The same interface as `formats.JsonFormat`."""

    __slots__ = ("_namespace", "offsets")

    def __init__(self, namespace: str, offsets: bool) -> None:
        self.offsets = offsets
        self._namespace = namespace

    def event(self, name: str, args: tuple[Any, ...], ack_id: int | None = None) -> Outbound:
        """Return an EVENT; raise `TypeError` or `ValueError` for what MessagePack cannot hold."""
        return self._write(EVENT, [name, *args], ack_id)

    def again(self, out: Outbound) -> Outbound:
        """Return an event of the main namespace that was kept, and so is written as JSON, in MessagePack."""
        text, *attachments = out.packets
        assert isinstance(text, str)
        data = read_json(text[text.index("[") :])
        if attachments:
            data = placed(data, [part for part in attachments if isinstance(part, bytes)])
        return self._write(EVENT, data, None)

    def ack(self, ack_id: int, args: list[Any]) -> Outbound:
        """Return an ACK."""
        return self._write(ACK, args, ack_id)

    def connect(self, sid: str, pid: str | None = None) -> Outbound:
        """Return the CONNECT that accepts a client; with *pid* it can recover."""
        return self._write(CONNECT, accepted(sid, pid), None)

    def connect_error(self, body: dict[str, Any]) -> Outbound:
        """Return the CONNECT_ERROR that refuses one."""
        return self._write(CONNECT_ERROR, body, None)

    def disconnect(self) -> Outbound:
        """Return a DISCONNECT, which must have no data at all."""
        return Outbound.message(_pack({"type": DISCONNECT, "nsp": self._namespace}))

    def _write(self, kind: int, data: Any, ack_id: int | None) -> Outbound:
        packet = {"type": kind, "data": data, "nsp": self._namespace}
        return Outbound.message(_pack(packet if ack_id is None else {**packet, "id": ack_id}))


def msgpack_format(namespace: str, *, offsets: bool = False) -> MsgpackFormat:
    """Return the one format object of a namespace, for clients that can recover or for those that cannot."""
    return _msgpack_format(namespace, offsets)


_msgpack_format = lru_cache(maxsize=256)(MsgpackFormat)


def _pack(value: Any) -> bytes:
    """Write what JSON writes, in the same meaning: who else is in the room decides nothing."""
    try:
        # orjson refuses what is no JSON and MessagePack would still write, such as keys that are no strings.
        orjson.dumps(value, default=_binary)
        packed: bytes = msgpack.packb(value)
    except (TypeError, ValueError, OverflowError):
        data, attachments = extract([value])
        packed = msgpack.packb(placed(read_json(write_json(data)), attachments)[0])
    return packed


def _binary(value: Any) -> None:
    if not isinstance(value, bytes | bytearray | memoryview):
        raise TypeError(f"{type(value).__name__} is not JSON")


def _extension(code: int, data: bytes) -> Any:
    if code != _JAVASCRIPT:
        raise ValueError(f"unknown extension {code}")
    if data == b"\x00":
        return None
    millis = int.from_bytes(data, "big", signed=True)
    if len(data) == 8 and abs(millis) <= _DATE_RANGE:
        try:
            return iso_timestamp(millis / 1000)
        except (ValueError, OverflowError, OSError):
            raise ValueError("a date out of range") from None
    return data
