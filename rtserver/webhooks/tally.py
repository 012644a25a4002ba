"""How many deliveries are pending, by target: counted once in the store, and as they change from then on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from rtserver.store.base import Outbox


class Tally:
    """*busy* tells whether changes are on their way into the outbox. ``sure`` is False while a count may be off."""

    def __init__(self, outbox: Outbox, busy: Callable[[], bool]) -> None:
        self._counts: Counter[str] = Counter()
        self.sure = True
        self._outbox = outbox
        self._busy = busy
        self._changes = 0

    @property
    def pending(self) -> Counter[str]:
        """How many there are. What was delivered before it was counted does not make it negative."""
        return +self._counts

    def total(self) -> int:
        """How many there are for all targets."""
        return self.pending.total()

    def add(self, target: str, deliveries: int) -> None:
        """Take note that so many more are pending; fewer when it is negative."""
        self._counts[target] += deliveries
        self._changes += 1

    async def recount(self) -> None:
        """Count in the store, while deliveries go on; raise `StoreError`.

        Which of the changes meanwhile the count has seen nobody knows. It is exact when there were none, and otherwise
        off by what one transaction holds, and no longer ``sure``.
        """
        before, changes, quiet = Counter(self._counts), self._changes, not self._busy()
        self.sure = False
        counts = await self._outbox.pending()
        for target in {*counts, *self._counts}:
            meanwhile = self._counts[target] - before[target]
            self._counts[target] = counts.get(target, 0) + meanwhile
        self.sure = quiet and changes == self._changes
