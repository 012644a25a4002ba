"""Stores for the tests: every implementation, opened, with a life begun; a second one on the same database."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Collection
from typing import Any

from sqlalchemy import text

from rtserver.store.base import Changes, Delivery, Life, Lives, Outbox, Outcome, Steering
from rtserver.store.lives import SqlLives
from rtserver.store.opening import database_at
from rtserver.store.outbox import SqlOutbox
from rtserver.store.steering import SqlSteering

NOW = 1_700_000_000.0
TARGETS = ("audit", "copy")

STORES = ("file", "memory", "postgres")
SHARED = ("file", "postgres")
"""Every implementation, and those that several nodes may use; `place` knows their URLs."""

# A life that says nothing for so long is dead, where that counts: longer than a test takes.
LEASE = 60.0


class Store:
    """One node's view of a database."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.database = database_at(url, LEASE)
        self.outbox: Outbox = SqlOutbox(self.database)
        self.lives: Lives = SqlLives(self.database)
        self.steering: Steering = SqlSteering(self.database)
        self.life = Life(0, 0)

    async def begin(
        self,
        targets: Collection[str] = TARGETS,
        now: float = NOW,
        node: str = "one",
        early: Life | None = None,
    ) -> Life:
        """Begin a life."""
        self.life = await self.lives.begin(node, targets, now, early)
        self.outbox.life = self.life.epoch
        if self.database.shared:
            # As if it had been there for a while: it may take others for dead.
            await self._tell_of_life("in_touch_since")
        return self.life

    def delivery(self, position: int, target: str = "audit", **more: Any) -> Delivery:
        """A pending delivery of this life."""
        given: dict[str, Any] = {
            "event_id": f"event-{position}",
            "type": "room-joined",
            "room": "a",
            "client": "ann",
            "body": b'{"type":"room-joined"}',
            "life": self.life.epoch,
            "created_at": NOW,
            "due_at": NOW,
            **more,
        }
        return Delivery(position=position, target=target, **given)

    async def write(self, *positions: int, target: str = "audit", **more: Any) -> list[Delivery]:
        """Commit deliveries, and return them."""
        made = [self.delivery(position, target, **more) for position in positions]
        await self.outbox.commit(Changes(deliveries=made))
        return made

    async def settle(
        self, *positions: int, state: Any = "delivered", before: int = 0, batch: str | None = None
    ) -> None:
        """Commit what became of an attempt."""
        error = None if state == "delivered" else "no"
        known = (before,) * len(positions)
        outcome = Outcome(positions, known, state, before + 1, NOW, error, NOW, batch)
        await self.outbox.commit(Changes(outcomes=[outcome]))

    async def pending(self, target: str = "audit") -> list[int]:
        """The positions that are pending in this life's care."""
        return [one.position for one in await self.outbox.page(target, 0, 100_000)]

    async def all(self, **which: Any) -> dict[int, Delivery]:
        """Every delivery there is, by position."""
        return {one.position: one for one in await self.steering.listed(limit=100_000, **which)}

    async def close(self) -> None:
        """Close it, as a process does that dies: without an end of its life."""
        lock = getattr(self.database.vitality, "_ours", None)
        if lock is not None and lock._file is not None:
            # The system lets go of the lock; the lock's file stays.
            lock._file.close()
            lock._file = None
        if self.database.shared and self.database.is_open:
            # Its time runs out.
            await self._tell_of_life("expires_at")
        await self.database.close()

    async def _tell_of_life(self, column: str) -> None:
        async with self.database.writing() as connection:
            await connection.execute(
                text(f"UPDATE lives SET {column} = 1 WHERE epoch = :epoch"), {"epoch": self.life.epoch}
            )


@contextlib.asynccontextmanager
async def opened(url: str) -> AsyncIterator[Store]:
    """An open store without a life."""
    store = Store(url)
    await store.database.open()
    try:
        yield store
    finally:
        await store.close()
