"""The lives of those that share a database. What it promises stands in `rtserver.store.base.Lives`."""

from __future__ import annotations

from collections.abc import Collection

import orjson
from sqlalchemy import delete, exists, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from rtserver.store.base import SLOT_BITS, Estate, Life, LifeOver, Lost, Session, StoreError
from rtserver.store.database import Database, uninterrupted
from rtserver.store.revisions import release
from rtserver.store.tables import PENDING, care, deliveries, lives, session_rooms, sessions, targets

# Deliveries are kept for weeks: what a life of this age wrote is long gone. In microseconds.
_FORGOTTEN = 365 * 86400 * 1_000_000


class SqlLives:
    """See `Lives`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._vitality = database.vitality
        self._epoch = 0

    @uninterrupted
    async def begin(self, node: str, names: Collection[str], now: float, early: Life | None = None) -> Life:
        """See `Lives.begin`. An epoch is the time in microseconds, or more when the clock was set back."""
        try:
            async with self._database.writing() as connection:
                await self._vitality.alone(connection)
                slot = _free_slot(set(await connection.scalars(select(lives.c.slot))))
                epoch = await _next_epoch(connection, now) if early is None else early.epoch
                await connection.execute(insert(lives).values(epoch=epoch, slot=slot, node=node, seen_at=now))
                await self._vitality.show(connection, epoch)
                for target in names:
                    await connection.execute(insert(care).values(life=epoch, target=target, keeper=epoch))
                await _let_in(connection, names)
        except BaseException:
            self._vitality.rest()
            raise
        self._epoch = epoch
        return Life(epoch, slot)

    @uninterrupted
    async def seen(self, now: float) -> None:
        """See `Lives.seen`."""
        async with self._database.writing() as connection:
            known = await connection.execute(
                update(lives).where(lives.c.epoch == self._epoch).values(seen_at=now)
            )
            if not known.rowcount:
                raise LifeOver("other nodes took this one for dead")
            await self._vitality.renew(connection, self._epoch)

    @uninterrupted
    async def take_over(self) -> Estate:
        """See `Lives.take_over`."""
        me = self._epoch
        async with self._database.writing() as connection:
            await self._vitality.alone(connection)
            known = (await connection.execute(select(lives).where(lives.c.epoch != me))).all()
            others = {life.epoch for life in known}
            dead = await self._vitality.dead(connection, others)
            ours = list(await connection.scalars(select(care.c.target).where(care.c.life == me)))
            taken = await connection.execute(
                update(care)
                .where(care.c.target.in_(ours), care.c.keeper.not_in({me} | others - dead))
                .values(keeper=me)
            )
            await connection.execute(delete(care).where(care.c.keeper == me, care.c.life < me - _FORGOTTEN))
            found = []
            for life in known:
                shared = select(care.c.target).where(care.c.life == life.epoch, care.c.target.in_(ours))
                if life.epoch in dead and (await connection.execute(shared.limit(1))).first() is not None:
                    found.append(await self._inherit(connection, life.epoch, life.node, life.seen_at))
            latest = await connection.scalar(select(func.max(deliveries.c.position)))
            return Estate(found, taken.rowcount > 0, latest or 0)

    @uninterrupted
    async def abandoned(self, names: Collection[str]) -> dict[str, int]:
        """See `Lives.abandoned`."""
        async with self._database.reading() as connection:
            known = list(await connection.scalars(select(lives.c.epoch).where(lives.c.epoch != self._epoch)))
            alive = {self._epoch, *await self._vitality.alive(connection, known)}
            cared_for = exists().where(
                care.c.life == deliveries.c.life,
                care.c.target == deliveries.c.target,
                care.c.keeper.in_(alive),
            )
            query = (
                select(deliveries.c.target, func.count().label("number"))
                .where(PENDING, deliveries.c.target.not_in(names), ~cared_for)
                .group_by(deliveries.c.target)
            )
            return {row.target: row.number for row in await connection.execute(query)}

    @uninterrupted
    async def end(self) -> None:
        """See `Lives.end`."""
        try:
            async with self._database.writing() as connection:
                open_sessions = await connection.scalar(
                    select(func.count()).select_from(sessions).where(sessions.c.life == self._epoch)
                )
                if not open_sessions:
                    await connection.execute(delete(lives).where(lives.c.epoch == self._epoch))
        finally:
            self._vitality.rest()

    async def _inherit(self, connection: AsyncConnection, life: int, node: str, seen_at: float) -> Lost:
        """Make the dead life's sessions ours: should we die before their last events are written, they are found."""
        theirs = (await connection.execute(select(sessions).where(sessions.c.life == life))).all()
        rooms: dict[str, list[str]] = {}
        members = select(session_rooms).join(sessions, sessions.c.id == session_rooms.c.session)
        for row in await connection.execute(members.where(sessions.c.life == life)):
            rooms.setdefault(row.session, []).append(row.room)
        await connection.execute(update(sessions).where(sessions.c.life == life).values(life=self._epoch))
        await connection.execute(delete(lives).where(lives.c.epoch == life))
        self._vitality.bury(life)
        found = [Session(row.id, self._epoch, orjson.loads(row.about)) for row in theirs]
        return Lost(life, node, seen_at, found, rooms)


def _free_slot(taken: Collection[int]) -> int:
    slot = next((slot for slot in range(1, 1 << SLOT_BITS) if slot not in taken), None)
    if slot is None:
        raise StoreError("too many nodes share the store")
    return slot


async def _next_epoch(connection: AsyncConnection, now: float) -> int:
    """Return the time in microseconds, or more when the clock was set back behind what is written."""
    written = [
        await connection.scalar(select(func.max(column))) or 0
        for column in (lives.c.epoch, care.c.life, care.c.keeper)
    ]
    last = await connection.scalar(select(func.max(deliveries.c.position))) or 0
    return max(int(now * 1_000_000), last >> SLOT_BITS, *written) + 1


async def _let_in(connection: AsyncConnection, names: Collection[str]) -> None:
    """Enable targets that are disabled, at every node: a restart lets everybody in again."""
    shut = (targets.c.name.in_(names), targets.c.disabled.is_not(None))
    for name in sorted(await connection.scalars(select(targets.c.name).where(*shut))):
        await connection.execute(update(targets).where(targets.c.name == name).values(disabled=None))
        await release(connection, name)
