"""Plain stand-ins for what a socket, a clock and an owner do in the units' tests."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from itertools import count
from typing import Any

from websockets.extensions import Extension
from websockets.frames import Frame
from websockets.streams import StreamReader

from rtserver.transport.frames import farewell
from rtserver.transport.outbound import Outbound
from rtserver.transport.session import Session, SessionEvents


class PlainTransport(asyncio.Transport):
    """An asyncio transport without a socket: it keeps what is written and does as it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.waiting = 0
        self.reading = True
        self.closing = False
        self.aborted = False
        self.protocol: asyncio.BaseProtocol | None = None

    @property
    def written(self) -> bytes:
        """All that was written, in one piece."""
        return b"".join(self.writes)

    def write(self, data: Any) -> None:
        """Keep it."""
        self.writes.append(bytes(data))

    def get_write_buffer_size(self) -> int:
        """Return what the test says waits in the line."""
        return self.waiting

    def pause_reading(self) -> None:
        """Note it."""
        self.reading = False

    def resume_reading(self) -> None:
        """Note it."""
        self.reading = True

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Note it."""
        self.protocol = protocol

    def is_closing(self) -> bool:
        """Tell whether it was closed, either way."""
        return self.closing

    def close(self) -> None:
        """Note it."""
        self.closing = True

    def abort(self) -> None:
        """Note it."""
        self.closing = self.aborted = True


class Hearer:
    """A receiver that keeps what it hears."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str | bytes]] = []

    def on_text(self, packet: str) -> None:
        """Keep it."""
        self.heard.append(("text", packet))

    def on_binary(self, data: bytes) -> None:
        """Keep it."""
        self.heard.append(("binary", data))

    def on_closed(self, code: int | None) -> None:
        """Keep it as what it means to a session."""
        self.on_lost(farewell(code))

    def on_lost(self, reason: str) -> None:
        """Keep it."""
        self.heard.append(("lost", reason))


class PlainLane:
    """A lane that keeps what it is asked to do."""

    name = "websocket"

    def __init__(self) -> None:
        self.receiver: Any = Hearer()
        self.stalled = False
        self.asked: list[tuple[Any, ...]] = []
        self.sent: list[str | bytes] = []

    def write(self, out: Outbound, volatile: bool = False) -> None:
        """Keep the packets."""
        self.sent.extend(out.packets)

    def close(self, code: int, reason: str) -> None:
        """Note it."""
        self.asked.append(("close", code, reason))

    def end(self) -> None:
        """Note it."""
        self.asked.append(("end",))

    def abort(self) -> None:
        """Note it."""
        self.asked.append(("abort",))

    def pause_reading(self) -> None:
        """Note it."""
        self.asked.append(("pause",))

    def resume_reading(self) -> None:
        """Note it."""
        self.asked.append(("resume",))


class Owner(SessionEvents):
    """A session's owner that keeps what it is told, and may find a message malformed."""

    def __init__(self) -> None:
        self.messages: list[str | bytes] = []
        self.endings: list[str] = []
        self.objection: Exception | None = None

    def received(self, session: Session, data: str | bytes) -> None:
        """Keep the message, or object."""
        if self.objection is not None:
            raise self.objection
        self.messages.append(data)

    def ended(self, session: Session, reason: str) -> None:
        """Keep the reason."""
        self.endings.append(reason)


class _Handle:
    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        """Forget the call."""
        self.cancelled = True


class Clock:
    """An event loop's clock and calls, moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._numbers = count()
        self._calls: list[tuple[float, int, _Handle, Callable[..., object], tuple[Any, ...]]] = []

    def time(self) -> float:
        """Return the time."""
        return self.now

    def call_at(self, when: float, call: Callable[..., object], *arguments: Any) -> _Handle:
        """Note the call."""
        handle = _Handle()
        heapq.heappush(self._calls, (when, next(self._numbers), handle, call, arguments))
        return handle

    def call_later(self, delay: float, call: Callable[..., object], *arguments: Any) -> _Handle:
        """Note the call."""
        return self.call_at(self.now + delay, call, *arguments)

    def call_soon(self, call: Callable[..., object], *arguments: Any) -> _Handle:
        """Note the call."""
        return self.call_at(self.now, call, *arguments)

    @property
    def pending(self) -> int:
        """How many calls are still to come."""
        return sum(not handle.cancelled for _, _, handle, _, _ in self._calls)

    def advance(self, seconds: float) -> None:
        """Let time pass, and make the calls that fall due, each at its time."""
        until = self.now + seconds
        while self._calls and self._calls[0][0] <= until:
            when, _, handle, call, arguments = heapq.heappop(self._calls)
            self.now = max(self.now, when)
            if not handle.cancelled:
                call(*arguments)
        self.now = until


def frames_of(data: bytes, *extensions: Extension) -> list[Frame]:
    """Return the frames that a client reads from *data*, as the websockets library understands them."""
    reader = StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    found = []
    while reader.buffer:
        found.append(_run(Frame.parse(reader.read_exact, mask=False, extensions=list(extensions))))
    return found


def _run(parsing: Any) -> Frame:
    try:
        next(parsing)
    except StopIteration as stop:
        frame: Frame = stop.value
        return frame
    raise AssertionError("half a frame")
