"""Who of those that share a PostgreSQL database is alive: each has a lease, and renews it in time.

All times are the database's own, so nodes' clocks do not matter. Whoever was cut off from the database itself, or has
just come, waits for as long as a lease before it takes anybody for dead: after an outage of the database every lease
has run out, and everybody needs the time to renew it.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Double, bindparam, case, func, literal_column, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from rtserver.store.tables import lives

# "rtserver", as a number: whoever changes the tables, begins a life or takes over holds this lock.
LOCK = 0x7274736572766572

_NOW = literal_column("extract(epoch FROM clock_timestamp())::float8", Double)


async def alone(connection: AsyncConnection) -> None:
    """Wait for the lock, and hold it until the transaction ends."""
    await connection.execute(select(func.pg_advisory_xact_lock(bindparam("key", LOCK))))


class Leases:
    """See `Vitality`. *seconds* is how long a life counts as such after its last sign."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._epoch = 0

    async def alone(self, connection: AsyncConnection) -> None:
        """See `Vitality.alone`."""
        await alone(connection)

    async def show(self, connection: AsyncConnection, epoch: int) -> None:
        """See `Vitality.show`."""
        self._epoch = epoch
        await self.renew(connection, epoch)

    async def renew(self, connection: AsyncConnection, epoch: int) -> None:
        """See `Vitality.renew`."""
        since = case((lives.c.expires_at < _NOW, _NOW), else_=lives.c.in_touch_since)
        await connection.execute(
            update(lives)
            .where(lives.c.epoch == epoch)
            .values(expires_at=_NOW + self._seconds, in_touch_since=since)
        )

    async def dead(self, connection: AsyncConnection, others: Collection[int]) -> set[int]:
        """See `Vitality.dead`."""
        in_touch = select(lives.c.epoch).where(
            lives.c.epoch == self._epoch,
            lives.c.expires_at >= _NOW,
            lives.c.in_touch_since <= _NOW - self._seconds,
        )
        if (await connection.execute(in_touch)).first() is None:
            return set()
        # One that writes at this moment is not dead.
        expired = (
            select(lives.c.epoch)
            .where(lives.c.epoch.in_(others), lives.c.expires_at < _NOW)
            .with_for_update(skip_locked=True)
        )
        return set(await connection.scalars(expired))

    async def alive(self, connection: AsyncConnection, others: Collection[int]) -> set[int]:
        """See `Vitality.alive`."""
        going_on = select(lives.c.epoch).where(lives.c.epoch.in_(others), lives.c.expires_at >= _NOW)
        return set(await connection.scalars(going_on))

    def bury(self, epoch: int) -> None:
        """See `Vitality.bury`. There is nothing beside the database."""

    def rest(self) -> None:
        """See `Vitality.rest`. The lease runs out, or the row is gone."""
