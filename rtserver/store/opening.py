"""Which database a URL means, and the outbox for commands: beside a running server, and without loading one."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from sqlalchemy.engine import make_url

from rtserver.store.base import Steering, StoreError
from rtserver.store.database import Database
from rtserver.store.sqlite.database import SqliteDatabase
from rtserver.store.sqlite.memory import MemoryDatabase
from rtserver.store.steering import SqlSteering


def database_at(url: str, lease: float = 10.0) -> Database:
    """Return the database that *url* means; nothing is open yet. *lease* is for one that machines share, in seconds.

    Raises `StoreError` when it is not installed.
    """
    if url.startswith(("postgresql:", "postgres:")):
        return _postgres(url, lease)
    parsed = make_url(url)
    if parsed.drivername == "memory" or parsed.database in (None, "", ":memory:"):
        return MemoryDatabase()
    assert parsed.database is not None
    return SqliteDatabase(Path(parsed.database))


def _postgres(url: str, lease: float) -> Database:
    # Imported here: the driver is an extra.
    try:
        from rtserver.store.postgres.database import PostgresDatabase  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise StoreError(
            f'store.url needs the Python package {error.name}: pip install "rtserver[postgres]"'
        ) from None
    return PostgresDatabase(url, lease)


@contextlib.asynccontextmanager
async def open_steering(url: str) -> AsyncIterator[Steering]:
    """Open the store; raise `StoreError` when it cannot be, or when no other process could see it."""
    found = database_at(url)
    if not found.durable:
        raise StoreError(f"store.url is {url}: only the server itself sees what is in its memory")
    await found.look()
    try:
        yield SqlSteering(found)
    finally:
        await found.close()
