"""Sessions whose line was cut and that may still be recovered: what has to be remembered of them, for the window."""

from __future__ import annotations

import time
from typing import Any

from rtserver.client import Client
from rtserver.rooms.tape import EVERYBODY, Stream, Tape
from rtserver.transport.deadlines import Timer
from rtserver.transport.outbound import Outbound

# More sessions than this are not waited for; the one that is away longest is given up first.
MAX_ABSENT = 100_000


class Absent:
    """One session. While its time of grace lasts, *client* is the member that others still see."""

    __slots__ = ("_data", "_rooms", "_subscriptions", "client", "client_id", "identity", "sid", "since")

    def __init__(self, client: Client) -> None:
        self.sid = client.sid
        self.client_id = client.client_id
        self.identity = client.identity
        self.since = client.since
        self.client: Client | None = client
        self._data: dict[str, Any] | None = None
        self._rooms: dict[str, None] = {}
        self._subscriptions: dict[str, int] = {}

    @property
    def verified(self) -> bool:
        """Tell whether a token vouched for the client_id."""
        return self.identity is not None

    @property
    def rooms(self) -> dict[str, None]:
        """The rooms it is, or was, a member of."""
        return self._rooms if self.client is None else self.client.rooms or {}

    @property
    def subscriptions(self) -> dict[str, int]:
        """The rooms it hears, each with the number since which it does."""
        return self._subscriptions if self.client is None else self.client.subscriptions or {}

    @property
    def data(self) -> dict[str, Any] | None:
        """What the application keeps for it."""
        return self._data if self.client is None else self.client.data

    @property
    def present(self) -> bool:
        """Tell whether it still counts as connected: nobody heard that it is gone, and nobody took its place."""
        return self.client is not None and self.client.heir is None

    def depart(self) -> None:
        """Remember the rooms that its client is about to leave; the client itself is not needed any more."""
        self._rooms, self._subscriptions, self._data = self.rooms.copy(), self.subscriptions, self.data
        self.client = None

    def streams(self) -> list[tuple[Stream, int]]:
        """Return what it hears: what went to everybody, to itself, and to its rooms."""
        own: list[tuple[Stream, int]] = [(EVERYBODY, self.since), ((self.sid,), self.since)]
        return [*own, *self.subscriptions.items()]


class Away:
    """The sessions, by sid and by client_id. Without a tape nothing can be recovered, and nobody is waited for."""

    def __init__(self, tape: Tape[bytes | Outbound] | None, window: float, most: int = MAX_ABSENT) -> None:
        self.tape = tape
        self._most = most
        self._by_sid: dict[str, Absent] = {}
        self._by_id: dict[str, dict[str, Absent]] = {}
        self._timer: Timer[Absent] | None = Timer(window, self._expire) if tape is not None else None

    def __len__(self) -> int:
        return len(self._by_sid)

    def keep(self, client: Client) -> None:
        """Wait for a client whose line was cut, if it can recover."""
        if self._timer is None or not client.format.offsets:
            return
        absent = Absent(client)
        self._by_sid[client.sid] = absent
        self._by_id.setdefault(client.client_id, {})[client.sid] = absent
        self._timer.add(absent)
        if len(self._by_sid) > self._most:
            self.forget(next(iter(self._by_sid)))
        self._count()

    def find(self, sid: str) -> Absent | None:
        """Return the session, if it is waited for."""
        return self._by_sid.get(sid)

    def of(self, client_id: str) -> list[Absent]:
        """Return the sessions of a client_id."""
        return list(self._by_id.get(client_id, {}).values())

    def everybody(self) -> list[Absent]:
        """Return all sessions."""
        return list(self._by_sid.values())

    def depart(self, client: Client) -> None:
        """Learn that the client's time of grace is over."""
        absent = self._by_sid.get(client.sid)
        if absent is not None and absent.client is client:
            absent.depart()

    def take(self, absent: Absent) -> None:
        """Wait no more: the session is recovered."""
        if self._by_sid.get(absent.sid) is absent:
            del self._by_sid[absent.sid]
            theirs = self._by_id[absent.client_id]
            del theirs[absent.sid]
            if not theirs:
                del self._by_id[absent.client_id]
            # The timer knows it for a while longer.
            absent.client = None
            self._count()

    def forget(self, sid: str) -> None:
        """Give the session up for good, with what was kept for it alone."""
        absent = self._by_sid.get(sid)
        if absent is not None:
            self.take(absent)
        if self.tape is not None:
            self.tape.drop((sid,))

    def forget_all(self, client_id: str) -> None:
        """Give up every session of a client_id."""
        for absent in self.of(client_id):
            self.forget(absent.sid)

    def close(self) -> None:
        """Stop; nobody is waited for any more."""
        if self._timer is not None:
            self._timer.close()

    def _expire(self, absent: Absent) -> None:
        if self._by_sid.get(absent.sid) is absent:
            self.forget(absent.sid)
        if self.tape is not None:
            self.tape.expire(time.monotonic())

    def _count(self) -> None:
        if self.tape is not None:
            self.tape.awaited = len(self._by_sid)
