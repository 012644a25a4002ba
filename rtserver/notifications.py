"""The verbs of notifications, which every entrance shares: tell a topic, tell a user, and read what was told.

A topic's notifications are heard by who is subscribed and kept by nobody; a user's are stored before anybody hears.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson

from rtserver.client import Client
from rtserver.fanout import Message
from rtserver.keeper import Keeper
from rtserver.node import Node
from rtserver.protocol.errors import BAD_REQUEST, FORBIDDEN, RtError
from rtserver.protocol.identifiers import iso_timestamp
from rtserver.protocol.names import normal_name
from rtserver.protocol.notices import Notice, as_sent, topic_stream
from rtserver.reports import Reporter
from rtserver.store.inbox import Inbox, Notification

# So much of an inbox is answered at once, at most and about; and so much is read to find out.
MAX_BYTES = 1_000_000
_CHUNK = 100


class Page(NamedTuple):
    """A part of an inbox as clients see it, the newest first, and how many are unread in all of it."""

    notifications: list[dict[str, Any]]
    unread: int


class Notifications:
    """Topics and inboxes. *trusting* takes clients without a token at their word, as ``auth.mode: none`` does."""

    def __init__(
        self,
        node: Node,
        inbox: Inbox,
        keeper: Keeper,
        reporter: Reporter,
        message_size: int,
        *,
        trusting: bool,
    ) -> None:
        self._node = node
        self._inbox = inbox
        self._keeper = keeper
        self._reporter = reporter
        self._message_size = message_size
        self._trusting = trusting

    def owner(self, client: Client) -> str:
        """Return whose inbox is the client's; raise `RtError` when it has none."""
        if client.user is not None:
            return client.user
        if self._trusting:
            return client.client_id
        raise RtError(FORBIDDEN, "guests have no inbox: connect with a token")

    async def notify(self, topic: str, notice: Notice) -> int:
        """Tell everybody who is subscribed to the topic; return how many clients that are."""
        topic = _name("topic", topic)
        notice.check_size(self._message_size)
        clock, now = self._node.clock, time.time()
        body = as_sent(
            {"topic": topic},
            clock.identifier(now),
            notice.type,
            notice.title,
            notice.message,
            notice.written_data(),
            clock.timestamp(now),
        )
        return self._node.tell(topic_stream(topic), Message("notification", body))

    async def send(self, user: str, notice: Notice) -> dict[str, Any]:
        """Put a notification into the user's inbox, tell the user's clients, and return it as they get it."""
        user = _name("user", user)
        if not self._trusting and user.startswith("guest:"):
            raise RtError(BAD_REQUEST, "user: guests have no inbox")
        notice.check_size(self._message_size)
        now = time.time()
        stored = Notification(
            self._node.clock.identifier(now),
            user,
            notice.type,
            notice.title,
            notice.message,
            notice.written_data(),
            now,
        )
        with self._keeper.asking():
            await self._inbox.add(stored, self._keeper.max_count)
        body = shown(stored)
        self._node.emit_to(user, Message("new_notification", body))
        return body

    async def page(self, user: str, limit: int, before: str | None = None, *, unread: bool = False) -> Page:
        """Return the user's newest, at most *limit* and about `MAX_BYTES` of them."""
        since = self._keeper.since(time.time())
        found: list[dict[str, Any]] = []
        left = MAX_BYTES
        with self._keeper.asking():
            total = await self._inbox.unread(user, since)
            while len(found) < limit:
                most = min(_CHUNK, limit - len(found))
                some = await self._inbox.page(user, most, since, before=before, unread=unread)
                for one in some:
                    left -= _weight(one)
                    if left < 0 and found:
                        return Page(found, total)
                    found.append(shown(one))
                if len(some) < most:
                    break
                before = some[-1].id
        return Page(found, total)

    async def mark_read(self, user: str, ids: Sequence[str]) -> int:
        """Mark the user's notifications as read; return how many of *ids* are the user's and were not read yet."""
        now = time.time()
        with self._keeper.asking():
            marked = await self._inbox.mark(user, list(dict.fromkeys(ids)), self._keeper.since(now), now)
        if marked:
            self._node.emit_to(user, Message("notification_read", {"notification_ids": marked}))
            self._reporter.read(user, marked)
        return len(marked)

    async def mark_all_read(self, user: str) -> int:
        """Mark all of the user's notifications as read; return how many were not."""
        now = time.time()
        with self._keeper.asking():
            marked = await self._inbox.mark_all(user, self._keeper.since(now), now)
        self._node.emit_to(user, Message("all_read", {}))
        self._reporter.read(user, marked)
        return len(marked)


def shown(one: Notification) -> dict[str, Any]:
    """Return a notification as clients see it; one that was read says when."""
    timestamp = iso_timestamp(one.created_at)
    body = as_sent({"user": one.user}, one.id, one.type, one.title, one.message, one.data, timestamp)
    return body if one.read_at is None else {**body, "read_at": iso_timestamp(one.read_at)}


def _weight(one: Notification) -> int:
    return len(orjson.dumps((one.title, one.message))) + len(one.data or b"") + 200


def _name(what: str, name: str) -> str:
    try:
        return normal_name(name)
    except ValueError as error:
        raise RtError(BAD_REQUEST, f"{what}: {error}") from None
