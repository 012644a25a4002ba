"""A PostgreSQL database, which nodes on many machines share."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from rtserver.store.base import Changes, StoreError
from rtserver.store.database import Database, Unusable, uninterrupted
from rtserver.store.migrations import TooNew, migrate
from rtserver.store.postgres.commits import Commits
from rtserver.store.postgres.connecting import ANSWERING, SCHEMA, Address
from rtserver.store.postgres.leases import Leases, alone
from rtserver.store.postgres.rows import statements
from rtserver.store.tables import schema

# Connections for everything but commits, and how many more for a moment.
_CONNECTIONS, _MORE = 3, 5


class PostgresDatabase(Database):
    """See `Database`. *lease* is how long a node without a sign of life counts as alive, in seconds."""

    shared = True
    _errors = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)

    def __init__(self, url: str, lease: float) -> None:
        self._address = Address(url)
        super().__init__(self._address.place, Leases(lease))
        self._patience: float | None = ANSWERING
        self._commits = Commits(self._address)
        self._turn = asyncio.Lock()

    async def open(self) -> None:
        """See `Database.open`."""
        await self._open(_prepare)

    async def look(self) -> None:
        """See `Database.look`. A command may take as long as it needs."""
        self._patience = None
        await self._open(_check)

    @uninterrupted
    async def _open(self, prepare: Callable[[AsyncConnection], Awaitable[int | None]]) -> None:
        engine = self._engine_for(self._patience)
        try:
            with self._telling():
                async with asyncio.timeout(self._patience), engine.begin() as connection:
                    openings = await prepare(connection)
        except TooNew as error:
            await engine.dispose()
            raise Unusable(f"{self.place}: {error}") from None
        except BaseException:
            await engine.dispose()
            raise
        self._engine, self.openings = engine, openings

    @contextlib.asynccontextmanager
    async def _reader(self) -> AsyncIterator[AsyncConnection]:
        connection = self.engine.connect()
        # From then on each statement has its time.
        async with asyncio.timeout(self._patience):
            await connection
        try:
            yield connection
        finally:
            await connection.close()

    @contextlib.asynccontextmanager
    async def _writer(self) -> AsyncIterator[AsyncConnection]:
        async with self._reader() as connection, connection.begin():
            yield connection

    @uninterrupted
    async def _commit(self, changes: Changes, life: int) -> None:
        if self._engine is None:
            raise StoreError("the store is not open")
        if not life:
            raise StoreError("nothing can be written before a life has begun")
        if changes:
            async with self._turn:
                await self._commits.write(statements(changes, life))

    async def _close(self) -> None:
        await self._commits.close()

    def _engine_for(self, patience: float | None) -> AsyncEngine:
        async def connect(*_: Any, **__: Any) -> Any:
            return await self._address.connect(patience)

        return create_async_engine(
            "postgresql+asyncpg://",
            async_creator=connect,
            # One that was cut meanwhile is found out before it is used.
            pool_pre_ping=True,
            pool_size=_CONNECTIONS,
            max_overflow=_MORE,
            pool_timeout=ANSWERING,
        )


async def _prepare(connection: AsyncConnection) -> int:
    """Make the schema and its tables, or bring them up to date; return how many servers opened them before."""
    await alone(connection)
    there = await connection.scalar(
        text("SELECT 1 FROM pg_namespace WHERE nspname = :name"), {"name": SCHEMA}
    )
    if not there:
        await connection.execute(text(f"CREATE SCHEMA {SCHEMA}"))
    elif not await connection.scalar(text("SELECT has_schema_privilege(:name, 'USAGE')"), {"name": SCHEMA}):
        raise StoreError(f"the user may not use the schema {SCHEMA}, which is another's")
    await connection.run_sync(migrate)
    await connection.execute(text("CREATE TABLE IF NOT EXISTS openings (number bigint NOT NULL)"))
    counted = await connection.scalar(text("UPDATE openings SET number = number + 1 RETURNING number - 1"))
    if counted is None:
        counted = await connection.scalar(text("INSERT INTO openings VALUES (1) RETURNING 0"))
    return int(counted or 0)


async def _check(connection: AsyncConnection) -> None:
    """Bring the tables up to date; raise `StoreError` when a server has never been here, or one of another version."""
    if not await connection.scalar(text("SELECT to_regclass(:name) IS NOT NULL"), {"name": schema.name}):
        raise StoreError("there are no tables of rtserver in this database: no server has used it yet")
    await alone(connection)
    await connection.run_sync(migrate)
