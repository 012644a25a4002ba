"""Opening and closing the database: what the URL means, SQLite's settings, and a broken file moved aside.

SQLite runs in WAL mode (https://www.sqlite.org/wal.html) with ``synchronous=NORMAL``: what is committed survives the
death of the process at any point. The last few commits before a power cut may be lost, the file stays sound.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import sqlite3
import time
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from sqlalchemy import event, pool
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from rtserver.store.base import StoreError
from rtserver.store.migrations import TooNew, migrate
from rtserver.store.writer import Statement, Writer
from rtserver.telemetry.log import logger

_log = logger("store")

_P = ParamSpec("_P")
_T = TypeVar("_T")

# How long one process waits for another one's transaction, in seconds.
_BUSY = 5.0
_STEP = 0.005
# Files up to this size are read through on start, which takes a fraction of a second.
_CHECKED = 64_000_000
# The writer has its checkpoints beside it (checkpoints.py), after 8 MB. The other connections make one only when those
# do not come: one waits for the disk, and with it the transaction that set it off.
_PRAGMAS = ("journal_mode=WAL", "synchronous=NORMAL", "temp_store=MEMORY", "wal_autocheckpoint=16000")


class Unusable(StoreError):
    """The database can never be used as it is, for a reason the operator has to deal with."""


class Database:
    """An SQLite file, or one in memory. `open` comes first, and may be tried again when it failed."""

    def __init__(self, url: str) -> None:
        self.path = _path(url)
        self._engine: AsyncEngine | None = None
        self._file: tuple[int, int] | None = None
        self._writer: Writer | None = None
        # How many servers opened the file before this one, once that is known.
        self.openings: int | None = None
        # One of our transactions at a time: waiting here is cheaper than waiting for SQLite's lock, and in memory
        # there is one connection for all.
        self._turn = asyncio.Lock()
        self._users = 0
        # One in memory lives as long as anybody is connected. SQLAlchemy drops the connection of a task that is
        # cancelled in a query; this one stays, and does nothing else.
        self._memory = f"file:rtserver-{uuid.uuid4().hex}?mode=memory&cache=shared"
        self._keeper: sqlite3.Connection | None = None

    @property
    def durable(self) -> bool:
        """Tell whether what is written survives the process."""
        return self.path is not None

    @property
    def is_open(self) -> bool:
        """Tell whether it was opened."""
        return self._engine is not None

    @property
    def engine(self) -> AsyncEngine:
        """The engine, once it is open."""
        if self._engine is None:
            raise StoreError("the store is not open")
        return self._engine

    def check_file(self) -> None:
        """Raise `StoreError` when the file is no longer where it was: what is written to it now is lost at the end."""
        if self.path is not None and _identity(self.path) != self._file:
            raise StoreError(
                f"{self.path}: the file was moved or deleted; restart the server to begin a new one"
            )

    async def look(self) -> None:
        """Open a database that is there, for a command: nothing is made, and nothing is moved aside."""
        if self.path is None or not self.path.is_file():
            where = self.path.absolute() if self.path is not None else "memory"
            raise StoreError(
                f"there is no database at {where}: store.url is relative to where a command is given"
            )
        try:
            await self._open()
        except _Broken as broken:
            raise StoreError(f"{self.path} is no sound database: {broken}") from None

    async def open(self) -> None:
        """Create the tables or bring them up to date. A file that is no sound database is moved aside.

        Raises `Unusable` when a newer version wrote it, and `StoreError` for what may pass.
        """
        try:
            await self._open(counted=True)
        except _Broken as broken:
            self._move_aside(str(broken))
            try:
                await self._open(counted=True)
            except _Broken as again:
                raise StoreError(f"{self.path}: {again}") from None

    async def close(self) -> None:
        """Close every connection, once nobody uses one: SQLAlchemy leaves one that is in use open for ever."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_BUSY):
                while self._users:  # noqa: ASYNC110  # it ends by itself, soon
                    await asyncio.sleep(_STEP)
        if self._writer is not None:
            writer, self._writer = self._writer, None
            await writer.close()
        if self._engine is not None:
            engine, self._engine = self._engine, None
            await engine.dispose()
        if self._keeper is not None:
            self._keeper.close()
            self._keeper = None

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """Yield a connection that sees what is committed; what goes wrong is a `StoreError`."""
        # In memory all share one connection, and the end of a reading would roll back what another is writing.
        alone = self._turn if self.path is None else contextlib.nullcontext()
        with telling(self.path), self._using():
            async with alone, self.engine.connect() as connection:
                await connection.execution_options(rtserver_reading=True)
                yield connection

    @contextlib.asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """Yield a connection in a transaction; what goes wrong is a `StoreError`."""
        with telling(self.path), self._using():
            async with self._turn, self.engine.begin() as connection:
                yield connection

    async def write(self, statements: Sequence[Statement]) -> None:
        """Run statements in one transaction; what goes wrong is a `StoreError`."""
        if self._writer is not None:
            with telling(self.path):
                async with self._turn:
                    await self._writer.write(statements)
            return
        await uninterrupted(self._write)(statements)

    async def _write(self, statements: Sequence[Statement]) -> None:
        async with self.writing() as connection:
            for sql, values in statements:
                await connection.exec_driver_sql(sql, values)

    @contextlib.contextmanager
    def _using(self) -> Iterator[None]:
        self._users += 1
        try:
            yield
        finally:
            self._users -= 1

    async def _open(self, *, counted: bool = False) -> None:
        if self.path is None and self._keeper is None:
            self._keeper = sqlite3.connect(self._memory, uri=True, check_same_thread=False)
        engine = _engine(self.path, self._memory)
        try:
            async with engine.begin() as connection:
                if self.path is not None and self.path.stat().st_size <= _CHECKED:
                    await connection.run_sync(_check)
                await connection.run_sync(migrate)
                openings = await connection.run_sync(_count) if counted else None
            if counted and self.path is not None:
                await _checkpoint(engine)
        except BaseException as error:
            await engine.dispose()
            if isinstance(error, TooNew):
                raise Unusable(f"{self.path}: {error}") from None
            if isinstance(error, _Broken) or _is_broken(error):
                raise _Broken(_reason(error)) from error
            if isinstance(error, (SQLAlchemyError, OSError)):
                raise StoreError(f"{self.path}: {_reason(error)}") from error
            raise
        self._engine, self.openings = engine, openings
        self._file = _identity(self.path) if self.path is not None else None
        if self.path is not None:
            self._writer = Writer(self.path, _PRAGMAS, _BUSY)

    def _move_aside(self, why: str) -> None:
        assert self.path is not None
        aside = _unused(self.path.with_name(f"{self.path.name}.corrupt-{time.strftime('%Y%m%dT%H%M%S')}"))
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                Path(f"{self.path}{suffix}").rename(f"{aside}{suffix}")
        _log.error(
            "the database is corrupt: it was moved aside, and a new one begins; what it held is not delivered",
            database=str(self.path),
            moved_to=str(aside),
            why=why,
        )


class _Broken(Exception):
    """The file is not a sound database."""


def uninterrupted(work: Callable[_P, Coroutine[Any, Any, _T]]) -> Callable[_P, Coroutine[Any, Any, _T]]:
    """Let what uses the database run to its end, whoever stops waiting for it.

    The driver's thread goes on when a task is cancelled, and SQLAlchemy closes the connection under it: in some cases
    with a transaction that stays open, and locks the file for everybody.
    """

    @functools.wraps(work)
    async def run(*args: _P.args, **more: _P.kwargs) -> _T:
        task = asyncio.ensure_future(work(*args, **more))
        task.add_done_callback(_heard)
        return await asyncio.shield(task)

    return run


def _heard(task: asyncio.Task[Any]) -> None:
    # One that fails when nobody waits for it any more is no news.
    if not task.cancelled():
        task.exception()


@contextlib.contextmanager
def telling(path: Path | None) -> Iterator[None]:
    """Turn what SQLAlchemy and the driver raise into `StoreError`."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error, OSError, ValueError) as error:
        raise StoreError(f"{path or 'memory'}: {_reason(error)}") from error


def _engine(path: Path | None, memory: str) -> AsyncEngine:
    if path is None:
        engine = create_async_engine(f"sqlite+aiosqlite:///{memory}&uri=true", poolclass=pool.StaticPool)
    else:
        # Not as text: what is special in a URL may be in a file's name.
        url = URL.create("sqlite+aiosqlite", database=str(path))
        engine = create_async_engine(url, connect_args={"timeout": _BUSY})

    @event.listens_for(engine.sync_engine, "connect")
    def settle(connection: Any, record: Any) -> None:
        # Transactions begin when we say so: the driver's own way would let a reader become a writer, which SQLite
        # refuses at once when another has written meanwhile.
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in _PRAGMAS:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Any) -> None:
        if not connection.get_execution_options().get("rtserver_reading"):
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


async def _checkpoint(engine: AsyncEngine) -> None:
    """Copy into the file what a server that was killed left in the log; on a full disk that is for later."""
    with contextlib.suppress(DBAPIError):
        async with engine.connect() as connection:
            await connection.execution_options(rtserver_reading=True)
            await connection.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)")


def _unused(path: Path) -> Path:
    names = (path.with_name(f"{path.name}-{number}") if number else path for number in itertools.count())
    return next(name for name in names if not name.exists())


def _path(url: str) -> Path | None:
    parsed = make_url(url)
    if parsed.drivername == "memory" or parsed.database in (None, "", ":memory:"):
        return None
    assert parsed.database is not None
    return Path(parsed.database)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _check(connection: Any) -> None:
    found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
    if found != "ok":
        raise _Broken(str(found))


def _count(connection: Any) -> int:
    """Return how often the file was opened before, by a number that SQLite keeps beside the tables, and add one."""
    before: int = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
    connection.exec_driver_sql(f"PRAGMA user_version={before + 1}")
    return before


def _is_broken(error: BaseException) -> bool:
    cause = error.orig if isinstance(error, DBAPIError) else error
    return getattr(cause, "sqlite_errorname", "") in ("SQLITE_CORRUPT", "SQLITE_NOTADB") or any(
        words in str(cause) for words in ("is not a database", "is malformed")
    )


def _reason(error: BaseException) -> str:
    cause = error.orig if isinstance(error, DBAPIError) else error
    return str(cause) or type(cause).__name__
