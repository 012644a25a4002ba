"""Who of those that share an SQLite file is alive: each holds a lock that the system lets go of when it dies.

No clock and no lease is asked, so a killed server's successor knows at once. The locks are files beside the database,
as is SQLite's own way for a database that one machine shares (https://www.sqlite.org/wal.html, section 4).
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Collection
from pathlib import Path
from typing import IO

from sqlalchemy.ext.asyncio import AsyncConnection

from rtserver.store.base import StoreError

if sys.platform == "win32":
    import msvcrt

    def _take(file: IO[bytes]) -> None:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _take(file: IO[bytes]) -> None:
        # Of the open file, not of the process: two applications in one process are two lives.
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


class LifeLock:
    """The lock of one life."""

    def __init__(self, database: Path, epoch: int) -> None:
        self.path = database.with_name(f"{database.name}-life-{epoch}")
        self._file: IO[bytes] | None = None

    def take(self) -> bool:
        """Hold the lock from now on; tell whether nobody else does. Raises `OSError` when no file can be made."""
        file = self.path.open("ab")
        try:
            _take(file)
        except OSError:
            file.close()
            return False
        self._file = file
        return True

    def release(self) -> None:
        """Let go of the lock, and remove its file."""
        if self._file is not None:
            # Removed while it is held: whoever opens the name after this has another file.
            with contextlib.suppress(OSError):
                self.path.unlink(missing_ok=True)
            self._file.close()
            self._file = None

    def is_held(self) -> bool:
        """Tell whether another holds it. Not for one's own."""
        if not self.path.exists():
            return False
        free = self.take()
        self.release()
        return not free


class LifeLocks:
    """The locks of all lives of one file. See `Vitality`."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._ours: LifeLock | None = None

    async def alone(self, connection: AsyncConnection) -> None:
        """See `Vitality.alone`. SQLite has one writer at a time."""

    async def show(self, connection: AsyncConnection, epoch: int) -> None:
        """See `Vitality.show`."""
        lock = LifeLock(self._database, epoch)
        if not lock.take():
            raise StoreError(f"{lock.path}: somebody else holds the lock")
        self._ours = lock

    async def renew(self, connection: AsyncConnection, epoch: int) -> None:
        """See `Vitality.renew`. A lock needs none."""

    async def dead(self, connection: AsyncConnection, others: Collection[int]) -> set[int]:
        """See `Vitality.dead`."""
        return set(others) - await self.alive(connection, others)

    async def alive(self, connection: AsyncConnection, others: Collection[int]) -> set[int]:
        """See `Vitality.alive`."""
        return {epoch for epoch in others if LifeLock(self._database, epoch).is_held()}

    def bury(self, epoch: int) -> None:
        """See `Vitality.bury`."""
        with contextlib.suppress(OSError):
            LifeLock(self._database, epoch).path.unlink(missing_ok=True)

    def rest(self) -> None:
        """See `Vitality.rest`."""
        if self._ours is not None:
            self._ours.release()
            self._ours = None
