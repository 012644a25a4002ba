"""When tokens of live clients run out: one heap for all, however many there are. Pure: times are arguments.

Expiries differ from token to token, so this is no queue; what is over before its time (a client that left, or brought
a new token) is struck out, and swept when it is more than what is left.
"""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Iterator
from itertools import count
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)

# Below this many entries sweeping is not worth a thought.
_FEW = 64


class _Entry(Generic[T]):
    __slots__ = ("end", "item", "number", "over", "when")

    def __init__(self, when: float, number: int, item: T, end: float, *, over: bool) -> None:
        self.when = when
        self.number = number
        self.item: T | None = item
        self.end = end
        self.over = over

    def __lt__(self, other: _Entry[T]) -> bool:
        return (self.when, self.number) < (other.when, other.number)


class Expiries(Generic[T]):
    """What expires, and when: each item falls due twice, *grace* seconds ahead and at its end."""

    __slots__ = ("_entries", "_grace", "_heap", "_numbers")

    def __init__(self, grace: float) -> None:
        self._grace = grace
        self._heap: list[_Entry[T]] = []
        self._entries: dict[T, _Entry[T]] = {}
        self._numbers = count()

    def __len__(self) -> int:
        return len(self._entries)

    def watch(self, item: T, end: float, now: float) -> None:
        """Let *item* expire at *end*, instead of whenever it was to before.

        What lives no longer than the grace is told at half its time: a client that answers every warning with the
        same token would otherwise ask its issuer for ever.
        """
        self.forget(item)
        self._put(max(end - self._grace, now + (end - now) / 2), item, end, over=end <= now)

    def forget(self, item: T) -> None:
        """Let *item* never fall due."""
        entry = self._entries.pop(item, None)
        if entry is not None:
            entry.item = None
            self._sweep()

    def next_due(self) -> float | None:
        """Return when the next item falls due, None when there is none."""
        while self._heap and self._heap[0].item is None:
            heapq.heappop(self._heap)
        return self._heap[0].when if self._heap else None

    def due(self, now: float, most: int) -> Iterator[tuple[T, bool]]:
        """Yield at most so many items that are due at *now*, each with whether it is over, not only about to be."""
        for _ in range(most):
            when = self.next_due()
            if when is None or when > now:
                return
            entry = heapq.heappop(self._heap)
            item = entry.item
            assert item is not None
            del self._entries[item]
            if not entry.over:
                self._put(entry.end, item, entry.end, over=True)
            yield item, entry.over

    def _put(self, when: float, item: T, end: float, *, over: bool) -> None:
        entry = self._entries[item] = _Entry(when, next(self._numbers), item, end, over=over)
        heapq.heappush(self._heap, entry)

    def _sweep(self) -> None:
        if len(self._heap) > 2 * len(self._entries) + _FEW:
            self._heap = list(self._entries.values())
            heapq.heapify(self._heap)
