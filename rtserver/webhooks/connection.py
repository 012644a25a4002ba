"""One connection to a target: a request goes out, the head of an answer comes in, one at a time (RFC 9112).

The status is the answer. The body after it is skimmed, within bounds, so that the connection can be used again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

# What an answer may take up to its body, with all interim ones before it; what is read of the body, in bytes and
# seconds.
MAX_HEAD, MAX_BODY, BODY_TIME = 65_536, 65_536, 1.0

_SWITCHING = 101


class Head(NamedTuple):
    """What an answer says before its body."""

    status: int
    retry_after: str | None


class UnansweredError(ConnectionError):
    """The connection ended before one byte of an answer. A kept one may do so at any time."""


class BadAnswerError(Exception):
    """What came is no answer of HTTP."""


class Connection(asyncio.Protocol):
    """*over* is called at the end of each exchange, when the connection is `usable` again, or closed."""

    def __init__(self, over: Callable[[Connection], None]) -> None:
        self.usable = False
        self.idle_since = 0.0
        self._over = over
        self._transport: asyncio.Transport | None = None
        self._parser = HttpResponseParser(self)
        self._answered: asyncio.Future[Head] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._forget()

    def _forget(self) -> None:
        self._head: Head | None = None
        self._retry_after: str | None = None
        self._heard = self._skimmed = 0
        self._complete = self._surplus = False

    async def exchange(self, request: bytes) -> Head:
        """Send the request; return the head of the answer. Raises `OSError` or `BadAnswerError`."""
        assert self._transport is not None
        self._forget()
        self.usable = False
        answered: asyncio.Future[Head] = asyncio.get_running_loop().create_future()
        self._answered = answered
        if self._transport.is_closing():
            self._finish()
            raise UnansweredError("the connection was closed before the request went out")
        self._transport.write(request)
        try:
            return await answered
        except asyncio.CancelledError:
            self._finish()
            raise

    @property
    def skimming(self) -> bool:
        """Tell whether only the rest of an answer is under way."""
        return self._answered is not None and self._head is not None

    def cut(self) -> None:
        """Do without the rest of an answer, and without the connection."""
        self._finish()

    def abort(self) -> None:
        """Close the connection at once."""
        self.usable = False
        if self._transport is not None:
            self._transport.abort()

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection."""
        self._transport = cast(asyncio.Transport, transport)
        self.usable = True

    def data_received(self, data: bytes) -> None:
        """Read on in the answer."""
        if self._answered is None:
            # Nobody asked for it: the next request would take it for its answer.
            self.abort()
            return
        try:
            self._read(data)
        except HttpParserUpgrade:
            # Other words will follow, in a language that nobody here speaks.
            self._finish()
        except HttpParserError as error:
            self._fail(BadAnswerError(f"no answer of HTTP: {error}"))

    def connection_lost(self, exc: Exception | None) -> None:
        """End the exchange that is under way."""
        self.usable = False
        if self._answered is not None:
            if not self._heard:
                self._fail(UnansweredError("the connection was closed before an answer came"))
            else:
                self._fail(exc or BadAnswerError("the connection was closed within the answer"))

    # What the parser calls.

    def on_message_begin(self) -> None:
        """Begin another answer: the first, or one after an interim one."""
        self._retry_after = None
        self._surplus = self._head is not None

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep the one header that matters; of several, the first."""
        if self._retry_after is None and name.lower() == b"retry-after":
            self._retry_after = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Tell who waits, unless the answer is an interim one."""
        status = self._parser.get_status_code()
        if self._head is None and (status == _SWITCHING or status // 100 != 1):
            self._head = Head(status, self._retry_after)
            if self._answered is not None and not self._answered.done():
                self._answered.set_result(self._head)

    def on_body(self, body: bytes) -> None:
        """Count what is skimmed."""
        self._skimmed += len(body)

    def on_message_complete(self) -> None:
        """Note whether another request may follow."""
        if self._head is not None and not self._surplus:
            self._complete = self._parser.should_keep_alive()
            # One that ends here and wants no other request is over, too.
            self._surplus = not self._complete

    # The end.

    @property
    def _answering(self) -> bool:
        return self._head is not None

    def _read(self, data: bytes) -> None:
        room = MAX_HEAD - self._heard
        self._heard += len(data)
        if self._head is not None or len(data) <= room:
            self._parser.feed_data(data)
        else:
            # Not all of it at once: a thousand interim answers fit into what is read at a time.
            self._parser.feed_data(data[:room])
            if not self._answering:
                self._fail(BadAnswerError(f"the answer's headers are longer than {MAX_HEAD} bytes"))
                return
            self._parser.feed_data(data[room:])
        if self._complete or self._surplus or self._skimmed > MAX_BODY:
            self._finish()
        elif self._head is not None and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(BODY_TIME, self._finish)

    def _fail(self, error: Exception) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(error)
        self._finish()

    def _finish(self) -> None:
        """End the exchange, once: the connection is kept when all of it went well, and closed otherwise."""
        if self._answered is None:
            return
        self._answered = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        assert self._transport is not None
        # An answer that came before all of the request was sent leaves some of it in the way.
        sent = not self._transport.get_write_buffer_size()
        if self._complete and not self._surplus and sent and not self._transport.is_closing():
            self.usable = True
            self.idle_since = asyncio.get_running_loop().time()
        else:
            self.abort()
        self._over(self)
