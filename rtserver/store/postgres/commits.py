"""The one connection for the transactions that come every few milliseconds, straight through the driver."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

import asyncpg

from rtserver.store.base import LifeOver
from rtserver.store.postgres.connecting import ANSWERING, Address
from rtserver.store.postgres.rows import Statement

# How long one transaction may take in all, in seconds. Who waits for it is told sooner (webhooks/journal.py).
_LONGEST = 10.0
# What a connection that is gone raises.
_CUT = (
    OSError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
)


class Commits:
    """The connection, made when it is first needed and whenever it is gone."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._connection: Any = None

    async def write(self, statements: Sequence[Statement]) -> None:
        """Run all of it in one transaction, or nothing. Raises what the driver raises, and `LifeOver`."""
        kept = self._connection is not None
        async with asyncio.timeout(_LONGEST):
            try:
                await self._write(statements)
            except _CUT as error:
                if not kept or isinstance(error, (TimeoutError, asyncpg.QueryCanceledError)):
                    raise
                # It was cut since it was used last, or just now. Nothing that is written twice is there twice.
                await self._write(statements)

    async def _write(self, statements: Sequence[Statement]) -> None:
        connection = await self._connected()
        try:
            await _run(connection, statements)
        except LifeOver:
            raise
        except BaseException:
            # Whatever state it is in, the next one is sound.
            self._drop()
            raise

    async def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                await connection.close(timeout=1)
            except Exception:
                connection.terminate()

    async def _connected(self) -> Any:
        if self._connection is not None and self._connection.is_closed():
            self._drop()
        if self._connection is None:
            self._connection = await self._address.connect(ANSWERING)
        return self._connection

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.terminate()


async def _run(connection: Any, statements: Sequence[Statement]) -> None:
    if len(statements) == 1:
        # A transaction by itself.
        _check(await connection.fetchval(statements[0].sql, *statements[0].values))
        return
    async with connection.transaction():
        for sql, values in statements:
            _check(await connection.fetchval(sql, *values))


def _check(alive: int) -> None:
    if not alive:
        raise LifeOver("other nodes took this one for dead, and look after what it looked after")
