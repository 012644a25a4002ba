"""Checkpoints: the log ends, whatever is written meanwhile, and nothing is lost."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from rtserver.store.sqlite.checkpoints import Checkpoints

LONG = 200_000
ROW = b"x" * 2000


def connected(path: Path) -> sqlite3.Connection:
    """A connection that makes no checkpoint by itself."""
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "wal_autocheckpoint=0"):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def table(path: Path) -> sqlite3.Connection:
    """A connection to a database with one table."""
    connection = connected(path)
    connection.execute("CREATE TABLE t (body BLOB)")
    return connection


def log(path: Path) -> int:
    """The bytes of the log."""
    return path.with_name(f"{path.name}-wal").stat().st_size


def test_the_log_begins_anew(tmp_path: Path) -> None:
    """A log that became long is emptied, and what was written is in the database."""
    path = tmp_path / "a.db"
    writer = table(path)
    checkpoints = Checkpoints(path, lambda: connected(path), LONG)
    while log(path) <= LONG:
        writer.execute("INSERT INTO t VALUES (?)", (ROW,))
    checkpoints.after(writer)
    checkpoints.close()
    (written,) = writer.execute("SELECT count(*) FROM t").fetchone()
    checkpoints.after(writer)
    assert log(path) == 0
    assert connected(path).execute("SELECT count(*) FROM t").fetchone() == (written,)


def test_a_short_log_is_left_alone(tmp_path: Path) -> None:
    """A log that is short stays as it is: a checkpoint waits for the disk."""
    path = tmp_path / "a.db"
    writer = table(path)
    checkpoints = Checkpoints(path, lambda: connected(path), LONG)
    before = log(path)
    checkpoints.after(writer)
    checkpoints.close()
    checkpoints.after(writer)
    assert log(path) == before > 0


def test_a_reader_in_between(tmp_path: Path) -> None:
    """A reader that takes long does not hold up the writer; the log ends once it is gone, and it reads what it read."""
    path = tmp_path / "a.db"
    writer = table(path)
    writer.execute("INSERT INTO t VALUES (?)", (ROW,))
    reader = connected(path)
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM t").fetchone() == (1,)
    checkpoints = Checkpoints(path, lambda: connected(path), LONG)
    while log(path) <= LONG:
        writer.execute("INSERT INTO t VALUES (?)", (ROW,))
    checkpoints.after(writer)
    checkpoints.close()
    checkpoints.after(writer)
    assert log(path) > LONG
    assert reader.execute("SELECT count(*) FROM t").fetchone() == (1,)
    reader.execute("COMMIT")
    again = Checkpoints(path, lambda: connected(path), LONG)
    again.after(writer)
    again.close()
    again.after(writer)
    assert log(path) == 0


def test_a_database_that_is_gone(tmp_path: Path) -> None:
    """Where no connection can be made nothing is raised, and it is tried again later."""
    path = tmp_path / "a.db"
    writer = table(path)

    def fail() -> sqlite3.Connection:
        raise sqlite3.OperationalError("disk I/O error")

    checkpoints = Checkpoints(path, fail, long=0)
    checkpoints.after(writer)
    checkpoints.close()
    before = log(path)
    checkpoints.after(writer)
    assert log(path) == before > 0
