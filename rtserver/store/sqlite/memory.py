"""A database in memory, which nobody else sees and nothing survives."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import uuid
from collections.abc import AsyncIterator

from sqlalchemy import pool
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from rtserver.store.base import Changes, StoreError
from rtserver.store.database import Database, uninterrupted
from rtserver.store.migrations import migrate
from rtserver.store.sqlite.rows import statements
from rtserver.store.sqlite.settings import READING, settle
from rtserver.store.vitality import Hermit


class MemoryDatabase(Database):
    """See `Database`. All share one connection, so one at a time reads or writes."""

    durable = False
    _errors = (sqlite3.Error,)

    def __init__(self) -> None:
        super().__init__("memory", Hermit())
        self._turn = asyncio.Lock()
        # It lives as long as anybody is connected. SQLAlchemy drops the connection of a task that is cancelled in a
        # query; this one stays, and does nothing else.
        self._name = f"file:rtserver-{uuid.uuid4().hex}?mode=memory&cache=shared"
        self._keeper: sqlite3.Connection | None = None

    async def open(self) -> None:
        """See `Database.open`."""
        if self._keeper is None:
            self._keeper = sqlite3.connect(self._name, uri=True, check_same_thread=False)
        engine = create_async_engine(f"sqlite+aiosqlite:///{self._name}&uri=true", poolclass=pool.StaticPool)
        settle(engine)
        with self._telling():
            async with engine.begin() as connection:
                await connection.run_sync(migrate)
        self._engine, self.openings = engine, 0

    async def look(self) -> None:
        """See `Database.look`."""
        raise StoreError("the store is in memory: only the server itself sees what is in it")

    @contextlib.asynccontextmanager
    async def _reader(self) -> AsyncIterator[AsyncConnection]:
        # The end of a reading would roll back what another is writing.
        async with self._turn, self.engine.connect() as connection:
            await connection.execution_options(**READING)
            yield connection

    @contextlib.asynccontextmanager
    async def _writer(self) -> AsyncIterator[AsyncConnection]:
        async with self._turn, self.engine.begin() as connection:
            yield connection

    @uninterrupted
    async def _commit(self, changes: Changes, life: int) -> None:
        async with self.writing() as connection:
            for sql, values in statements(changes, life):
                await connection.exec_driver_sql(sql, values)

    async def _close(self) -> None:
        if self._keeper is not None:
            self._keeper.close()
            self._keeper = None
