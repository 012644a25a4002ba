"""What was done under a key is not done again: whoever asks for it with the same key gets the same answer."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class _Entry(Generic[T]):
    __slots__ = ("answer", "at", "waiting")

    def __init__(self, at: float) -> None:
        self.at = at
        self.answer: T | None = None
        # Made by the first who asks while it is being done.
        self.waiting: asyncio.Future[T | None] | None = None


class Idempotency(Generic[T]):
    """Answers by key, for *window* seconds, *most* of them; *dropped* is told of each that had to go before its time.

    What failed is not remembered: it was not done, and may be tried again.
    """

    def __init__(self, window: float, most: int, dropped: Callable[[], None] = lambda: None) -> None:
        self._window = window
        self._most = most
        self._dropped = dropped
        self._entries: OrderedDict[str, _Entry[T]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    async def once(self, key: str, now: float, do: Callable[[], Awaitable[T]]) -> T:
        """Return what *do* answers, or answered under that key; *now* is in seconds of a clock that never steps.

        Who asks while it is being done waits for it, and gets its answer, or its error.
        """
        self._expire(now)
        while (entry := self._entries.get(key)) is not None:
            if entry.answer is not None:
                return entry.answer
            if entry.waiting is None:
                entry.waiting = asyncio.get_running_loop().create_future()
            # Shielded: several wait for it, and one that gives up must not take it from the others.
            answer = await asyncio.shield(entry.waiting)
            if answer is not None:
                return answer
        return await self._do(key, now, do)

    async def _do(self, key: str, now: float, do: Callable[[], Awaitable[T]]) -> T:
        entry = self._entries[key] = _Entry[T](now)
        if len(self._entries) > self._most:
            self._entries.popitem(last=False)
            self._dropped()
        try:
            entry.answer = await do()
        except BaseException as error:
            if self._entries.get(key) is entry:
                del self._entries[key]
            if entry.waiting is not None:
                if isinstance(error, Exception):
                    entry.waiting.set_exception(error)
                    # Whoever waited may have given up: nobody then hears of it, and that is no mistake.
                    entry.waiting.exception()
                else:
                    # Cancelled, which says nothing of the request: one of those who wait does it.
                    entry.waiting.set_result(None)
            raise
        if entry.waiting is not None:
            entry.waiting.set_result(entry.answer)
            entry.waiting = None
        return entry.answer

    def _expire(self, now: float) -> None:
        entries = self._entries
        while entries:
            key = next(iter(entries))
            if entries[key].at > now - self._window:
                return
            del entries[key]
