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


def database_at(url: str) -> Database:
    """Return the database that *url* means; nothing is open yet."""
    parsed = make_url(url)
    if parsed.drivername == "memory" or parsed.database in (None, "", ":memory:"):
        return MemoryDatabase()
    assert parsed.database is not None
    return SqliteDatabase(Path(parsed.database))


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
