"""What was sent lately, for those who missed it: one log for the whole node, bounded in every direction.

Everything that is kept has a number, and a client that says the last number it heard is given what followed. An entry
refers to the frames that were sent; nothing is copied. It stands under every *stream* it went
into: a room (its name), everybody (None), a single client (its sid in a tuple of one, for a room may be named like a
sid). What was evicted from a stream is remembered by its number, so that a gap is never taken for silence.
"""

from __future__ import annotations

import math
import secrets
from collections import Counter, OrderedDict, deque
from collections.abc import Collection, Iterable, Sized
from typing import Generic, TypeVar

Stream = str | tuple[str] | None

EVERYBODY: Stream = None

# What an entry costs beside its frames, about, in bytes.
_OVERHEAD = 250
# How many streams remember what was evicted from them. A stream over that shares the memory of all over that.
MAX_FLOORS = 100_000


M = TypeVar("M", bound=Sized)


# A message that was sent: its number, its time, itself, and the sids that were left out. A plain tuple, because the
# garbage collector lets go of those, and there are a hundred thousand.
Entry = tuple[int, float, M, Collection[str]]


class Line(deque[Entry[M]]):
    """What is kept of one stream, and how many bytes that is."""

    __slots__ = ("bytes",)

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0


class Tape(Generic[M]):
    """The log: at most *max_messages* per stream, *max_bytes* in all, none older than *horizon* seconds.

    Of one stream no more is kept than *most* bytes, about: so much is given back at once, and a room full of large
    messages does not push out everybody else's.
    """

    def __init__(
        self,
        max_messages: int,
        max_bytes: int,
        horizon: float,
        max_floors: int = MAX_FLOORS,
        most: int | None = None,
    ) -> None:
        self.number = 0
        self.bytes = 0
        # How many may come back; while nobody could, what nobody hears need not be kept.
        self.awaited = 0
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._max_line = max_bytes if most is None else most + max_messages * _OVERHEAD
        self._horizon = horizon
        self._max_floors = max_floors
        # Another run of the server numbers anew; its offsets must not look like ours.
        self._life = secrets.token_hex(3)
        self._kept: dict[Stream, Line[M]] = {}
        # One stream's name per entry kept, oldest first. The oldest names of a stream that evicted by itself are
        # stale: each is skipped when its turn comes.
        self._order: deque[Stream] = deque()
        self._stale: Counter[Stream] = Counter()
        self._stale_total = 0
        self._floors: OrderedDict[Stream, int] = OrderedDict()
        self._floor = 0
        # Before that nothing is too old.
        self._due = math.inf

    def __len__(self) -> int:
        return len(self._order) - self._stale_total

    # Numbers on the wire.

    @property
    def offset(self) -> str:
        """What tells a client that it heard everything so far."""
        return f"{self._life}.{self.number}"

    @property
    def next_offset(self) -> str:
        """What the next message that is kept carries."""
        return f"{self._life}.{self.number + 1}"

    def parse(self, offset: object) -> int | None:
        """Return the number that a client says it heard last, None for what was never said to anybody.

        0 when it heard nothing in this run of the server.
        """
        if offset is None:
            return 0
        life, dot, digits = offset.partition(".") if isinstance(offset, str) else ("", "", "")
        if not dot or len(life) != len(self._life) or not (digits.isascii() and digits.isdigit()):
            return None
        if life != self._life:
            return 0
        number = int(digits) if len(digits) < 16 else self.number + 1
        return number if number <= self.number else None

    # Keeping.

    def skip_number(self) -> int:
        """Use up a number for something that is not kept, and return it."""
        self.number += 1
        return self.number

    def keep(self, streams: Iterable[Stream], message: M, skip: Collection[str], now: float) -> None:
        """Keep what was sent into *streams* under the next number. *now* is in seconds of a clock that never steps."""
        self.number += 1
        entry = (self.number, now, message, skip)
        size = len(message) + _OVERHEAD
        for stream in streams:
            kept = self._kept.get(stream)
            if kept is None:
                kept = self._kept[stream] = Line()
            while kept and (len(kept) >= self._max_messages or kept.bytes + size > self._max_line):
                self._evict(stream)
                self._stale[stream] += 1
                self._stale_total += 1
            kept.append(entry)
            kept.bytes += size
            self._order.append(stream)
            self.bytes += size
        self._due = min(self._due, now + self._horizon)
        if self.bytes > self._max_bytes or now >= self._due or self._stale_total:
            self.expire(now)

    def expire(self, now: float) -> None:
        """Forget what is too old, and the oldest of what is too much."""
        horizon = now - self._horizon
        while self._order:
            stream = self._order[0]
            if self._stale_total and self._stale[stream]:
                self._unstale(stream)
            elif self._kept[stream][0][1] > horizon and self.bytes <= self._max_bytes:
                self._due = self._kept[stream][0][1] + self._horizon
                break
            else:
                self._evict(stream)
                if not self._kept[stream]:
                    del self._kept[stream]
            self._order.popleft()
        else:
            self._due = math.inf
        if self._stale_total > len(self) + 1024:
            self._compact()

    def drop(self, stream: Stream) -> None:
        """Forget a stream whose only reader is gone for good."""
        self._floors.pop(stream, None)
        kept = self._kept.pop(stream, None)
        if kept is not None:
            self.bytes -= kept.bytes
            self._stale[stream] += len(kept)
            self._stale_total += len(kept)

    # Giving back.

    def missed(
        self, heard: int, streams: Iterable[tuple[Stream, int]], sid: str, most: int | None = None
    ) -> list[M] | None:
        """Return what followed number *heard* in streams that are each read since a number of their own, in order.

        None when any of it is not there any more, or all of it is more than *most* bytes.
        """
        found: dict[int, M] = {}
        size = 0
        for stream, since in streams:
            after = max(heard, since)
            if self._floors.get(stream, self._floor) > after:
                return None
            for number, _, message, skip in reversed(self._kept.get(stream, ())):
                if number <= after:
                    break
                if sid not in skip and number not in found:
                    found[number] = message
                    size += len(message)
                    if most is not None and size > most:
                        return None
        return [found[number] for number in sorted(found)]

    def _evict(self, stream: Stream) -> None:
        kept = self._kept[stream]
        number, _, message, _ = kept.popleft()
        size = len(message) + _OVERHEAD
        self.bytes -= size
        kept.bytes -= size
        self._floors[stream] = number
        self._floors.move_to_end(stream)
        if len(self._floors) > self._max_floors:
            # Nothing later than this was evicted from any stream that is forgotten here.
            self._floor = max(self._floor, self._floors.popitem(last=False)[1])

    def _unstale(self, stream: Stream) -> None:
        self._stale_total -= 1
        self._stale[stream] -= 1
        if not self._stale[stream]:
            del self._stale[stream]

    def _compact(self) -> None:
        """Take the stale names out: each stream's are its oldest."""
        order: deque[Stream] = deque()
        for stream in self._order:
            if self._stale[stream]:
                self._unstale(stream)
            else:
                order.append(stream)
        self._order = order
