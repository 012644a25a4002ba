"""The outbox in a database. What it promises stands in `rtserver.store.base.Outbox`."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Select, delete, func, select, text, update
from sqlalchemy.sql import Executable

from rtserver.store.base import SLOT_BITS, Changes, Delivery, TargetState
from rtserver.store.database import Database, uninterrupted
from rtserver.store.tables import FINISHED, PENDING, batches, care, deliveries, releases, targets

# How many rows one statement changes at most: the writer of new events waits that long.
_CHUNK = 5000

_DISABLE = text(
    "INSERT INTO targets (name, revision, disabled) VALUES (:name, 0, :reason)"
    " ON CONFLICT (name) DO UPDATE SET disabled = excluded.disabled"
)
COLUMNS = [deliveries.c[name] for name in Delivery._fields]


class SqlOutbox:
    """See `Outbox`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.durable = database.durable
        self.life = 0

    async def commit(self, changes: Changes) -> None:
        """See `Outbox.commit`."""
        await self._database.commit(changes, self.life)

    @uninterrupted
    async def written(self, event_ids: Collection[str]) -> set[str]:
        """See `Outbox.written`."""
        found: set[str] = set()
        ids = sorted(event_ids)
        async with self._database.reading() as connection:
            for start in range(0, len(ids), _CHUNK):
                some = deliveries.c.event_id.in_(ids[start : start + _CHUNK])
                found.update(await connection.scalars(select(deliveries.c.event_id).where(some)))
        return found

    @uninterrupted
    async def page(self, target: str, after: int, limit: int) -> list[Delivery]:
        """See `Outbox.page`."""
        query = self._pending(select(*COLUMNS), target).where(deliveries.c.position > after)
        async with self._database.reading() as connection:
            rows = await connection.execute(query.order_by(deliveries.c.position).limit(limit))
            return [Delivery(*row) for row in rows]

    @uninterrupted
    async def batches(self, target: str) -> list[tuple[str, list[Delivery]]]:
        """See `Outbox.batches`."""
        query = select(batches.c.id, batches.c.members).where(
            batches.c.target == target, batches.c.life.in_(self._our_care(target))
        )
        whole, broken = [], []
        async with self._database.reading() as connection:
            for batch, members in (await connection.execute(query)).all():
                positions = [int(position) for position in members.split()]
                rows: list[Any] = []
                for start in range(0, len(positions), _CHUNK):
                    some = deliveries.c.position.in_(positions[start : start + _CHUNK])
                    rows += await connection.execute(self._pending(select(*COLUMNS), target).where(some))
                if len(rows) == len(positions):
                    whole.append((batch, sorted(Delivery(*row) for row in rows)))
                else:
                    broken.append(batch)
        if broken:
            await self._change(delete(batches).where(batches.c.id.in_(broken)))
        return whole

    @uninterrupted
    async def pending(self) -> dict[str, int]:
        """See `Outbox.pending`."""
        names = select(care.c.target).where(care.c.keeper == self.life).distinct()
        found = {}
        async with self._database.reading() as connection:
            # One by one: a lookup of the keeper for each of a million deliveries takes ten times as long.
            for name in list(await connection.scalars(names)):
                found[name] = await connection.scalar(self._pending(select(func.count()), name)) or 0
        return {name: number for name, number in found.items() if number}

    @uninterrupted
    async def bury(self, target: str, error: str, at: float) -> int:
        """See `Outbox.bury`."""
        some = _taken(self._pending(select(deliveries.c.position), target).limit(_CHUNK))
        statement = (
            update(deliveries)
            .where(deliveries.c.position.in_(some))
            .values(state="dead", error=error, finished_at=at)
        )
        buried = 0
        while changed := await self._change(statement):
            buried += changed
        ours = batches.c.life.in_(self._our_care(target))
        await self._change(delete(batches).where(batches.c.target == target, ours))
        return buried

    @uninterrupted
    async def targets(self) -> dict[str, TargetState]:
        """See `Outbox.targets`."""
        async with self._database.reading() as connection:
            released = func.coalesce(releases.c.number, 0)
            rows = await connection.execute(
                select(targets.c.name, targets.c.revision, targets.c.disabled, released).join_from(
                    targets, releases, releases.c.target == targets.c.name, isouter=True
                )
            )
            return {row.name: TargetState(*row) for row in rows}

    @uninterrupted
    async def disable(self, target: str, reason: str) -> None:
        """See `Outbox.disable`."""
        async with self._database.writing() as connection:
            await connection.execute(_DISABLE, {"name": target, "reason": reason})

    @uninterrupted
    async def prune(self, target: str, keep_delivered: int, dead_before: float) -> int:
        """See `Outbox.prune`."""
        finished = select(deliveries.c.position).where(deliveries.c.target == target, FINISHED)
        delivered = (
            finished.where(deliveries.c.state == "delivered")
            .order_by(deliveries.c.position.desc())
            .limit(_CHUNK)
            .offset(keep_delivered)
        )
        dead = (
            finished.where(deliveries.c.state == "dead")
            .where(deliveries.c.position < int(dead_before * 1_000_000) << SLOT_BITS)
            .order_by(deliveries.c.position)
            .limit(_CHUNK)
        )
        gone = 0
        for some in (delivered, dead):
            gone += await self._change(delete(deliveries).where(deliveries.c.position.in_(_taken(some))))
        return gone

    async def _change(self, statement: Executable) -> int:
        async with self._database.writing() as connection:
            return (await connection.execute(statement)).rowcount

    def _pending(self, query: Select[Any], target: str) -> Select[Any]:
        return query.where(
            deliveries.c.target == target,
            PENDING,
            deliveries.c.life.in_(self._our_care(target)),
        )

    def _our_care(self, target: str) -> Select[Any]:
        return select(care.c.life).where(care.c.target == target, care.c.keeper == self.life)


def _taken(some: Select[Any]) -> Select[Any]:
    """Let nobody else take these rows, nor take any that somebody else has; SQLite has one writer at a time."""
    return some.with_for_update(skip_locked=True)
