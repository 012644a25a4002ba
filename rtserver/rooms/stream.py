"""What was said in a room: offsets without gaps, and the latest publications."""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple, Protocol


class Publication(NamedTuple):
    """A message recorded in a room. *payload* is what clients get as the argument of *event*."""

    event: str
    payload: Any
    offset: int
    id: str
    published_at: float

    def publication(self) -> Publication:
        """Return itself: it can be recorded as it is."""
        return self


class Record(Protocol):
    """What a stream keeps of a publication."""

    @property
    def offset(self) -> int:
        """Its offset."""

    @property
    def published_at(self) -> float:
        """When it was published, in seconds since the epoch."""

    def publication(self) -> Publication:
        """Return the publication."""


class Page(NamedTuple):
    """Publications, oldest first; *complete* when none was evicted between the asked offset and the first."""

    publications: list[Publication]
    offset: int
    complete: bool


class Stream:
    """The publications of one room: at most *size*, none older than *ttl* seconds. Offsets start after *start*."""

    __slots__ = ("_kept", "_size", "_ttl", "offset")

    def __init__(self, size: int, ttl: float, start: int = 0) -> None:
        self._size = size
        self._ttl = ttl
        self._kept: deque[Record] = deque(maxlen=size)
        self.offset = start

    def next_offset(self) -> int:
        """Return the offset of the next publication and count it as used."""
        self.offset += 1
        return self.offset

    def append(self, record: Record) -> None:
        """Keep a publication whose offset came from `next_offset`."""
        if self._size:
            self._kept.append(record)

    def expire(self, now: float) -> None:
        """Forget what is older than the ttl."""
        kept = self._kept
        while kept and kept[0].published_at <= now - self._ttl:
            kept.popleft()

    def idle(self, now: float) -> bool:
        """Tell whether nothing is left to remember."""
        self.expire(now)
        return not self._kept

    def latest(self, limit: int, now: float, before: int | None = None) -> Page:
        """Return the last *limit* publications, those before offset *before* if given."""
        self.expire(now)
        found = [p for p in self._kept if before is None or p.offset < before]
        return Page(_read(found, limit), self.offset, complete=True)

    def after(self, since: int, limit: int, now: float, before: int | None = None) -> Page:
        """Return the publications after offset *since*, the latest *limit* of them.

        The page is complete when nothing after *since* was evicted or cut; one from the future never is.
        """
        self.expire(now)
        kept = [p for p in self._kept if p.offset > since]
        missing = since > self.offset or self.offset - since != len(kept)
        found = [p for p in kept if before is None or p.offset < before]
        return Page(_read(found, limit), self.offset, not missing and len(found) <= limit)


def _read(records: list[Record], limit: int) -> list[Publication]:
    return [record.publication() for record in records[-limit:]] if limit else []
