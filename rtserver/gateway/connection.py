"""One client's connection as a gateway sees it: who it is in which namespace, and what it asked for and is not done."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

from rtserver.client import Client
from rtserver.fanout import Format
from rtserver.rooms.bucket import Bucket
from rtserver.transport.mailbox import Mailbox
from rtserver.transport.session import Session

_SAID = ("token", "client_id", "name")
NOTHING_SAID: dict[str, str] = {}
_FULL = (None, None)


class Connection:
    """The connection. ``clients`` has one entry per namespace it joined, or is about to.

    *recovers* tells whether it may ask for a session that it had.
    """

    __slots__ = (
        "attempts",
        "buckets",
        "clients",
        "ip",
        "mailbox",
        "query",
        "recovers",
        "session",
    )

    def __init__(self, session: Session, environ: dict[str, Any], *, recovers: bool = False) -> None:
        self.session = session
        self.recovers = recovers
        # What the handshake may have said in the URL; another namespace may join long after it.
        self.query = {
            key: value for key, value in parse_qsl(environ["QUERY_STRING"]) if key in _SAID
        } or NOTHING_SAID
        self.ip: str = environ.get("REMOTE_ADDR", "")
        self.clients: dict[str, Client] = {}
        self.attempts = 0
        self.buckets: tuple[Bucket | None, dict[str, Bucket] | None] = _FULL
        self.mailbox: Mailbox | None = None

    @property
    def accepted(self) -> bool:
        """Tell whether any namespace has accepted it."""
        return any(client.live for client in self.clients.values())

    def format(self, namespace: str) -> Format:
        """Return what the client understands in a namespace."""
        raise NotImplementedError

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
