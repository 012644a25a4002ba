"""An SQLite file, which servers on one machine may share."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from rtserver.store.base import Changes, StoreError
from rtserver.store.database import Database, Unusable, reason
from rtserver.store.migrations import TooNew, migrate
from rtserver.store.sqlite.broken import Broken, check, is_broken, move_aside
from rtserver.store.sqlite.locks import LifeLocks
from rtserver.store.sqlite.rows import statements
from rtserver.store.sqlite.settings import PRAGMAS, READING, settle
from rtserver.store.sqlite.writer import Writer

# How long one process waits for another one's transaction, in seconds.
_BUSY = 5.0


class SqliteDatabase(Database):
    """See `Database`. A file that is no sound database is moved aside when it is opened by a server."""

    _errors = (sqlite3.Error,)

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), LifeLocks(path))
        self.path = path
        self._file: tuple[int, int] | None = None
        self._commits: Writer | None = None
        # One of our transactions at a time: waiting here is cheaper than waiting for SQLite's lock.
        self._turn = asyncio.Lock()

    async def look(self) -> None:
        """See `Database.look`."""
        if not self.path.is_file():
            raise StoreError(
                f"there is no database at {self.path.absolute()}: store.url is relative to where a command is given"
            )
        try:
            await self._open()
        except Broken as broken:
            raise StoreError(f"{self.path} is no sound database: {broken}") from None

    async def open(self) -> None:
        """See `Database.open`."""
        try:
            await self._open(counted=True)
        except Broken as broken:
            move_aside(self.path, str(broken))
            try:
                await self._open(counted=True)
            except Broken as again:
                raise StoreError(f"{self.path}: {again}") from None

    async def _open(self, *, counted: bool = False) -> None:
        engine = _engine(self.path)
        try:
            async with engine.begin() as connection:
                await connection.run_sync(check, self.path)
                await connection.run_sync(migrate)
                openings = await connection.run_sync(_count) if counted else None
            if counted:
                await _checkpoint(engine)
        except BaseException as error:
            await engine.dispose()
            if isinstance(error, TooNew):
                raise Unusable(f"{self.path}: {error}") from None
            if is_broken(error):
                raise Broken(reason(error)) from error
            if isinstance(error, (SQLAlchemyError, OSError)):
                raise StoreError(f"{self.path}: {reason(error)}") from error
            raise
        self._engine, self.openings = engine, openings
        self._file = _identity(self.path)
        self._commits = Writer(self.path, PRAGMAS, _BUSY)

    @contextlib.asynccontextmanager
    async def _reader(self) -> AsyncIterator[AsyncConnection]:
        async with self.engine.connect() as connection:
            await connection.execution_options(**READING)
            yield connection

    @contextlib.asynccontextmanager
    async def _writer(self) -> AsyncIterator[AsyncConnection]:
        async with self._turn:
            engine = self.engine
            self._check_file()
            async with engine.begin() as connection:
                yield connection

    async def _commit(self, changes: Changes, life: int) -> None:
        if self._commits is None:
            raise StoreError("the store is not open")
        async with self._turn:
            self._check_file()
            await self._commits.write(list(statements(changes, life)))

    async def _close(self) -> None:
        if self._commits is not None:
            writer, self._commits = self._commits, None
            await writer.close()

    def _check_file(self) -> None:
        """Raise `StoreError` when the file is no longer where it was: what is written to it now is lost at the end."""
        if _identity(self.path) != self._file:
            raise StoreError(
                f"{self.path}: the file was moved or deleted; restart the server to begin a new one"
            )


def _engine(path: Path) -> AsyncEngine:
    # Not as text: what is special in a URL may be in a file's name.
    url = URL.create("sqlite+aiosqlite", database=str(path))
    engine = create_async_engine(url, connect_args={"timeout": _BUSY})
    settle(engine)
    return engine


async def _checkpoint(engine: AsyncEngine) -> None:
    """Copy into the file what a server that was killed left in the log; on a full disk that is for later."""
    with contextlib.suppress(DBAPIError):
        async with engine.connect() as connection:
            await connection.execution_options(**READING)
            await connection.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)")


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _count(connection: Connection) -> int:
    """Return how often the file was opened before, by a number that SQLite keeps beside the tables, and add one."""
    before: int = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
    connection.exec_driver_sql(f"PRAGMA user_version={before + 1}")
    return before
