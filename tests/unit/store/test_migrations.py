"""Databases of older versions: brought up to date, with what is in them."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from rtserver.store.database import Unusable
from rtserver.store.migrations import NEWEST
from rtserver.store.opening import database_at


def _schema(path: Path) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(path)
    try:
        return sorted(connection.execute("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL"))
    finally:
        connection.close()


async def _made(path: Path) -> Path:
    database = database_at(f"sqlite:///{path}")
    await database.open()
    await database.close()
    return path


def _change(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


@pytest.mark.parametrize(
    ("version", "later"),
    [(1, ["notifications", "revocations", "releases"]), (2, ["revocations", "releases"]), (3, ["releases"])],
)
async def test_an_older_version(tmp_path: Path, version: int, later: list[str]):
    """A database without the tables that came later gets them, is then like a new one, and keeps its deliveries."""
    path = await _made(tmp_path / "old.db")
    _change(
        path,
        *(f"DROP TABLE {table}" for table in later),
        f"UPDATE rtserver_schema SET version = {version}",
        "INSERT INTO targets (name, revision) VALUES ('audit', 7)",
    )
    await _made(path)
    assert _schema(path) == _schema(await _made(tmp_path / "new.db"))
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT version FROM rtserver_schema").fetchall() == [(NEWEST,)]
    assert connection.execute("SELECT name, revision FROM targets").fetchall() == [("audit", 7)]
    connection.close()


async def test_a_version_from_the_future(tmp_path: Path):
    """A database that a newer version wrote is left alone."""
    path = await _made(tmp_path / "future.db")
    _change(path, f"UPDATE rtserver_schema SET version = {NEWEST + 1}")
    with pytest.raises(Unusable, match=str(NEWEST + 1)):
        await _made(path)
