"""Fills a target's backlog: with what was just committed, and with what stands in the outbox."""

from __future__ import annotations

import time

from rtserver.store.base import Delivery, Outbox
from rtserver.webhooks.backlog import Backlog
from rtserver.webhooks.journal import Journal
from rtserver.webhooks.retry import LONGEST_PAUSE
from rtserver.webhooks.targets import Target

# How many deliveries are read at a time.
PAGE = 500
# How many of them are remembered, for their writer to hear of them: that takes it one transaction.
_REMEMBERED = 20_000


class Feed:
    """Where reading stands. *stale* means that all of it has to be read anew."""

    def __init__(self, target: Target, backlog: Backlog, outbox: Outbox, journal: Journal) -> None:
        self.stale = True
        self._target = target
        self._backlog = backlog
        self._outbox = outbox
        self._journal = journal
        # Up to where the outbox has been read, and whether there is more of it that is not in the backlog.
        self._read = 0
        self._behind = True
        self._missed = False
        self._batched: set[int] = set()
        self._paged: set[int] = set()

    @property
    def behind(self) -> bool:
        """Tell whether the outbox has something for the backlog."""
        return self.stale or self._behind

    def offer(self, delivery: Delivery, now: float) -> bool:
        """Take what was just committed; tell whether that may change when something goes."""
        if delivery.position in self._paged:
            # A page was faster: what is committed can be read before its writer hears of it.
            return False
        if self._behind or self._backlog.full:
            self._behind = self._missed = True
            return True
        self._read = delivery.position
        self._backlog.add(delivery, now)
        return self._backlog.news

    async def fill(self, now: float) -> None:
        """Read on as far as there is room and need; raise `StoreError`."""
        if len(self._paged) > _REMEMBERED:
            self._paged.clear()
        while self._behind and not self._backlog.full and not self._backlog.ample:
            self._missed = False
            page = await self._outbox.page(self._target.name, self._read, PAGE)
            wall = self._wall()
            for delivery in page:
                self._read = delivery.position
                self._paged.add(delivery.position)
                if delivery.position not in self._batched:
                    self._backlog.add(delivery, now, self._wait_of(delivery, wall))
            # What was committed after the page was read had to be left out of the backlog.
            self._behind = len(page) == PAGE or self._missed

    async def restart(self, now: float) -> None:
        """Begin anew, with the batches that were made; raise `StoreError`. No attempt may be under way."""
        # What became of earlier attempts must be recorded first, or it would be read as pending.
        await self._journal.flush()
        batches = await self._outbox.batches(self._target.name)
        self.stale = False
        self._backlog.clear()
        self._batched.clear()
        self._read, self._behind = 0, True
        wall = self._wall()
        for batch, deliveries in batches:
            # One that was retried by a command takes the others along.
            wait = min(self._wait_of(delivery, wall) for delivery in deliveries)
            self._backlog.add_batch(batch, deliveries, now, wait)
            self._batched.update(delivery.position for delivery in deliveries)

    def _wait_of(self, delivery: Delivery, wall: float) -> float:
        """Return how long a delivery waits yet; whatever the clock did, not for ever."""
        longest = max(self._target.schedule, default=0.0) * (1 + self._target.jitter)
        return min(max(delivery.due_at - wall, 0.0), max(longest, LONGEST_PAUSE))

    def _wall(self) -> float:
        """Return the time, or that of our epoch when the clock was set back: what is written has happened by then."""
        return max(time.time(), self._outbox.life / 1_000_000)
