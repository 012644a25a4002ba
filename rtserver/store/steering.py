"""What commands do to the outbox, beside a running server or without one. See `rtserver.store.base.Steering`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from rtserver.store.base import Delivery, State
from rtserver.store.database import Database, uninterrupted
from rtserver.store.outbox import COLUMNS
from rtserver.store.tables import deliveries, releases, targets

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
            changed = await connection.execute(
                update(deliveries)
                .where(deliveries.c.position.in_([delivery.position for delivery in chosen]))
                .values(due_at=now, **_FRESH)
            )
            await _release(connection, {delivery.target for delivery in chosen})
            return changed.rowcount

    @uninterrupted
    async def retry_dead(self, target: str | None, now: float) -> int:
        """See `Steering.retry_dead`."""
        dead = deliveries.c.state == "dead"
        if target is not None:
            dead &= deliveries.c.target == target
        async with self._database.writing() as connection:
            touched = set(await connection.scalars(select(deliveries.c.target).where(dead).distinct()))
            changed = await connection.execute(update(deliveries).where(dead).values(due_at=now, **_FRESH))
            await _release(connection, touched)
            return changed.rowcount

    @uninterrupted
    async def drop(self, chosen: Collection[Delivery]) -> int:
        """See `Steering.drop`."""
        async with self._database.writing() as connection:
            changed = await connection.execute(
                delete(deliveries).where(deliveries.c.position.in_([d.position for d in chosen]))
            )
            await _touch(connection, {delivery.target for delivery in chosen})
            return changed.rowcount

    @uninterrupted
    async def enable(self, target: str) -> bool:
        """See `Steering.enable`."""
        async with self._database.writing() as connection:
            disabled = await connection.scalar(select(targets.c.disabled).where(targets.c.name == target))
            await connection.execute(update(targets).where(targets.c.name == target).values(disabled=None))
            await _release(connection, {target})
            return disabled is not None

    @uninterrupted
    async def disabled(self) -> set[str]:
        """See `Steering.disabled`."""
        async with self._database.reading() as connection:
            return set(
                await connection.scalars(select(targets.c.name).where(targets.c.disabled.is_not(None)))
            )


async def _touch(connection: AsyncConnection, names: Collection[str]) -> None:
    """Let a running server read these targets' deliveries anew."""
    for name in names:
        known = await connection.execute(
            update(targets).where(targets.c.name == name).values(revision=targets.c.revision + 1)
        )
        if not known.rowcount:
            await connection.execute(insert(targets).values(name=name, revision=1))


async def _release(connection: AsyncConnection, names: Collection[str]) -> None:
    """Let a running server read these targets' deliveries anew, and deliver now."""
    await _touch(connection, names)
    for name in names:
        known = await connection.execute(
            update(releases).where(releases.c.target == name).values(number=releases.c.number + 1)
        )
        if not known.rowcount:
            await connection.execute(insert(releases).values(target=name, number=1))
