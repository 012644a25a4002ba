"""Things that fall due a fixed time after they were put in: one queue and one timer, however many they are.

A fixed delay means that they fall due in the order in which they came, so no heap is needed, and what is over before
its time (a connection that closed) is merely skipped when its turn comes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Deadlines(Generic[T]):
    """The queue. Pure: times are arguments, in seconds of any one clock.

    *slack* lets a call of `due` take along what is due a little later, so that the timer wakes less often.
    """

    __slots__ = ("_queue", "delay", "slack")

    def __init__(self, delay: float, slack: float = 0.0) -> None:
        self.delay = delay
        self.slack = slack
        self._queue: deque[tuple[float, T]] = deque()

    def __len__(self) -> int:
        return len(self._queue)

    def add(self, item: T, now: float) -> None:
        """Put *item* in; it is due at *now* + `delay`."""
        self._queue.append((now + self.delay, item))

    def next_due(self) -> float | None:
        """Return when the first item is due, or None when there is none."""
        return self._queue[0][0] if self._queue else None

    def due(self, now: float) -> Iterator[T]:
        """Take out and yield what is due at *now*."""
        horizon = now + self.slack
        while self._queue and self._queue[0][0] <= horizon:
            yield self._queue.popleft()[1]


class Timer(Generic[T]):
    """Calls *expire* with each item of a `Deadlines` when its time has come."""

    __slots__ = ("_deadlines", "_expire", "_handle", "_loop")

    def __init__(self, delay: float, expire: Callable[[T], None]) -> None:
        self._deadlines: Deadlines[T] = Deadlines(delay, slack=min(0.02, delay / 100))
        self._expire = expire
        self._handle: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def add(self, item: T) -> None:
        """Let *item* expire after the delay. Must be called with a running loop."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        self._deadlines.add(item, self._loop.time())
        if self._handle is None:
            self._arm(self._loop)

    def close(self) -> None:
        """Stop the timer; nothing expires any more."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        when = self._deadlines.next_due()
        self._handle = None if when is None else loop.call_at(when, self._tick, loop)

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            for item in self._deadlines.due(loop.time()):
                self._expire(item)
        finally:
            self._arm(loop)
