"""How events are written for Socket.IO clients: JSON with binary attachments."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any, Protocol, cast

import orjson

from rtserver.client import Client
from rtserver.fanout import Format
from rtserver.gateway.packets import (
    ACK,
    BINARY_ACK,
    BINARY_EVENT,
    CONNECT,
    CONNECT_ERROR,
    DISCONNECT,
    EVENT,
    MAX_ATTACHMENTS,
)
from rtserver.transport.outbound import Outbound
from rtserver.transport.packets import MESSAGE

# Deeper values than orjson writes are not looked into for binary either.
MAX_DEPTH = 200


class AnsweringFormat(Format, Protocol):
    """What every format can write in which clients ask for something."""

    def ack(self, ack_id: Any, args: list[Any]) -> Outbound:
        """Return an acknowledgement; raise `TypeError` or `ValueError` for what the encoding cannot hold."""


class SocketIoFormat(AnsweringFormat, Protocol):
    """What every encoding of Socket.IO can write."""

    def connect(self, sid: str, pid: str | None = None) -> Outbound:
        """Return the CONNECT that accepts a client; with *pid* it can recover."""

    def connect_error(self, body: dict[str, Any]) -> Outbound:
        """Return the CONNECT_ERROR that refuses one; *body* has ``message`` and may have ``data``."""

    def disconnect(self) -> Outbound:
        """Return a DISCONNECT; a client that gets one does not come back by itself."""


class JsonFormat:
    """The default encoding, for one namespace."""

    __slots__ = ("_ack_head", "_event_head", "_namespace", "offsets")

    def __init__(self, namespace: str, offsets: bool) -> None:
        self.offsets = offsets
        self._namespace = "" if namespace == "/" else f"{namespace},"
        self._event_head = f"{MESSAGE}{EVENT}{self._namespace}".encode()
        self._ack_head = f"{MESSAGE}{ACK}{self._namespace}".encode()

    def event(self, name: str, args: tuple[Any, ...], ack_id: int | None = None) -> Outbound:
        """Return an EVENT; raise `TypeError` or `ValueError` for what JSON cannot hold."""
        data = [name, *args]
        try:
            text = orjson.dumps(data)
        except TypeError:
            return self._uncommon(EVENT, BINARY_EVENT, data, ack_id)
        return Outbound.text(self._event_head + (text if ack_id is None else b"%d%b" % (ack_id, text)))

    def again(self, out: Outbound) -> Outbound:
        """Return an event that was kept: it is what we write."""
        return out

    def ack(self, ack_id: int, args: list[Any]) -> Outbound:
        """Return an ACK."""
        try:
            text = orjson.dumps(args)
        except TypeError:
            return self._uncommon(ACK, BINARY_ACK, args, ack_id)
        return Outbound.text(b"%b%d%b" % (self._ack_head, ack_id, text))

    def connect(self, sid: str, pid: str | None = None) -> Outbound:
        """Return the CONNECT that accepts a client; with *pid* it can recover."""
        return Outbound.message(f"{CONNECT}{self._namespace}{write_json(accepted(sid, pid))}")

    def connect_error(self, body: dict[str, Any]) -> Outbound:
        """Return the CONNECT_ERROR that refuses one; *body* has ``message`` and may have ``data``."""
        return Outbound.message(f"{CONNECT_ERROR}{self._namespace}{write_json(body)}")

    def disconnect(self) -> Outbound:
        """Return a DISCONNECT; a client that gets one does not come back by itself."""
        return Outbound.message(f"{DISCONNECT}{self._namespace}".rstrip(","))

    def _uncommon(self, kind: int, binary_kind: int, data: list[Any], ack_id: int | None) -> Outbound:
        """Write binary, or something orjson does not know; the common case pays nothing for either."""
        number = "" if ack_id is None else str(ack_id)
        data, attachments = extract(data)
        if not attachments:
            return Outbound.message(f"{kind}{self._namespace}{number}{write_json(data)}")
        head = f"{binary_kind}{len(attachments)}-{self._namespace}{number}{write_json(data)}"
        return Outbound.message(head, *attachments)


def form_of(client: Client) -> SocketIoFormat:
    """Return the format of a client that came through this gateway."""
    return cast("SocketIoFormat", client.format)


def answering(client: Client) -> AnsweringFormat:
    """Return the format of a client that can be answered, whichever gateway it came through."""
    return cast("AnsweringFormat", client.format)


def accepted(sid: str, pid: str | None) -> dict[str, str]:
    """Return the body of the CONNECT that accepts a client."""
    return {"sid": sid} if pid is None else {"sid": sid, "pid": pid}


def json_format(namespace: str, *, offsets: bool = False) -> JsonFormat:
    """Return the one format object of a namespace, for clients that can recover or for those that cannot."""
    return _json_format(namespace, offsets)


_json_format = lru_cache(maxsize=256)(JsonFormat)


def extract(data: list[Any]) -> tuple[list[Any], list[bytes]]:
    """Return *data* with placeholders for its binary values, and those; raise `ValueError` for too many."""
    attachments: list[bytes] = []
    data = [_extract(part, attachments, MAX_DEPTH) for part in data]
    if len(attachments) > MAX_ATTACHMENTS:
        raise ValueError(f"more than {MAX_ATTACHMENTS} binary values in one event")
    return data, attachments


def _extract(value: Any, attachments: list[bytes], depth: int) -> Any:
    if isinstance(value, bytes | bytearray | memoryview):
        attachments.append(bytes(value))
        return {"_placeholder": True, "num": len(attachments) - 1}
    if not depth:
        raise ValueError("nested too deeply")
    if isinstance(value, list | tuple):
        return [_extract(part, attachments, depth - 1) for part in value]
    if isinstance(value, dict):
        if value.get("_placeholder") is True:
            raise ValueError("an object that poses as a placeholder")
        return {key: _extract(part, attachments, depth - 1) for key, part in value.items()}
    return value


def write_json(value: Any) -> str:
    """Return *value* as JSON, also what orjson refuses: integers beyond 64 bits, keys that are no strings."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        try:
            return json.dumps(value, separators=(",", ":"), allow_nan=False)
        except RecursionError:
            raise ValueError("nested too deeply") from None
