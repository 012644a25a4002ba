"""One Engine.IO session as Socket.IO sees it: its namespaces, and the packet whose attachments are on their way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

from rtserver.client import Client
from rtserver.gateway import msgpack
from rtserver.gateway.formats import SocketIoFormat, json_format
from rtserver.gateway.members import MAIN
from rtserver.gateway.msgpack import msgpack_format
from rtserver.gateway.packets import Packet, decode
from rtserver.rooms.bucket import Bucket
from rtserver.transport.mailbox import Mailbox
from rtserver.transport.packets import MalformedPacket
from rtserver.transport.session import Session

_SAID = ("token", "client_id", "name")
_NOTHING: dict[str, str] = {}
_FULL = (None, None)


class Connection:
    """The connection. ``clients`` has one entry per namespace it joined, or is about to."""

    __slots__ = (
        "attempts",
        "buckets",
        "clients",
        "format_for",
        "ip",
        "mailbox",
        "partial",
        "query",
        "recovers",
        "session",
    )

    def __init__(self, session: Session, environ: dict[str, Any], *, recovers: bool = False) -> None:
        self.session = session
        self.recovers = recovers and not _is_python(environ)
        # What the handshake may have said in the URL; another namespace may join long after it.
        self.query = {
            key: value for key, value in parse_qsl(environ["QUERY_STRING"]) if key in _SAID
        } or _NOTHING
        self.ip: str = environ.get("REMOTE_ADDR", "")
        self.clients: dict[str, Client] = {}
        self.attempts = 0
        self.buckets: tuple[Bucket | None, dict[str, Bucket] | None] = _FULL
        self.format_for: Callable[..., SocketIoFormat] | None = None
        self.mailbox: Mailbox | None = None
        self.partial: Packet | None = None

    @property
    def accepted(self) -> bool:
        """Tell whether any namespace has accepted it."""
        return any(client.live for client in self.clients.values())

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

    def do(self, job: Callable[..., Awaitable[Any] | None], *args: Any) -> None:
        """Do a job now, or after those of this connection that are not done yet.

        A job returns what is left to wait for, or None. Most connections never need a mailbox.
        """
        if self.mailbox is not None and self.mailbox.busy:
            self.mailbox.put(partial(job, *args))
            return
        rest = job(*args)
        if rest is not None:
            if self.mailbox is None:
                self.mailbox = Mailbox(self.session.pause_reading, self.session.resume_reading)
            self.mailbox.run(rest)

    def give_up_after(self, seconds: float) -> None:
        """Cancel what still runs for a client that is gone, each job that is not done in so many *seconds*."""
        if self.mailbox is not None and self.mailbox.busy:
            asyncio.get_running_loop().call_later(seconds, self._give_up, seconds)

    def _give_up(self, seconds: float) -> None:
        if self.mailbox is not None and self.mailbox.busy:
            self.mailbox.cancel()
            self.give_up_after(seconds)


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
