"""The database: transactions that do not get in one another's way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from rtserver.store.database import Database
from rtserver.store.opening import database_at

KINDS: dict[str, Callable[[Path], str]] = {
    "file": lambda folder: f"sqlite:///{folder / 'some.db'}",
    "memory": lambda folder: "memory://",
}


async def _names(database: Database) -> list[str]:
    async with database.reading() as connection:
        return list(await connection.scalars(text("SELECT name FROM targets ORDER BY name")))


@pytest.mark.parametrize("kind", list(KINDS))
async def test_reading_while_another_writes(kind: str, tmp_path: Path):
    """Who reads while a transaction is open sees all of it or nothing, and undoes nothing of it."""
    database = database_at(KINDS[kind](tmp_path))
    await database.open()
    async with database.writing() as connection:
        await connection.execute(text("INSERT INTO targets (name, revision) VALUES ('a', 1)"))
        reader = asyncio.ensure_future(_names(database))
        for _ in range(20):
            # Each takes a turn of the event loop and of the connection's thread, in which the reader may read.
            await connection.execute(text("SELECT 1"))
        await connection.execute(text("INSERT INTO targets (name, revision) VALUES ('b', 1)"))
    assert await reader in ([], ["a", "b"])
    assert await _names(database) == ["a", "b"]
    await database.close()
