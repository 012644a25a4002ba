"""What waits for one target: in order per key, bundled, and bounded. Pure: times are arguments, of a steady clock.

A delivery may go when every earlier one that shares a key with it (its room, its client) is delivered or dead. The
deliveries form a graph: each knows its next one per key, and how many stand directly before it.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque

from rtserver.store.base import Delivery
from rtserver.webhooks.events import ordering_keys
from rtserver.webhooks.targets import Bundling

# A request gets no more events once it has this many bytes.
MAX_BUNDLE_BYTES = 1_000_000
# With so many deliveries that were not sent yet there is no need for more, unless all of them wait for something.
AMPLE = 2_000


class Entry:
    """A delivery in the backlog. *before* counts those that it must wait for."""

    __slots__ = ("added", "after", "before", "delivery", "due", "keys", "taken")

    def __init__(self, delivery: Delivery, added: float, due: float) -> None:
        self.delivery = delivery
        self.added = added
        self.due = due
        self.keys = ordering_keys(delivery.room, delivery.client, delivery.type == "message-broadcast")
        self.before = 0
        self.after: list[Entry] = []
        self.taken = False

    def __lt__(self, other: Entry) -> bool:
        return self.delivery.position < other.delivery.position


class Parcel:
    """What goes out in one request. *batch* is its id when it is a batch, in every attempt the same."""

    __slots__ = ("attempts", "batch", "entries", "recorded")

    def __init__(self, entries: list[Entry], batch: str | None, attempts: int) -> None:
        self.entries = entries
        self.batch = batch
        self.attempts = attempts
        # How many attempts the outbox knows of, for each delivery.
        self.recorded = tuple(entry.delivery.attempts for entry in entries)

    @property
    def positions(self) -> tuple[int, ...]:
        """The positions of its deliveries."""
        return tuple(entry.delivery.position for entry in self.entries)


class Backlog:
    """The deliveries of one target that are in memory, at most *max_entries* and about *max_bytes* of bodies.

    ``news`` tells whether what was added last lets something go sooner than was known before.
    """

    def __init__(self, bundling: Bundling | None, max_entries: int, max_bytes: int) -> None:
        self._bundling = bundling
        self._enough = AMPLE if bundling is None else max(AMPLE, 2 * bundling.max_events)
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self.news = False
        self._clear()

    def _clear(self) -> None:
        self._last: dict[str, Entry] = {}
        self._ready: list[Entry] = []
        self._waiting: list[tuple[float, int, Entry | Parcel]] = []
        self._again: deque[Parcel] = deque()
        self._numbers = itertools.count()
        self._count = 0
        self._untaken = 0
        self._bytes = 0

    def __len__(self) -> int:
        return self._count

    @property
    def full(self) -> bool:
        """Tell whether nothing should be added for now."""
        return self._count >= self._max_entries or self._bytes >= self._max_bytes

    @property
    def ample(self) -> bool:
        """Tell whether something may go now, with enough behind it: reading on would only take up time and memory."""
        return bool(self._ready) and self._untaken >= self._enough

    def clear(self) -> None:
        """Forget everything. Parcels that are out must not be given back after this."""
        self._clear()

    def add(self, delivery: Delivery, now: float, wait: float = 0.0) -> None:
        """Put a delivery last; it goes no sooner than after *wait* seconds."""
        due = self.next_due()
        entry = self._append(delivery, now, now + wait)
        self._untaken += 1
        if not entry.before:
            self._release(entry, now)
        sooner = self.next_due()
        self.news = sooner is not None and (due is None or sooner < due)

    def add_batch(self, batch: str, deliveries: list[Delivery], now: float, wait: float) -> None:
        """Put back a batch that was made earlier. It must come before anything that is added otherwise."""
        entries = [self._append(delivery, now, now) for delivery in deliveries]
        for entry in entries:
            entry.taken = True
        attempts = max(delivery.attempts for delivery in deliveries)
        self._wait(Parcel(entries, batch, attempts), now + wait)

    def take(self, now: float) -> Parcel | None:
        """Return what is to be sent now, if anything. A parcel of several has no *batch* id yet."""
        self._wake(now)
        if self._again:
            return self._again.popleft()
        if not self._ready or now < self._bundle_due():
            return None
        entries = self._bundle(now) if self._bundling is not None else [heapq.heappop(self._ready)]
        self._untaken -= len(entries)
        for entry in entries:
            entry.taken = True
        return Parcel(entries, None, max(entry.delivery.attempts for entry in entries))

    def next_due(self) -> float | None:
        """Return when `take` may have something, as far as that is known."""
        if self._again:
            return 0.0
        times = [self._waiting[0][0]] if self._waiting else []
        if self._ready:
            times.append(self._bundle_due())
        return min(times, default=None)

    def again(self, parcel: Parcel, due: float) -> None:
        """Take back a parcel that failed: it goes out as it is, at *due*. Those behind it go on waiting."""
        self._wait(parcel, due)

    def done(self, parcel: Parcel, now: float) -> None:
        """Let go of a parcel: those that waited for its deliveries may go."""
        for entry in parcel.entries:
            self._count -= 1
            self._bytes -= len(entry.delivery.body)
            for key in entry.keys:
                if self._last.get(key) is entry:
                    del self._last[key]
            for follower in entry.after:
                follower.before -= 1
                if not follower.before and not follower.taken:
                    self._release(follower, now)

    def _append(self, delivery: Delivery, now: float, due: float) -> Entry:
        entry = Entry(delivery, now, due)
        for key in entry.keys:
            last = self._last.get(key)
            # One that shares both its keys stands behind it once for each.
            if last is not None:
                last.after.append(entry)
                entry.before += 1
            self._last[key] = entry
        self._count += 1
        self._bytes += len(delivery.body)
        return entry

    def _release(self, entry: Entry, now: float) -> None:
        if entry.due > now:
            self._wait(entry, entry.due)
        else:
            heapq.heappush(self._ready, entry)

    def _wait(self, what: Entry | Parcel, due: float) -> None:
        heapq.heappush(self._waiting, (due, next(self._numbers), what))

    def _wake(self, now: float) -> None:
        while self._waiting and self._waiting[0][0] <= now:
            what = heapq.heappop(self._waiting)[2]
            if isinstance(what, Parcel):
                self._again.append(what)
            else:
                heapq.heappush(self._ready, what)

    def _bundle_due(self) -> float:
        """Return until when the first that is ready waits for company."""
        if self._bundling is None or self._untaken >= self._bundling.max_events:
            return 0.0
        return self._ready[0].added + self._bundling.max_wait

    def _bundle(self, now: float) -> list[Entry]:
        """Take ready deliveries, and those behind them whose turn comes within the same request."""
        assert self._bundling is not None
        entries: list[Entry] = []
        size = 0
        followers: list[Entry] = []
        while len(entries) < self._bundling.max_events and size < MAX_BUNDLE_BYTES:
            # Those behind first: a request that touches few rooms leaves the others to requests beside it.
            source = followers or self._ready
            if not source:
                break
            entry = heapq.heappop(source)
            entries.append(entry)
            size += len(entry.delivery.body)
            for follower in entry.after:
                follower.before -= 1
                if not follower.before and follower.due <= now:
                    heapq.heappush(followers, follower)
        # What is behind waits for the whole request again, those that found no place in it too.
        for entry in entries:
            for follower in entry.after:
                follower.before += 1
        return sorted(entries)
