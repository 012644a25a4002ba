"""How events are written for Socket.IO clients: JSON with binary attachments."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any, Protocol, cast

import orjson

from rtserver.client import Client
from rtserver.gateway.packets import ACK, BINARY_ACK, BINARY_EVENT, CONNECT, CONNECT_ERROR, DISCONNECT, EVENT
from rtserver.transport.outbound import Outbound

# Deeper values than orjson writes are not looked into for binary either.
MAX_DEPTH = 200


class SocketIoFormat(Protocol):
    """What every encoding of Socket.IO can write."""

    def event(self, name: str, args: tuple[Any, ...], ack_id: int | None = None) -> Outbound:
        """Return an EVENT; raise `TypeError` or `ValueError` for what the encoding cannot hold."""

    def ack(self, ack_id: int, args: list[Any]) -> Outbound:
        """Return an ACK."""

    def connect(self, sid: str) -> Outbound:
        """Return the CONNECT that accepts a client."""

    def connect_error(self, body: dict[str, Any]) -> Outbound:
        """Return the CONNECT_ERROR that refuses one; *body* has ``message`` and may have ``data``."""

    def disconnect(self) -> Outbound:
        """Return a DISCONNECT; a client that gets one does not come back by itself."""


class JsonFormat:
    """The default encoding, for one namespace."""

    __slots__ = ("_namespace",)

    def __init__(self, namespace: str) -> None:
        self._namespace = "" if namespace == "/" else f"{namespace},"

    def event(self, name: str, args: tuple[Any, ...], ack_id: int | None = None) -> Outbound:
        """Return an EVENT; raise `TypeError` or `ValueError` for what JSON cannot hold."""
        return self._write(EVENT, BINARY_EVENT, [name, *args], ack_id)

    def ack(self, ack_id: int, args: list[Any]) -> Outbound:
        """Return an ACK."""
        return self._write(ACK, BINARY_ACK, args, ack_id)

    def connect(self, sid: str) -> Outbound:
        """Return the CONNECT that accepts a client."""
        return Outbound.message(f"{CONNECT}{self._namespace}{_json({'sid': sid})}")

    def connect_error(self, body: dict[str, Any]) -> Outbound:
        """Return the CONNECT_ERROR that refuses one; *body* has ``message`` and may have ``data``."""
        return Outbound.message(f"{CONNECT_ERROR}{self._namespace}{_json(body)}")

    def disconnect(self) -> Outbound:
        """Return a DISCONNECT; a client that gets one does not come back by itself."""
        return Outbound.message(f"{DISCONNECT}{self._namespace}".rstrip(","))

    def _write(self, kind: int, binary_kind: int, data: list[Any], ack_id: int | None) -> Outbound:
        number = "" if ack_id is None else str(ack_id)
        try:
            return Outbound.message(f"{kind}{self._namespace}{number}{orjson.dumps(data).decode()}")
        except TypeError:
            # Binary, or something orjson does not know; the common case pays nothing for either.
            attachments: list[bytes] = []
            data = [_extract(part, attachments) for part in data]
        if not attachments:
            return Outbound.message(f"{kind}{self._namespace}{number}{_json(data)}")
        head = f"{binary_kind}{len(attachments)}-{self._namespace}{number}{_json(data)}"
        return Outbound.message(head, *attachments)


def form_of(client: Client) -> SocketIoFormat:
    """Return the format of a client that came through this gateway."""
    return cast("SocketIoFormat", client.format)


@lru_cache(maxsize=256)
def json_format(namespace: str) -> JsonFormat:
    """Return the one format object of a namespace."""
    return JsonFormat(namespace)


def _extract(value: Any, attachments: list[bytes], depth: int = 0) -> Any:
    if depth > MAX_DEPTH:
        raise ValueError("nested too deeply")
    if isinstance(value, bytes | bytearray | memoryview):
        attachments.append(bytes(value))
        return {"_placeholder": True, "num": len(attachments) - 1}
    if isinstance(value, list | tuple):
        return [_extract(part, attachments, depth + 1) for part in value]
    if isinstance(value, dict):
        return {key: _extract(part, attachments, depth + 1) for key, part in value.items()}
    return value


def _json(value: Any) -> str:
    """Write what orjson refuses too: integers beyond 64 bits, keys that are no strings."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        try:
            return json.dumps(value, separators=(",", ":"), allow_nan=False)
        except RecursionError:
            raise ValueError("nested too deeply") from None
