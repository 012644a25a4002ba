"""Tokens that were called back, kept over a restart."""

from __future__ import annotations

import math

from sqlalchemy import delete, insert, select

from rtserver.store.base import Revoked
from rtserver.store.database import Database, uninterrupted
from rtserver.store.tables import revocations

# What stands for "whenever it was issued": no database has to know infinity.
_EVER = 1e18


class SqlRevocations:
    """See `RevocationStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @uninterrupted
    async def keep(self, rule: Revoked) -> None:
        """See `RevocationStore.keep`."""
        user, jti = rule.user or "", rule.jti or ""
        same = (revocations.c.user == user, revocations.c.jti == jti)
        async with self._database.writing() as connection:
            await connection.execute(delete(revocations).where(*same))
            await connection.execute(
                insert(revocations).values(
                    user=user,
                    jti=jti,
                    issued_before=min(rule.issued_before, _EVER),
                    recorded_at=rule.recorded_at,
                )
            )

    @uninterrupted
    async def load(self) -> list[Revoked]:
        """See `RevocationStore.load`."""
        async with self._database.reading() as connection:
            rows = await connection.execute(select(revocations))
            return [
                Revoked(
                    row.user or None,
                    row.jti or None,
                    math.inf if row.issued_before >= _EVER else row.issued_before,
                    row.recorded_at,
                )
                for row in rows
            ]
