"""An outbox that fails and waits when it is told to: failures have to come at the moment a test wants them."""

from __future__ import annotations

import asyncio

from rtserver.store.base import Changes, Delivery, StoreError, TargetState


class Ledger:
    """The part of an `Outbox` that a journal uses, with every transaction that was committed, in order."""

    durable = True
    life = 1

    def __init__(self) -> None:
        self.commits: list[Changes] = []
        self.tried = 0
        self.failures = 0
        self.broken = False
        self.error: Exception = StoreError("the disk is full")
        self.open = asyncio.Event()
        self.open.set()
        self._entered = asyncio.Event()

    async def commit(self, changes: Changes) -> None:
        """Commit, or fail; not before the way is open."""
        self.tried += 1
        self._entered.set()
        await self.open.wait()
        if self.broken or self.failures > 0:
            self.failures -= 1
            raise self.error
        self.commits.append(changes)

    async def entered(self) -> None:
        """Wait until the next transaction is under way."""
        self._entered.clear()
        await self._entered.wait()

    @property
    def positions(self) -> list[list[int]]:
        """The deliveries of each transaction."""
        return [[one.position for one in changes.deliveries] for changes in self.commits]

    async def page(self, target: str, after: int, limit: int) -> list[Delivery]:
        """Nothing."""
        return []

    async def batches(self, target: str) -> list[tuple[str, list[Delivery]]]:
        """Nothing."""
        return []

    async def pending(self) -> dict[str, int]:
        """Nothing."""
        return {}

    async def bury(self, target: str, error: str, at: float) -> int:
        """Nobody."""
        return 0

    async def targets(self) -> dict[str, TargetState]:
        """Nothing."""
        return {}

    async def disable(self, target: str, reason: str) -> None:
        """Nothing."""

    async def prune(self, target: str, keep_delivered: int, dead_before: float) -> int:
        """Nothing."""
        return 0
