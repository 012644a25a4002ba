"""uvicorn's HTTP protocol class with the clocks and bounds it lacks.

A client that opens a connection and never finishes a request's head, or that stops reading in the middle of an answer,
would hold its connection for ever: uvicorn only limits the time between requests. So would one whose request was
answered before its body had come, and that never ends the body.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# Seconds for the head of a request, for an answer that makes no progress, and for the rest of a body after the answer.
HEAD_TIMEOUT = 10.0
STALL_TIMEOUT = 10.0
REST_TIMEOUT = 5.0

# Bytes of a request's head, and requests that may wait behind one that is being answered.
MAX_HEAD = 64 * 1024
MAX_PIPELINED = 16

_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class GuardedHttpProtocol(HttpToolsProtocol):
    """One HTTP connection, until it ends or becomes a WebSocket."""

    _head_bytes = 0
    _head_timer: asyncio.TimerHandle | None = None
    _stall_timer: asyncio.TimerHandle | None = None
    _rest_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Start the clock for the first request's head, which must come, too."""
        super().connection_made(transport)
        self._start_head_timer()

    def on_message_begin(self) -> None:
        """Start it for a later request, whose first byte has come."""
        super().on_message_begin()
        self._start_head_timer()

    def data_received(self, data: bytes) -> None:
        """Read on, but no head without end: uvicorn has no limit of its own."""
        if not self._in_head():
            super().data_received(data)
            return
        room = MAX_HEAD - self._head_bytes
        self._head_bytes += min(len(data), room)
        super().data_received(data[:room])
        if self.transport.is_closing() or len(data) < room:
            return
        if self._in_head():
            self.transport.write(_TOO_LARGE)
            self.transport.close()
        elif data[room:]:
            super().data_received(data[room:])

    def on_headers_complete(self) -> None:
        """Stop the clock: the head is there. Refuse to queue up requests of a peer that reads no answers."""
        self._stop_head_timer()
        super().on_headers_complete()
        if len(self.pipeline) > MAX_PIPELINED:
            raise ValueError("too many requests at once")

    def on_response_complete(self) -> None:
        """Start the clock for the rest of a body that nobody waits for any more."""
        unread = self.cycle is not None and self.cycle.more_body
        super().on_response_complete()
        if unread and self._rest_timer is None and not self.transport.is_closing():
            self._rest_timer = self.loop.call_later(REST_TIMEOUT, self.transport.close)

    def on_message_complete(self) -> None:
        """Stop it: the body is there."""
        self._stop_rest_timer()
        super().on_message_complete()

    def pause_writing(self) -> None:
        """Start the clock for an answer that the peer does not take."""
        super().pause_writing()
        if self._stall_timer is None:
            self._watch_stall()

    def _watch_stall(self) -> None:
        held = self.transport.get_write_buffer_size()
        self._stall_timer = self.loop.call_later(STALL_TIMEOUT, self._judge_stall, held)

    def _judge_stall(self, held: int) -> None:
        """Abort when nothing was taken since; one that reads slowly may read on."""
        if self.transport.get_write_buffer_size() < held:
            self._watch_stall()
        else:
            self.transport.abort()

    def resume_writing(self) -> None:
        """Stop it: the peer reads on."""
        super().resume_writing()
        self._stop_stall_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop them all."""
        self._stop_head_timer()
        self._stop_rest_timer()
        self._stop_stall_timer()
        super().connection_lost(exc)

    def _in_head(self) -> bool:
        return self._head_timer is not None

    def _start_head_timer(self) -> None:
        if self._head_timer is None:
            self._head_bytes = 0
            self._head_timer = self.loop.call_later(HEAD_TIMEOUT, self.transport.abort)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _stop_rest_timer(self) -> None:
        if self._rest_timer is not None:
            self._rest_timer.cancel()
            self._rest_timer = None

    def _stop_stall_timer(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None
