"""What every database has, whatever its kind: opening, reading, writing, and one error for what goes wrong."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any, ParamSpec, TypeVar

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from rtserver.store.base import Changes, StoreError
from rtserver.store.vitality import Vitality

_P = ParamSpec("_P")
_T = TypeVar("_T")

# How long an end waits for those that are at work, in seconds, and how often it looks.
_PATIENCE, _STEP = 5.0, 0.005


class Unusable(StoreError):
    """The database can never be used as it is, for a reason the operator has to deal with."""


class Database(ABC):
    """`open` comes first, and may be tried again when it failed. *place* is what messages call it."""

    durable = True
    """Whether what is written survives the process."""
    shared = False
    """Whether nodes on other machines may write to it too."""
    # What the driver raises beside SQLAlchemy's errors.
    _errors: tuple[type[Exception], ...] = ()

    def __init__(self, place: str, vitality: Vitality) -> None:
        self.place = place
        self.vitality = vitality
        self.openings: int | None = None
        """How many servers opened it before this one, once that is known."""
        self._engine: AsyncEngine | None = None
        self._users = 0

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

    @abstractmethod
    async def open(self) -> None:
        """Create the tables or bring them up to date.

        Raises `Unusable` when a newer version wrote it, and `StoreError` for what may pass.
        """

    @abstractmethod
    async def look(self) -> None:
        """Open a database that is there, for a command: nothing is made. Raises `StoreError`."""

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """Yield a connection that sees what is committed; what goes wrong is a `StoreError`."""
        with self._telling(), self._using():
            async with self._reader() as connection:
                yield connection

    @contextlib.asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """Yield a connection in a transaction; what goes wrong is a `StoreError`."""
        with self._telling(), self._using():
            async with self._writer() as connection:
                yield connection

    async def commit(self, changes: Changes, life: int) -> None:
        """Write all of *changes*, by the life with that epoch, or nothing; what goes wrong is a `StoreError`."""
        with self._telling():
            await self._commit(changes, life)

    async def close(self) -> None:
        """Close every connection, once nobody uses one: SQLAlchemy leaves one that is in use open for ever."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                while self._users:  # noqa: ASYNC110  # it ends by itself, soon
                    await asyncio.sleep(_STEP)
        await self._close()
        if self._engine is not None:
            engine, self._engine = self._engine, None
            with contextlib.suppress(TimeoutError):
                # One that hangs is left to the system.
                async with asyncio.timeout(_PATIENCE):
                    await engine.dispose()

    @abstractmethod
    def _reader(self) -> AbstractAsyncContextManager[AsyncConnection]: ...

    @abstractmethod
    def _writer(self) -> AbstractAsyncContextManager[AsyncConnection]: ...

    @abstractmethod
    async def _commit(self, changes: Changes, life: int) -> None: ...

    @abstractmethod
    async def _close(self) -> None:
        """Close what there is beside the engine."""

    @contextlib.contextmanager
    def _using(self) -> Iterator[None]:
        self._users += 1
        try:
            yield
        finally:
            self._users -= 1

    @contextlib.contextmanager
    def _telling(self) -> Iterator[None]:
        """Turn what SQLAlchemy and the driver raise into `StoreError`."""
        errors: tuple[type[Exception], ...] = (SQLAlchemyError, OSError, ValueError, *self._errors)
        try:
            yield
        except errors as error:
            raise StoreError(f"{self.place}: {reason(error)}") from error


def uninterrupted(work: Callable[_P, Coroutine[Any, Any, _T]]) -> Callable[_P, Coroutine[Any, Any, _T]]:
    """Let what uses the database run to its end, whoever stops waiting for it.

    SQLite's thread goes on when a task is cancelled, and SQLAlchemy closes the connection under it: in some cases
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


def reason(error: BaseException) -> str:
    """Return what went wrong, in the driver's words."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return str(cause) or type(cause).__name__
