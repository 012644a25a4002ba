"""Whether there can be an SQLite file where a URL says: the server makes the file, and no directories."""

import os
from collections.abc import Iterator
from pathlib import Path

from rtserver.config.problem import Problem


def sqlite_problems(path: str, url: str) -> Iterator[Problem]:
    """Yield what is wrong with the place that the URL at *path* of the configuration names."""
    file = _file(url)
    if file is None:
        return
    directory = file.parent
    if not directory.is_dir():
        what = "is not a directory" if directory.exists() else "does not exist"
        yield Problem(path, f"the directory {directory.absolute()} {what}", "make it first, or name another")
    elif file.is_dir():
        yield Problem(path, f"{file.absolute()} is a directory", "name a file in it")


def sqlite_advice(path: str, url: str) -> Iterator[str]:
    """Yield what may pass: a disk can be read-only for a while, and the server waits for it."""
    file = _file(url)
    # SQLite's log is a file of its own beside the database.
    if file is not None and not os.access(file.parent, os.W_OK | os.X_OK):
        yield f"{path}: the directory {file.parent.absolute()} is not writable, so nothing can be kept"


def _file(url: str) -> Path | None:
    name = url.removeprefix("sqlite:///").partition("?")[0]
    return None if name == url or name in ("", ":memory:") else Path(name)
