"""A file that is no sound database: how that shows, and where it goes."""

from __future__ import annotations

import contextlib
import itertools
import time
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from rtserver.telemetry.log import logger

_log = logger("store")

# Files up to this size are read through on start, which takes a fraction of a second.
_CHECKED = 64_000_000


class Broken(Exception):
    """The file is not a sound database."""


def check(connection: Connection, path: Path) -> None:
    """Read the file through, unless it is large; raise `Broken`."""
    if path.stat().st_size > _CHECKED:
        return
    found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
    if found != "ok":
        raise Broken(str(found))


def is_broken(error: BaseException) -> bool:
    """Tell whether an error says that the file is none."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return (
        isinstance(error, Broken)
        or getattr(cause, "sqlite_errorname", "") in ("SQLITE_CORRUPT", "SQLITE_NOTADB")
        or any(words in str(cause) for words in ("is not a database", "is malformed"))
    )


def move_aside(path: Path, why: str) -> None:
    """Make room for a new one, and say so."""
    aside = _unused(path.with_name(f"{path.name}.corrupt-{time.strftime('%Y%m%dT%H%M%S')}"))
    for suffix in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            Path(f"{path}{suffix}").rename(f"{aside}{suffix}")
    _log.error(
        "the database is corrupt: it was moved aside, and a new one begins; what it held is not delivered",
        database=str(path),
        moved_to=str(aside),
        why=why,
    )


def _unused(path: Path) -> Path:
    names = (path.with_name(f"{path.name}-{number}") if number else path for number in itertools.count())
    return next(name for name in names if not name.exists())
