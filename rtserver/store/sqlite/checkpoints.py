"""Checkpoints beside the transactions, so that none of these waits for the disk (https://www.sqlite.org/wal.html).

Most of the log is copied into the database by a thread with a connection of its own, while transactions go on. The
little that came meanwhile is left to the writer, between two transactions: only then can the log begin anew.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

# A log of so many bytes is worth a checkpoint, and how many seconds after one the next may follow: a reader that
# takes long keeps a log from ending.
LONG, _PAUSE = 8_000_000, 1.0
# The second pass has only what came during the first.
_PASSES = 2


class Checkpoints:
    """One at a time. *connect* makes its connection."""

    def __init__(self, path: Path, connect: Callable[[], sqlite3.Connection], long: int = LONG) -> None:
        self._log = path.with_name(f"{path.name}-wal")
        self._connect = connect
        self._long = long
        self._thread: threading.Thread | None = None
        self._copied = threading.Event()
        self._not_before = 0.0

    def after(self, writer: sqlite3.Connection) -> None:
        """Do what is due after a transaction of the writer, in its thread."""
        if self._copied.is_set():
            self._copied.clear()
            _end(writer)
            self._not_before = time.monotonic() + _PAUSE
        elif self._is_due():
            self._thread = threading.Thread(target=self._copy, name="rtserver-checkpoint", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Wait for the one that is under way."""
        if self._thread is not None:
            self._thread.join()

    def _is_due(self) -> bool:
        if self._thread is not None and self._thread.is_alive():
            return False
        try:
            return self._log.stat().st_size > self._long and time.monotonic() >= self._not_before
        except OSError:
            return False

    def _copy(self) -> None:
        try:
            with contextlib.closing(self._connect()) as connection:
                for _ in range(_PASSES):
                    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except sqlite3.Error:
            # On a full disk, for one: it is tried again, and the log goes on growing until then.
            self._not_before = time.monotonic() + _PAUSE
        else:
            self._copied.set()


def _end(writer: sqlite3.Connection) -> None:
    """Copy the rest, and let the log begin anew; not if a reader still needs it."""
    with contextlib.suppress(sqlite3.Error):
        (busy,) = writer.execute("PRAGMA busy_timeout").fetchone()
        writer.execute("PRAGMA busy_timeout=0").fetchall()
        try:
            writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        finally:
            writer.execute(f"PRAGMA busy_timeout={busy}").fetchall()
