"""The outbox for commands: beside a running server, and without loading one."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from rtserver.store.base import Steering, StoreError
from rtserver.store.database import Database
from rtserver.store.steering import SqlSteering


@contextlib.asynccontextmanager
async def open_steering(url: str) -> AsyncIterator[Steering]:
    """Open the store; raise `StoreError` when it cannot be, or when no other process could see it."""
    database = Database(url)
    if not database.durable:
        raise StoreError(f"store.url is {url}: only the server itself sees what is in its memory")
    await database.look()
    try:
        yield SqlSteering(database)
    finally:
        await database.close()
