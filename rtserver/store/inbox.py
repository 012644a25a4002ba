"""The contract of the users' inboxes, which keep what a user has not read yet, and what it has read since.

Identifiers rise with time. Times are Unix seconds. What was stored before *since* is as good as gone: no method shows,
counts or marks it.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple, Protocol


class Notification(NamedTuple):
    """What a user is told. *data* is JSON, None when there is none."""

    id: str
    user: str
    type: str
    title: str
    message: str
    data: bytes | None
    created_at: float
    read_at: float | None = None


class Inbox(Protocol):
    """Every method raises `StoreError` when the store fails, and has then changed nothing."""

    async def add(self, notification: Notification, keep: int | None) -> None:
        """Store a notification; forget the user's oldest when there are more than *keep*."""

    async def page(
        self, user: str, limit: int, since: float, *, before: str | None = None, unread: bool = False
    ) -> list[Notification]:
        """Return the user's newest, those with identifiers below *before* if given, or only unread ones."""

    async def unread(self, user: str, since: float) -> int:
        """Return how many the user has not read."""

    async def mark(self, user: str, ids: Collection[str], since: float, at: float) -> list[str]:
        """Mark as read; return which of *ids* are the user's and were not read before, the newest first."""

    async def mark_all(self, user: str, since: float, at: float) -> list[str]:
        """Mark all of the user's as read; return which were not, the newest first."""

    async def forget(self, since: float, keep: int | None) -> int:
        """Delete what was stored before *since*, and users' oldest beyond *keep*.

        Return how many went: a few thousand at most, so that others get their turn; 0 when there are no more.
        """

    async def check(self) -> None:
        """Find out whether the store takes what is written, by writing what changes nothing."""
