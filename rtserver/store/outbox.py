"""The outbox in a database. What it promises stands in `rtserver.store.base.Outbox`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson
from sqlalchemy import Select, bindparam, delete, func, insert, select, update
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql import Executable

from rtserver.store.base import SLOT_BITS, Changes, Delivery, TargetState
from rtserver.store.database import Database
from rtserver.store.tables import batches, care, deliveries, session_rooms, sessions, targets

# How many rows one statement changes at most: the writer of new events waits that long.
_CHUNK = 5000

_dialect = sqlite.dialect(paramstyle="qmark")


def _sql(statement: Any) -> str:
    return str(statement.compile(dialect=_dialect))


_NAMES = ("position", "event_id", "target", "type", "room", "client", "body", "life", "created_at", "state",
            "attempts", "due_at", "error")  # fmt: skip
COLUMNS = [deliveries.c[name] for name in _NAMES]


def _inserting(table: Any, *columns: str) -> str:
    return _sql(insert(table).values({name: bindparam(name) for name in columns}).prefix_with("OR IGNORE"))


_ADD_DELIVERY = _inserting(deliveries, *_NAMES)
_ADD_BATCH = _inserting(batches, "id", "target", "members")
_DROP_BATCH = _sql(delete(batches).where(batches.c.id == bindparam("b_id")))
_OPEN = _inserting(sessions, "id", "life", "about")
_CLOSE = _sql(delete(sessions).where(sessions.c.id == bindparam("b_id")))
_EMPTY = _sql(delete(session_rooms).where(session_rooms.c.session == bindparam("b_id")))
_ENTER = _inserting(session_rooms, "session", "room")
_LEAVE = _sql(
    delete(session_rooms)
    .where(session_rooms.c.session == bindparam("b_session"))
    .where(session_rooms.c.room == bindparam("b_room"))
)
# Not what a command has dropped, finished or given a fresh start meanwhile.
_RECORD = (
    "UPDATE deliveries SET state=?, attempts=?, due_at=?, error=?, finished_at=?"
    " WHERE position=? AND attempts=? AND state='pending'"
)


class SqlOutbox:
    """See `Outbox`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.durable = database.durable
        self.life = 0

    async def commit(self, changes: Changes) -> None:
        """See `Outbox.commit`."""
        await self._database.write(list(_statements(changes)))

    async def page(self, target: str, after: int, limit: int) -> list[Delivery]:
        """See `Outbox.page`."""
        query = self._pending(select(*COLUMNS), target).where(deliveries.c.position > after)
        async with self._database.reading() as connection:
            rows = await connection.execute(query.order_by(deliveries.c.position).limit(limit))
            return [Delivery(*row) for row in rows]

    async def batches(self, target: str) -> list[tuple[str, list[Delivery]]]:
        """See `Outbox.batches`."""
        found = []
        async with self._database.reading() as connection:
            open_ones = await connection.execute(
                select(batches.c.id, batches.c.members).where(batches.c.target == target)
            )
            for batch, members in open_ones.all():
                positions = [int(position) for position in members.split()]
                query = self._pending(select(*COLUMNS), target).where(deliveries.c.position.in_(positions))
                rows = (await connection.execute(query.order_by(deliveries.c.position))).all()
                # Of another life, not yet in our care, when none is there.
                if rows:
                    found.append(
                        (batch, [Delivery(*row) for row in rows] if len(rows) == len(positions) else [])
                    )
        return found

    async def pending(self) -> dict[str, int]:
        """See `Outbox.pending`."""
        in_our_care = select(care.c.life).where(care.c.keeper == self.life)
        query = (
            select(deliveries.c.target, func.count().label("number"))
            .where(deliveries.c.state == "pending", deliveries.c.life.in_(in_our_care))
            .group_by(deliveries.c.target)
        )
        async with self._database.reading() as connection:
            return {row.target: row.number for row in await connection.execute(query)}

    async def bury(self, target: str, error: str, at: float) -> int:
        """See `Outbox.bury`."""
        some = self._pending(select(deliveries.c.position), target).limit(_CHUNK)
        statement = (
            update(deliveries)
            .where(deliveries.c.position.in_(some))
            .values(state="dead", error=error, finished_at=at)
        )
        buried = 0
        while changed := await self._change(statement):
            buried += changed
        await self._change(delete(batches).where(batches.c.target == target))
        return buried

    async def targets(self) -> dict[str, TargetState]:
        """See `Outbox.targets`."""
        async with self._database.reading() as connection:
            rows = await connection.execute(select(targets.c.name, targets.c.revision, targets.c.disabled))
            return {row.name: TargetState(*row) for row in rows}

    async def disable(self, target: str, reason: str) -> None:
        """See `Outbox.disable`."""
        async with self._database.writing() as connection:
            known = await connection.execute(
                update(targets).where(targets.c.name == target).values(disabled=reason)
            )
            if not known.rowcount:
                await connection.execute(insert(targets).values(name=target, revision=0, disabled=reason))

    async def prune(self, target: str, keep_delivered: int, dead_before: float) -> int:
        """See `Outbox.prune`."""
        finished = select(deliveries.c.position).where(deliveries.c.target == target)
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
            gone += await self._change(delete(deliveries).where(deliveries.c.position.in_(some)))
        return gone

    async def _change(self, statement: Executable) -> int:
        async with self._database.writing() as connection:
            return (await connection.execute(statement)).rowcount

    def _pending(self, query: Select[Any], target: str) -> Select[Any]:
        in_our_care = select(care.c.life).where(care.c.target == target, care.c.keeper == self.life)
        return query.where(
            deliveries.c.target == target,
            deliveries.c.state == "pending",
            deliveries.c.life.in_(in_our_care),
        )


def _statements(changes: Changes) -> Iterable[tuple[str, list[tuple[Any, ...]]]]:
    if changes.deliveries:
        yield _ADD_DELIVERY, [tuple(delivery) for delivery in changes.deliveries]
    if changes.batches:
        yield _ADD_BATCH, [(b.id, b.target, " ".join(map(str, b.positions))) for b in changes.batches]
    if changes.outcomes:
        yield (
            _RECORD,
            [
                (o.state, o.attempts, o.due_at, o.error, o.at if o.state != "pending" else None, *which)
                for o in changes.outcomes
                for which in zip(o.positions, o.before, strict=True)
            ],
        )
        over = [(o.batch,) for o in changes.outcomes if o.batch is not None and o.state != "pending"]
        if over:
            yield _DROP_BATCH, over
    if changes.opened:
        yield _OPEN, [(s.id, s.life, orjson.dumps(s.about)) for s in changes.opened]
    if changes.entered:
        yield _ENTER, [tuple(entered) for entered in changes.entered]
    if changes.left:
        yield _LEAVE, [tuple(left) for left in changes.left]
    if changes.closed:
        closed = [(session,) for session in changes.closed]
        yield _CLOSE, closed
        yield _EMPTY, closed
