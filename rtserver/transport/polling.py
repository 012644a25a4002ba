"""HTTP long-polling: a GET waits for packets, a POST brings some."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from rtserver.transport import packets
from rtserver.transport.lane import POLLING, LaneLimits, Receiver
from rtserver.transport.outbound import CLOSE, NOOP, Outbound

# A stock client puts as many packets into one POST as maxPayload holds; this bounds the work, not the client.
MAX_PACKETS = 10_000


class PollOverlapError(Exception):
    """A second GET, or a second POST, came while one was under way: the session must be closed."""


class PollingLane:
    """What waits for the next poll. While it is held for an upgrade, polls are answered with NOOP at once."""

    __slots__ = (
        "_closed",
        "_held",
        "_last",
        "_limits",
        "_out",
        "_readable",
        "_size",
        "_waiter",
        "posting",
        "receiver",
    )
    name = POLLING

    def __init__(self, limits: LaneLimits, receiver: Receiver) -> None:
        self.receiver = receiver
        self.posting = False
        self._limits = limits
        self._out: list[Outbound] = []
        self._size = 0
        self._held = False
        self._closed = False
        self._last: Outbound | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._readable: asyncio.Event | None = None

    @property
    def stalled(self) -> bool:
        """Return False: a client that does not poll is judged by its heartbeat."""
        return False

    @property
    def unheard(self) -> bool:
        """Tell whether packets wait for another poll than the one under way."""
        return self._last is not None or (self._waiter is None and bool(self._out))

    def write(self, out: Outbound, volatile: bool = False) -> None:
        """Add to the next poll's answer; evict a client that would hold too much."""
        if self._closed:
            return
        if volatile and self._size > self._limits.max_bytes // 4:
            self._limits.dropped_volatile += 1
        elif self._out and self._size + out.size > self._limits.max_bytes:
            self._limits.evicted += 1
            self.abort()
            asyncio.get_running_loop().call_soon(self.receiver.on_lost, "slow consumer")
        else:
            self._out.append(out)
            self._size += out.size
            if not self._held:
                self._wake()

    async def poll(self) -> str:
        """Return the payload of the packets that wait, or of the first to come.

        Raise `PollOverlapError` when another poll is waiting.
        """
        if self._waiter is not None:
            raise PollOverlapError
        if not self._out and not self._held and self._last is None:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        if self._held:
            return NOOP.payload
        if not self._out and self._last is not None:
            self._out, self._last = [self._last], None
        return packets.SEPARATOR.join(out.payload for out in self.take_over())

    def take_over(self) -> list[Outbound]:
        """Give away everything that waits."""
        waiting, self._out, self._size = self._out, [], 0
        return waiting

    def hold(self) -> None:
        """Let packets wait for the outcome of an upgrade, and answer the waiting poll."""
        self._held = True
        self._wake()

    def release(self) -> None:
        """Go on as before: the upgrade failed."""
        self._held = False
        if self._out:
            self._wake()

    def pause_reading(self) -> None:
        """Let the POST under way wait before it is answered."""
        self._readable = asyncio.Event()

    def resume_reading(self) -> None:
        """Let it go on."""
        if self._readable is not None:
            self._readable.set()
            self._readable = None

    async def readable(self) -> None:
        """Wait while reading is paused."""
        if self._readable is not None:
            await self._readable.wait()

    def close(self, code: int, reason: str) -> None:
        """Let the last poll end with a CLOSE packet."""
        self._finish(CLOSE)

    def end(self) -> None:
        """Let the last poll end with a NOOP: it was the client that closed."""
        self._finish(NOOP)

    def abort(self) -> None:
        """Drop what waits."""
        if self._closed:
            return
        self.take_over()
        self._finish(CLOSE)

    def _finish(self, last: Outbound) -> None:
        if not self._closed:
            self._closed, self._held = True, False
            # Not in one payload with events: socket.io-client closes at once and hears them too late.
            if self._out:
                self._last = last
            else:
                self._out.append(last)
            self._wake()
            self.resume_reading()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


async def until_gone(receive: Callable[[], Awaitable[Any]], poll: asyncio.Task[str]) -> bool:
    """Wait for the *poll*; return False, with the poll cancelled, when its client hung up before."""
    gone = asyncio.ensure_future(receive())
    try:
        await asyncio.wait({gone, poll}, return_when=asyncio.FIRST_COMPLETED)
        return poll.done()
    finally:
        gone.cancel()
        poll.cancel()
