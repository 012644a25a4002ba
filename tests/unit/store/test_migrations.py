"""Databases of older versions: brought up to date, with what is in them."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from rtserver.store.base import Revoked
from rtserver.store.database import Unusable
from rtserver.store.migrations import NEWEST
from rtserver.store.opening import database_at
from rtserver.store.revocations import SqlRevocations


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


async def test_what_was_in_version_4(tmp_path: Path):
    """The lives and revocations of a database that one machine had for itself are still there."""
    path = await _made(tmp_path / "old.db")
    _change(
        path,
        "DROP TABLE lives",
        "CREATE TABLE lives (epoch BIGINT NOT NULL, slot INTEGER NOT NULL, node TEXT NOT NULL,"
        " seen_at FLOAT NOT NULL, PRIMARY KEY (epoch))",
        "INSERT INTO lives VALUES (7, 1, 'one', 5.0)",
        "DROP TABLE revocations",
        'CREATE TABLE revocations ("user" TEXT NOT NULL, jti TEXT NOT NULL, issued_before FLOAT NOT NULL,'
        ' recorded_at FLOAT NOT NULL, PRIMARY KEY ("user", jti))',
        "INSERT INTO revocations VALUES ('ada', '', 3.0, 4.0)",
        "UPDATE rtserver_schema SET version = 4",
    )
    await _made(path)
    assert _schema(path) == _schema(await _made(tmp_path / "new.db"))
    database = database_at(f"sqlite:///{path}")
    await database.open()
    rules, last = await SqlRevocations(database).load()
    await database.close()
    assert (rules, last) == ([Revoked("ada", None, 3.0, 4.0)], 0)
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT epoch, slot, node, seen_at FROM lives").fetchall() == [
        (7, 1, "one", 5.0)
    ]
    connection.close()


async def test_a_version_from_the_future(tmp_path: Path):
    """A database that a newer version wrote is left alone."""
    path = await _made(tmp_path / "future.db")
    _change(path, f"UPDATE rtserver_schema SET version = {NEWEST + 1}")
    with pytest.raises(Unusable, match=str(NEWEST + 1)):
        await _made(path)
