"""The broker of a single node: everything in this process's memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection

from rtserver.broker.base import Deliver, Draft, Retention
from rtserver.rooms.stream import Page, Publication, Stream

# A stream outlives its room's last member. Past this number the one that was silent longest is forgotten.
MAX_STREAMS = 100_000


class MemoryBroker:
    """Streams by room, the most recently used last."""

    def __init__(self, deliver: Deliver, max_streams: int = MAX_STREAMS) -> None:
        self._deliver = deliver
        self._streams: OrderedDict[str | None, Stream] = OrderedDict()
        self._max_streams = max_streams
        self._start = 0
        self.forgotten = 0

    def begin(self, start: int) -> None:
        """Let offsets start after *start*: what another run of the server gave out must not look like ours."""
        self._start = max(self._start, start)

    async def publish(
        self, room: str | None, draft: Draft, retention: Retention, skip: Collection[str]
    ) -> tuple[Publication, int]:
        """See `Broker.publish`."""
        stream = self._stream(room, retention)
        offset = stream.offset + 1
        if draft.stamped:
            draft.payload["offset"] = offset
        publication = Publication(draft.event, draft.payload, offset, draft.id, draft.published_at)
        recipients, record = self._deliver(room, publication, skip)
        stream.next_offset()
        stream.append(record)
        return publication, recipients

    async def latest(self, room: str | None, limit: int, now: float, before: int | None = None) -> Page:
        """See `Broker.latest`."""
        stream = self._streams.get(room)
        return stream.latest(limit, now, before) if stream else Page([], self._start, complete=True)

    async def after(
        self, room: str | None, since: int, limit: int, now: float, before: int | None = None
    ) -> Page:
        """See `Broker.after`."""
        stream = self._streams.get(room)
        if stream is None:
            return Page([], self._start, complete=since == self._start)
        return stream.after(since, limit, now, before)

    def _stream(self, room: str | None, retention: Retention) -> Stream:
        stream = self._streams.get(room)
        if stream is None:
            stream = self._streams[room] = Stream(retention.size, retention.ttl, self._start)
            if len(self._streams) > self._max_streams:
                # Should that room begin anew, its offsets must go on, and so must those of any other.
                self.begin(self._streams.popitem(last=False)[1].offset)
                self.forgotten += 1
        else:
            self._streams.move_to_end(room)
        return stream
