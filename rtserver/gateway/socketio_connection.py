"""One Engine.IO session as Socket.IO sees it: its encoding, and the packet whose attachments are on their way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rtserver.gateway import msgpack
from rtserver.gateway.connection import Connection
from rtserver.gateway.formats import SocketIoFormat, json_format
from rtserver.gateway.members import MAIN
from rtserver.gateway.msgpack import msgpack_format
from rtserver.gateway.packets import Packet, decode
from rtserver.transport.packets import MalformedPacket
from rtserver.transport.session import Session


class SocketIoConnection(Connection):
    """The connection of a client that speaks in Socket.IO packets."""

    __slots__ = ("format_for", "partial")

    def __init__(self, session: Session, environ: dict[str, Any], *, recovers: bool = False) -> None:
        super().__init__(session, environ, recovers=recovers and not _is_python(environ))
        self.format_for: Callable[..., SocketIoFormat] | None = None
        self.partial: Packet | None = None

    def read(self, data: str | bytes) -> Packet | None:
        """Return the packet that *data* is, or completes; None when attachments are missing.

        Raises `MalformedPacket` for what is no packet, and for an attachment that none waits for.
        """
        if self.format_for is None:
            # What a client sends first tells which encoding it speaks; JSON's first packet is never binary.
            self.format_for = json_format if isinstance(data, str) else msgpack_format
        if self.format_for is msgpack_format:
            return _read_msgpack(data)
        packet = self.partial
        if isinstance(data, str):
            if packet is not None:
                raise MalformedPacket("text where an attachment was due")
            packet = decode(data)
        elif packet is None:
            raise MalformedPacket("an attachment without its packet")
        else:
            packet.attach(data)
        if packet.missing:
            self.partial = packet
            return None
        self.partial = None
        return packet

    def format(self, namespace: str) -> SocketIoFormat:
        """Return what the client understands in a namespace."""
        write: Callable[..., SocketIoFormat] = self.format_for or json_format
        return write(namespace, offsets=self.recovers and namespace == MAIN)


def _is_python(environ: dict[str, Any]) -> bool:
    """Tell python-socketio's client by the libraries under it.

    It cannot recover, and would hand the offset to its handlers, which do not take one argument more as those in
    JavaScript do. websocket-client names an Origin and no User-Agent, which no browser and no Node does.
    """
    agent = environ.get("HTTP_USER_AGENT")
    if agent is None:
        return "HTTP_ORIGIN" in environ
    return "aiohttp/" in agent or "python-requests/" in agent


def _read_msgpack(data: str | bytes) -> Packet:
    if isinstance(data, str):
        raise MalformedPacket("text from a client that speaks MessagePack")
    return msgpack.decode(data)
