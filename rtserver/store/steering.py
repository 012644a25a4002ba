"""What commands do to the outbox, beside a running server or without one. See `rtserver.store.base.Steering`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Delete, Update, delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from rtserver.store.base import Delivery, State
from rtserver.store.database import Database, uninterrupted
from rtserver.store.outbox import COLUMNS
from rtserver.store.revisions import release, touch
from rtserver.store.tables import deliveries, targets

# How many values one statement takes; PostgreSQL takes 32 767.
_VALUES = 10_000
_FRESH: dict[str, Any] = {"state": "pending", "attempts": 0, "error": None, "finished_at": None}


class SqlSteering:
    """See `Steering`. Every change raises the revision of the targets it touches, which a running server watches."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @uninterrupted
    async def listed(
        self,
        state: State | None = None,
        target: str | None = None,
        limit: int = 100,
        before: int | None = None,
    ) -> Sequence[Delivery]:
        """See `Steering.listed`."""
        query = select(*COLUMNS)
        if state is not None:
            query = query.where(deliveries.c.state == state)
        if target is not None:
            query = query.where(deliveries.c.target == target)
        if before is not None:
            query = query.where(deliveries.c.position < before)
        async with self._database.reading() as connection:
            rows = await connection.execute(query.order_by(deliveries.c.position.desc()).limit(limit))
            return [Delivery(*row) for row in rows]

    @uninterrupted
    async def find(self, delivery_id: str) -> Sequence[Delivery]:
        """See `Steering.find`."""
        event, _, target = delivery_id.partition("/")
        query = select(*COLUMNS).where(deliveries.c.event_id == event)
        if target:
            query = query.where(deliveries.c.target == target)
        async with self._database.reading() as connection:
            return [Delivery(*row) for row in await connection.execute(query.order_by(deliveries.c.position))]

    @uninterrupted
    async def retry(self, chosen: Collection[Delivery], now: float) -> int:
        """See `Steering.retry`."""
        async with self._database.writing() as connection:
            changed = await _each(connection, update(deliveries).values(due_at=now, **_FRESH), chosen)
            for target in _targets(chosen):
                await release(connection, target)
            return changed

    @uninterrupted
    async def retry_dead(self, target: str | None, now: float) -> int:
        """See `Steering.retry_dead`."""
        dead = deliveries.c.state == "dead"
        if target is not None:
            dead &= deliveries.c.target == target
        async with self._database.writing() as connection:
            touched = set(await connection.scalars(select(deliveries.c.target).where(dead).distinct()))
            changed = await connection.execute(update(deliveries).where(dead).values(due_at=now, **_FRESH))
            for name in sorted(touched):
                await release(connection, name)
            return changed.rowcount

    @uninterrupted
    async def drop(self, chosen: Collection[Delivery]) -> int:
        """See `Steering.drop`."""
        async with self._database.writing() as connection:
            changed = await _each(connection, delete(deliveries), chosen)
            for target in _targets(chosen):
                await touch(connection, target)
            return changed

    @uninterrupted
    async def enable(self, target: str) -> bool:
        """See `Steering.enable`."""
        async with self._database.writing() as connection:
            disabled = await connection.scalar(select(targets.c.disabled).where(targets.c.name == target))
            await connection.execute(update(targets).where(targets.c.name == target).values(disabled=None))
            await release(connection, target)
            return disabled is not None

    @uninterrupted
    async def disabled(self) -> set[str]:
        """See `Steering.disabled`."""
        async with self._database.reading() as connection:
            return set(
                await connection.scalars(select(targets.c.name).where(targets.c.disabled.is_not(None)))
            )


def _targets(chosen: Collection[Delivery]) -> list[str]:
    # In order, or two commands at a time might wait for one another.
    return sorted({delivery.target for delivery in chosen})


async def _each(connection: AsyncConnection, statement: Update | Delete, chosen: Collection[Delivery]) -> int:
    """Run the statement for these deliveries; return how many there were."""
    positions = sorted(delivery.position for delivery in chosen)
    changed = 0
    for start in range(0, len(positions), _VALUES):
        some = deliveries.c.position.in_(positions[start : start + _VALUES])
        changed += (await connection.execute(statement.where(some))).rowcount
    return changed
