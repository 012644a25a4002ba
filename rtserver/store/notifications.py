"""The inboxes in a database. What they promise stands in `rtserver.store.inbox.Inbox`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from sqlalchemy import ColumnElement, Delete, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from rtserver.store.database import Database, uninterrupted
from rtserver.store.inbox import Notification
from rtserver.store.tables import notifications

# How many rows one statement changes at most: the writer of webhooks waits that long. Older SQLites take no more than
# 999 values in one.
_CHUNK, _VALUES = 2000, 500

# Nobody has this name.
_PROBE = Notification("", "", "", "", "", None, 0.0)

_table = notifications.c
_COLUMNS = [_table[name] for name in Notification._fields]


class SqlInbox:
    """See `Inbox`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @uninterrupted
    async def add(self, notification: Notification, keep: int | None) -> None:
        """See `Inbox.add`."""
        async with self._database.writing() as connection:
            await connection.execute(insert(notifications).values(notification._asdict()))
            if keep is not None:
                await connection.execute(_surplus(notification.user, keep))

    @uninterrupted
    async def page(
        self, user: str, limit: int, since: float, *, before: str | None = None, unread: bool = False
    ) -> list[Notification]:
        """See `Inbox.page`."""
        query = select(*_COLUMNS).where(*_in_inbox(user, since))
        if before is not None:
            query = query.where(_table.id < before)
        if unread:
            query = query.where(_table.read_at.is_(None))
        async with self._database.reading() as connection:
            rows = await connection.execute(query.order_by(_table.id.desc()).limit(limit))
            return [Notification(*row) for row in rows]

    @uninterrupted
    async def unread(self, user: str, since: float) -> int:
        """See `Inbox.unread`."""
        query = select(func.count()).select_from(notifications).where(*_unread(user, since))
        async with self._database.reading() as connection:
            return int(await connection.scalar(query) or 0)

    @uninterrupted
    async def mark(self, user: str, ids: Collection[str], since: float, at: float) -> list[str]:
        """See `Inbox.mark`."""
        marked: list[str] = []
        async with self._database.writing() as connection:
            for some in _chunks(ids):
                marked += await _mark(connection, [*_unread(user, since), _table.id.in_(some)], at)
        return sorted(marked, reverse=True)

    @uninterrupted
    async def mark_all(self, user: str, since: float, at: float) -> list[str]:
        """See `Inbox.mark_all`."""
        async with self._database.writing() as connection:
            return await _mark(connection, _unread(user, since), at)

    @uninterrupted
    async def forget(self, since: float, keep: int | None) -> int:
        """See `Inbox.forget`."""
        old = (
            select(_table.id).where(_table.created_at < since).limit(_CHUNK).with_for_update(skip_locked=True)
        )
        async with self._database.writing() as connection:
            gone = (await connection.execute(delete(notifications).where(_table.id.in_(old)))).rowcount
        for user in await self._hoarders(keep) if keep is not None else ():
            async with self._database.writing() as connection:
                gone += (await connection.execute(_surplus(user, keep or 0))).rowcount
            if gone >= _CHUNK:
                break
        return gone

    @uninterrupted
    async def check(self) -> None:
        """See `Inbox.check`."""
        async with self._database.writing() as connection:
            # SQLite writes no row that is the same as before, so this one comes and goes.
            await connection.execute(insert(notifications).values(_PROBE._asdict()))
            await connection.execute(delete(notifications).where(_table.id == _PROBE.id))

    async def _hoarders(self, keep: int) -> Sequence[str]:
        """Return users who have more than *keep*."""
        query = select(_table.user).group_by(_table.user).having(func.count() > keep).limit(_CHUNK)
        async with self._database.reading() as connection:
            return (await connection.scalars(query)).all()


async def _mark(connection: AsyncConnection, which: list[ColumnElement[bool]], at: float) -> list[str]:
    # Locked, so that of two nodes one marks it. SQLite has one writer at a time.
    unread = select(_table.id).where(*which).order_by(_table.id.desc()).with_for_update()
    found = (await connection.scalars(unread)).all()
    if found:
        await connection.execute(update(notifications).where(*which).values(read_at=at))
    return list(found)


def _in_inbox(user: str, since: float) -> list[ColumnElement[bool]]:
    return [_table.user == user, _table.created_at >= since]


def _unread(user: str, since: float) -> list[ColumnElement[bool]]:
    return [*_in_inbox(user, since), _table.read_at.is_(None)]


def _surplus(user: str, keep: int) -> Delete:
    """Return what deletes a user's oldest beyond *keep*; without any, it compares with NULL, which nothing does."""
    newest_to_go = (
        select(_table.id).where(_table.user == user).order_by(_table.id.desc()).limit(1).offset(keep)
    )
    return delete(notifications).where(_table.user == user, _table.id <= newest_to_go.scalar_subquery())


def _chunks(ids: Iterable[str]) -> Iterator[list[Any]]:
    rest = iter(ids)
    while some := list(islice(rest, _VALUES)):
        yield some
