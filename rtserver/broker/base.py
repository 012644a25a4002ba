"""The broker's contract. ``publish`` is the cluster, the deliver callback is this node."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, NamedTuple, Protocol

from rtserver.rooms.stream import Page, Publication, Record


class Draft(NamedTuple):
    """A publication without its offset.

    A *stamped* payload is an object and the broker's from now on: it writes the offset into it, for clients to see.
    """

    event: str
    payload: Any
    id: str
    published_at: float
    stamped: bool


class Retention(NamedTuple):
    """How many publications a room keeps, and for how many seconds."""

    size: int
    ttl: float


class Delivery(NamedTuple):
    """How many clients got it, and what to keep of it: for the history it need not be there twice."""

    recipients: int
    record: Record


Deliver = Callable[[str | None, Publication, Collection[str]], Delivery]


class Broker(Protocol):
    """Offsets rise by one per publication of a room; the room None is the stream of messages to everybody."""

    async def publish(
        self, room: str | None, draft: Draft, retention: Retention, skip: Collection[str]
    ) -> tuple[Publication, int]:
        """Record the draft, deliver it on every node but to the sids in *skip*; return how many clients got it.

        Nothing is recorded when the draft cannot be encoded: the deliver callback's error goes to the caller.
        """

    async def latest(self, room: str | None, limit: int, now: float, before: int | None = None) -> Page:
        """Return the last *limit* publications of the room, before offset *before* if given."""

    async def after(
        self, room: str | None, since: int, limit: int, now: float, before: int | None = None
    ) -> Page:
        """Return what was published after offset *since*."""
