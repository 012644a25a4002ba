"""How many deliveries are pending, by target: counted once in the store, and as they change from then on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from rtserver.store.base import Outbox


class Tally:
    """*busy* tells whether changes are on their way into the outbox. ``sure`` is False while a count may be off."""

    def __init__(self, outbox: Outbox, busy: Callable[[], bool]) -> None:
        self.pending: Counter[str] = Counter()
        self.sure = True
        self._outbox = outbox
        self._busy = busy
        self._changes = 0

    def add(self, target: str, deliveries: int) -> None:
        """Take note that so many more are pending; fewer when it is negative."""
        self.pending[target] += deliveries
        self._changes += 1

    async def recount(self) -> None:
        """Count in the store, while deliveries go on; raise `StoreError`.

        Which of the changes meanwhile the count has seen nobody knows. It is exact when there were none, and otherwise
        off by what one transaction holds, and no longer ``sure``.
        """
        before, changes, quiet = Counter(self.pending), self._changes, not self._busy()
        self.sure = False
        counts = await self._outbox.pending()
        for target in {*counts, *self.pending}:
            meanwhile = self.pending[target] - before[target]
            self.pending[target] = max(0, counts.get(target, 0) + meanwhile)
        self.sure = quiet and changes == self._changes
