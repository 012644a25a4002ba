"""An inbox that is a list, for tests that are about something else. The contract's suite runs over it as well."""

from __future__ import annotations

from collections.abc import Collection

from rtserver.store.base import StoreError
from rtserver.store.inbox import Notification


class ListInbox:
    """See `rtserver.store.inbox.Inbox`. It never waits, and fails while *broken*."""

    def __init__(self) -> None:
        self.kept: dict[str, Notification] = {}
        self.broken = False

    async def add(self, notification: Notification, keep: int | None) -> None:
        """Keep it."""
        await self.check()
        if notification.id in self.kept:
            raise StoreError("there already")
        self.kept[notification.id] = notification
        self._limit(notification.user, keep)

    async def page(
        self, user: str, limit: int, since: float, *, before: str | None = None, unread: bool = False
    ) -> list[Notification]:
        """Look through all of it."""
        await self.check()
        found = [
            one
            for one in self._of(user, since)
            if (before is None or one.id < before) and not (unread and one.read_at is not None)
        ]
        return found[:limit]

    async def unread(self, user: str, since: float) -> int:
        """Count."""
        return len(await self.page(user, 1_000_000, since, unread=True))

    async def mark(self, user: str, ids: Collection[str], since: float, at: float) -> list[str]:
        """Mark some."""
        await self.check()
        marked = [one for one in self._of(user, since) if one.id in set(ids) and one.read_at is None]
        self.kept |= {one.id: one._replace(read_at=at) for one in marked}
        return [one.id for one in marked]

    async def mark_all(self, user: str, since: float, at: float) -> list[str]:
        """Mark all."""
        return await self.mark(user, list(self.kept), since, at)

    async def forget(self, since: float, keep: int | None) -> int:
        """Let go of the old ones."""
        await self.check()
        before = len(self.kept)
        self.kept = {id_: one for id_, one in self.kept.items() if one.created_at >= since}
        for user in {one.user for one in self.kept.values()}:
            self._limit(user, keep)
        return before - len(self.kept)

    async def check(self) -> None:
        """Fail if it should."""
        if self.broken:
            raise StoreError("broken by the test")

    def _of(self, user: str, since: float) -> list[Notification]:
        found = [one for one in self.kept.values() if one.user == user and one.created_at >= since]
        return sorted(found, key=lambda one: one.id, reverse=True)

    def _limit(self, user: str, keep: int | None) -> None:
        for one in self._of(user, float("-inf"))[keep:] if keep is not None else ():
            del self.kept[one.id]
