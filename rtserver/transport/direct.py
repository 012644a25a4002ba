"""The fast lane: WebSocket frames between an asyncio transport and a session, with nothing in between.

Once the handshake is done, this protocol takes the place of the HTTP server's, whose parsers, queues, headers and
tasks are then freed: an idle client costs a few slots.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import MutableSet
from typing import Any

from rtserver.transport import frames
from rtserver.transport.frames import FrameReader, FrameViolation, unmask
from rtserver.transport.lane import NOBODY, WEBSOCKET, LaneLimits, Receiver, Turn
from rtserver.transport.outbound import Outbound

# How long a peer may take to answer our close frame, and to take what was written before it.
CLOSE_TIMEOUT = 2.0

# How many bytes of one peer are handled before the event loop turns to the others.
SLICE = 8192


class Wire:
    """What all direct lanes of an engine share."""

    __slots__ = ("limits", "loop", "max_payload", "turn")

    def __init__(self, limits: LaneLimits, max_payload: int) -> None:
        self.limits = limits
        self.max_payload = max_payload
        self.turn = Turn()
        self.loop: asyncio.AbstractEventLoop | None = None


class DirectLane(asyncio.Protocol):
    """One WebSocket connection after its handshake."""

    __slots__ = (
        "_backlog",
        "_connections",
        "_held",
        "_owed",
        "_pending",
        "_reader",
        "_timer",
        "_waiting",
        "_wire",
        "deflates",
        "inflates",
        "receiver",
        "transport",
    )
    name = WEBSOCKET

    def __init__(self, wire: Wire) -> None:
        self.receiver: Receiver = NOBODY
        self.transport: asyncio.Transport | None = None
        self.inflates = False
        self.deflates = False
        self._wire = wire
        self._connections: MutableSet[Any] | None = None
        self._pending: list[bytes] = []
        self._waiting = 0
        # What came and is not handed over yet, and whether the receiver wants no more of it for now.
        self._backlog = b""
        self._held = False
        # What the transport would hold, were nothing taken of it since the clock was started.
        self._owed = 0
        self._reader: FrameReader | None = None
        # Set while the peer takes nothing (until eviction) or while the line is being closed (until the abort).
        self._timer: asyncio.TimerHandle | None = None

    def attach(self, transport: asyncio.Transport, connections: MutableSet[Any]) -> None:
        """Take over *transport*; stand in the server's set of *connections* so that its shutdown finds us."""
        self.transport = transport
        self._connections = connections
        connections.add(self)
        transport.set_protocol(self)
        self.flush()

    # Out.

    @property
    def stalled(self) -> bool:
        """Tell whether the transport asked for a pause, and so the clock runs."""
        return self._timer is not None

    def write(self, out: Outbound, volatile: bool = False) -> None:
        """Queue the frames for the end of this turn."""
        if self.receiver is NOBODY:
            return
        if volatile and self._timer is not None:
            self._wire.limits.dropped_volatile += 1
            return
        if not self._pending:
            self._wire.turn.add(self.flush)
        frames = out.deflated if self.deflates else out.frames
        self._waiting += len(frames)
        if self._waiting > self._wire.limits.max_bytes and self._pending:
            # Later, not now: who writes may be walking over everybody who hears a room.
            asyncio.get_running_loop().call_soon(self._evict)
            return
        self._pending.append(frames)

    def flush(self) -> None:
        """Write what this turn produced, in one call; evict a client that would hold too much."""
        pending, transport = self._pending, self.transport
        if not pending or transport is None:
            return
        self._pending, self._waiting = [], 0
        data = pending[0] if len(pending) == 1 else self._wire.turn.joined(pending)
        if self._timer is not None:
            if self._is_over_limit(transport, len(data)):
                self._evict()
                return
            self._owed += len(data)
        transport.write(data)

    def _is_over_limit(self, transport: asyncio.Transport, more: int) -> bool:
        held = transport.get_write_buffer_size() + more
        return held > self._wire.limits.max_bytes and self.receiver is not NOBODY

    def pause_writing(self) -> None:
        """Start the clock: the peer's line is full."""
        if self._timer is None and self.transport is not None:
            self._watch_stall(self.transport)

    def _watch_stall(self, transport: asyncio.Transport) -> None:
        self._owed = transport.get_write_buffer_size()
        self._timer = asyncio.get_running_loop().call_later(self._wire.limits.stall, self._judge_stall)

    def _judge_stall(self) -> None:
        """Evict a peer that took nothing; one that reads slowly has until the byte limit."""
        if self.transport is not None and self.transport.get_write_buffer_size() < self._owed:
            self._watch_stall(self.transport)
        else:
            self._evict()

    def resume_writing(self) -> None:
        """Stop the clock: the peer took enough."""
        if self.receiver is not NOBODY:
            self._stop_timer()

    def _evict(self) -> None:
        receiver = self.receiver
        if receiver is NOBODY:
            return
        self._wire.limits.evicted += 1
        self.abort()
        receiver.on_lost("slow consumer")

    # In.

    def data_received(self, data: bytes) -> None:
        """Hand over what came, a slice per turn of the event loop: one peer's flood must not starve the others."""
        if len(data) <= SLICE and not self._backlog:
            self._hand_over(data)
            return
        self._backlog += data
        self._pause_transport()
        self._next_slice()

    def _next_slice(self) -> None:
        if self._held or not self._backlog:
            return
        data, self._backlog = self._backlog[:SLICE], self._backlog[SLICE:]
        self._hand_over(data)
        if self._backlog:
            asyncio.get_running_loop().call_soon(self._next_slice)
        elif not self._held:
            self._resume_transport()

    def _hand_over(self, data: bytes) -> None:
        """Hand over whole, small, unfragmented text frames at once; leave everything else to a `FrameReader`."""
        try:
            if self._reader is None:
                data = self._common(data)
                if not data:
                    return
                self._reader = FrameReader(self._wire.max_payload, compression=self.inflates)
            for frame in self._reader.feed(data):
                self._take(frame)
            if self._reader is not None and self._reader.idle:
                self._reader = None
        except FrameViolation as error:
            self._fail(error.code, error.reason)
        except UnicodeDecodeError:
            self._fail(frames.INVALID_DATA, "text is not UTF-8")

    def _common(self, data: bytes) -> bytes:
        """Take leading frames of the common shape off *data*; return the rest."""
        at, end = 0, len(data)
        limit = self._wire.max_payload
        while end - at >= 6 and data[at] == 0x81:  # FIN and text, no reserved bits
            length = data[at + 1] - 0x80  # masked
            start = at + 2
            if length == 126:
                length = data[at + 2] << 8 | data[at + 3]
                start = at + 4
            elif not 0 <= length < 126:
                break
            stop = start + 4 + length
            if stop > end or length > limit:
                break
            self.receiver.on_text(unmask(data[start + 4 : stop], data[start : start + 4]).decode())
            at = stop
        return data[at:] if at else data

    def _take(self, frame: frames.Frame) -> None:
        opcode, payload, compressed = frame
        if compressed:
            payload = self._inflate(payload)
        if opcode == frames.TEXT:
            self.receiver.on_text(payload.decode())
        elif opcode == frames.BINARY:
            self.receiver.on_binary(payload)
        elif opcode == frames.PING:
            # A peer that takes nothing gets no pongs either: they would pile up.
            if self.transport is not None and self._timer is None:
                self.transport.write(frames.encode(frames.PONG, payload))
        elif opcode == frames.CLOSE:
            self._closed_by_peer(payload)

    def _inflate(self, payload: bytes) -> bytes:
        inflate = zlib.decompressobj(wbits=-15)
        try:
            data = inflate.decompress(payload + b"\x00\x00\xff\xff", self._wire.max_payload + 1)
        except zlib.error:
            raise FrameViolation(frames.INVALID_DATA, "bad compression") from None
        if len(data) > self._wire.max_payload:
            raise FrameViolation(frames.TOO_BIG, f"message over {self._wire.max_payload} bytes")
        return data

    def pause_reading(self) -> None:
        """Let TCP hold the peer back."""
        self._held = True
        self._pause_transport()

    def resume_reading(self) -> None:
        """Read on, beginning with what came already."""
        self._held = False
        if self._backlog:
            asyncio.get_running_loop().call_soon(self._next_slice)
        else:
            self._resume_transport()

    def _pause_transport(self) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.pause_reading()

    def _resume_transport(self) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()

    # The end.

    def close(self, code: int, reason: str) -> None:
        """Write what waits and a close frame, then wait a moment for the peer's (RFC 6455, section 7.1.1).

        Closing at once could reset the connection while the peer still sends, and lose it our last words.
        """
        if self.receiver is NOBODY:
            return
        self.flush()
        self.receiver = NOBODY
        self._stop_timer()
        if self.transport is None or self.transport.is_closing():
            return
        self._timer = asyncio.get_running_loop().call_later(CLOSE_TIMEOUT, self.abort)
        self.transport.write(frames.encode_close(code, reason))
        self.resume_reading()

    def end(self) -> None:
        """Close normally."""
        self.close(frames.NORMAL, "")

    def abort(self) -> None:
        """Drop the connection and everything that waits for it."""
        self.receiver = NOBODY
        self._stop_timer()
        self._pending.clear()
        self._backlog = b""
        if self.transport is not None:
            self.transport.abort()

    def shutdown(self) -> None:
        """End because the HTTP server stops; it calls this for every connection it knows."""
        receiver = self.receiver
        self.close(frames.SERVICE_RESTART, "server restarts")
        receiver.on_lost("transport close")

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the receiver, once."""
        if self._connections is not None:
            self._connections.discard(self)
        self._stop_timer()
        self._pending.clear()
        receiver, self.receiver = self.receiver, NOBODY
        receiver.on_lost("transport close")

    def _closed_by_peer(self, payload: bytes) -> None:
        code = frames.close_code(payload)
        assert self.transport is not None
        if self.receiver is not NOBODY:
            self.flush()
            self.transport.write(
                frames.encode(frames.CLOSE, b"") if code is None else frames.encode_close(code)
            )
        receiver, self.receiver = self.receiver, NOBODY
        self._stop_timer()
        self._timer = asyncio.get_running_loop().call_later(CLOSE_TIMEOUT, self.abort)
        self.transport.close()
        receiver.on_closed(code)

    def _fail(self, code: int, reason: str) -> None:
        receiver = self.receiver
        self._reader = None
        self.close(code, reason)
        receiver.on_lost("transport error")

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
