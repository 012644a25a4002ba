"""Who wants which events. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from rtserver.rooms.patterns import Patterns


class Bundling(NamedTuple):
    """How many events go out in one request, and for how many seconds the first waits for the others."""

    max_events: int
    max_wait: float


class Target:
    """A receiver of webhooks. *disabled* says why it is left alone, and is None while it is not."""

    def __init__(
        self,
        name: str,
        url: str,
        *,
        secrets: Sequence[str] = (),
        events: Iterable[str] = ("*",),
        rooms: Iterable[str] = ("*",),
        bundling: Bundling | None = None,
        timeout: float = 10.0,
        concurrency: int = 4,
        schedule: Sequence[float] = (),
        jitter: float = 0.0,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.url = url
        self.secrets = tuple(secrets)
        self.bundling = bundling
        self.timeout = timeout
        self.concurrency = concurrency
        self.schedule = tuple(schedule)
        self.jitter = jitter
        self.headers = dict(headers or {})
        self.disabled: str | None = None
        self._events = Patterns(events)
        self._rooms = Patterns(rooms)

    def wants(self, type_: str, room: str | None) -> bool:
        """Tell whether the target wants an event of that type, in that room if it has one."""
        return self._events.match(type_) and (room is None or self._rooms.match(room))
