"""The straight way to a target: requests in bytes, over connections that are kept.

It takes 40 µs of the event loop per request, where a general client takes 400 (docs/design.md, section 8).
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Mapping

import httpx

from rtserver.webhooks.address import Address
from rtserver.webhooks.connection import Connection, Head, UnansweredError
from rtserver.webhooks.dialing import dial

# A connection that was idle for longer, in seconds, may have been forgotten by something on the way, without a word.
_KEPT = 5.0

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class Direct:
    """At most *most* requests at a time, each over a connection of its own."""

    def __init__(self, address: Address, headers: Mapping[str, str], most: int) -> None:
        self._address = address
        self._begin = (
            f"POST {address.path} HTTP/1.1\r\nhost: {address.authority}\r\n{_lines(headers)}".encode()
        )
        self._tls: ssl.SSLContext | None = None
        self._slots = asyncio.Semaphore(most)
        self._idle: list[Connection] = []
        self._all: set[Connection] = set()

    def open(self) -> None:
        """Read the list of authorities, which takes a while."""
        if self._address.tls and self._tls is None:
            self._tls = httpx.create_ssl_context()
            self._tls.set_alpn_protocols(["http/1.1"])

    async def post(self, headers: Mapping[str, str], body: bytes) -> Head:
        """POST the body; return the head of the answer. Raises `OSError` or `BadAnswerError`."""
        length = f"{_lines(headers)}content-length: {len(body)}\r\n\r\n"
        request = self._begin + length.encode() + body
        if self._slots.locked():
            self._hurry()
        await self._slots.acquire()
        connection = self._kept()
        if connection is not None:
            try:
                return await connection.exchange(request)
            except UnansweredError:
                # The target closed it while the request was on its way: that says nothing about the request.
                self._drop_idle()
                await self._slots.acquire()
        return await (await self._dialled()).exchange(request)

    async def close(self) -> None:
        """Close the connections."""
        for connection in list(self._all):
            connection.abort()
        # What is closed is gone in the loop's next turn.
        await asyncio.sleep(0)

    def _hurry(self) -> None:
        """Let no request wait for the rest of an answer whose status is known."""
        for connection in self._all:
            if connection.skimming:
                connection.cut()
                return

    def _kept(self) -> Connection | None:
        oldest = asyncio.get_running_loop().time() - _KEPT
        while self._idle:
            connection = self._idle.pop()
            if connection.usable and connection.idle_since > oldest:
                return connection
            self._drop(connection)
        return None

    def _drop_idle(self) -> None:
        while self._idle:
            self._drop(self._idle.pop())

    def _drop(self, connection: Connection) -> None:
        connection.abort()
        self._all.discard(connection)

    async def _dialled(self) -> Connection:
        """Connect; a slot is taken, and is free again when that fails."""
        try:
            self.open()
            connection = await dial(
                self._address.host, self._address.port, self._tls, lambda: Connection(self._over)
            )
        except BaseException:
            self._slots.release()
            raise
        self._all.add(connection)
        return connection

    def _over(self, connection: Connection) -> None:
        if connection.usable:
            self._idle.append(connection)
        else:
            self._drop(connection)
        self._slots.release()


def _lines(headers: Mapping[str, str]) -> str:
    """Return the headers as they are sent; raise `ValueError` for what would end one and begin another."""
    for name, value in headers.items():
        if not _NAME.fullmatch(name) or not (value.isascii() and value.isprintable()):
            raise ValueError(f"{name}: cannot be sent as a header")
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items())
