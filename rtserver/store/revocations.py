"""Tokens that were called back, kept over a restart."""

from __future__ import annotations

import math
from typing import Any

from sqlalchemy import Row, func, insert, select, update

from rtserver.store.base import Revoked
from rtserver.store.database import Database, uninterrupted
from rtserver.store.tables import revocations

# What stands for "whenever it was issued": no database has to know infinity.
_EVER = 1e18


class SqlRevocations:
    """See `RevocationStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.shared = database.shared

    @uninterrupted
    async def keep(self, rule: Revoked) -> None:
        """See `RevocationStore.keep`."""
        values = {
            "user": rule.user or "",
            "jti": rule.jti or "",
            "issued_before": min(rule.issued_before, _EVER),
            "recorded_at": rule.recorded_at,
        }
        column = revocations.c
        same = (column.user == values["user"], column.jti == values["jti"])
        async with self._database.writing() as connection:
            # Numbers must come into sight in order, or who looks for higher ones misses one.
            await self._database.vitality.alone(connection)
            last = await connection.scalar(select(func.max(column.number))) or 0
            known = await connection.scalar(select(column.issued_before).where(*same))
            if known is None:
                await connection.execute(insert(revocations).values(number=last + 1, **values))
            elif known <= values["issued_before"]:
                await connection.execute(update(revocations).where(*same).values(number=last + 1, **values))

    @uninterrupted
    async def load(self, after: int = -1) -> tuple[list[Revoked], int]:
        """See `RevocationStore.load`."""
        newer = select(revocations).where(revocations.c.number > after).order_by(revocations.c.number)
        async with self._database.reading() as connection:
            rows = (await connection.execute(newer)).all()
        return [_rule(row) for row in rows], rows[-1].number if rows else after


def _rule(row: Row[Any]) -> Revoked:
    return Revoked(
        row.user or None,
        row.jti or None,
        math.inf if row.issued_before >= _EVER else row.issued_before,
        row.recorded_at,
    )
