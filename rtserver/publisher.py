"""The verbs that say something: to a room, to everybody, to one client_id; and what was said before."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

from rtserver.away import Away
from rtserver.broker.base import Broker, Draft, Retention
from rtserver.client import Client
from rtserver.fanout import Fanout, Message
from rtserver.protocol.data import sound_data
from rtserver.protocol.errors import BAD_REQUEST, RtError
from rtserver.protocol.identifiers import Clock
from rtserver.protocol.names import normal_name, publishable_event
from rtserver.reports import Reporter
from rtserver.rooms.stream import Page
from rtserver.roster import Roster
from rtserver.telemetry.metrics import Metrics
from rtserver.webhooks.journal import Receipt

SYSTEM = "SYSTEM"

# Not given, which is not the same as null.
ABSENT: Any = object()


class Published(NamedTuple):
    """What became of a publication."""

    id: str
    offset: int
    timestamp: str
    recipients: int
    receipt: Receipt | None = None
    """Whether a backend that wants it is sure to hear of it; None when there is nothing to wait for."""


class Publisher:
    """Records and delivers. What backends give is checked here, what clients send was checked by its model."""

    def __init__(
        self,
        roster: Roster,
        fanout: Fanout,
        broker: Broker,
        retention: Callable[[str | None], Retention],
        clock: Clock,
        metrics: Metrics,
        *,
        reporter: Reporter,
        away: Away,
    ) -> None:
        self.away = away
        self.clock = clock
        self.metrics = metrics
        self._roster = roster
        self._fanout = fanout
        self._broker = broker
        self._retention = retention
        self._reporter = reporter

    async def publish(
        self,
        room: str,
        event: str = "broadcast",
        message: str | None = None,
        data: Any = ABSENT,
        *,
        skip: Collection[str] = (),
    ) -> Published:
        """Record a publication in the room and deliver it to who hears it, except to the sids in *skip*.

        ``chat`` and ``broadcast`` carry the contract's object; any other event carries exactly *data*, or *message*
        without data. Raises `RtError` for a bad room, a reserved event, or data that JSON cannot hold.
        """
        room = _target("room", room)
        event = _event(event)
        _check_content(message, data)
        return await self.say(room, event, message, data, skip=_sids(skip))

    async def broadcast(
        self,
        event: str = "broadcast",
        message: str | None = None,
        data: Any = ABSENT,
        *,
        skip: Collection[str] = (),
    ) -> Published:
        """Publish to every client; see `publish`."""
        event = _event(event)
        _check_content(message, data)
        return await self.say(None, event, message, data, skip=_sids(skip))

    async def say(
        self,
        room: str | None,
        event: str,
        message: str | None,
        data: Any = ABSENT,
        *,
        sender: Client | None = None,
        skip: Collection[str] = (),
    ) -> Published:
        """Publish what is checked already: in a room, or with None in the stream of messages to everybody.

        *skip* names sids that do not get it.
        """
        now = time.time()
        event_id = self.clock.identifier(now)
        timestamp = self.clock.timestamp(now)
        stamped = event in ("chat", "broadcast")
        payload = message if data is ABSENT else data
        if stamped:
            payload = {
                "id": event_id,
                "room": room,
                "sender": sender.client_id if sender is not None else None,
                "username": sender.name if sender is not None else SYSTEM,
                "message": message if message is not None else "",
                **({} if data is ABSENT else {"data": data}),
                "timestamp": timestamp,
            }
        draft = Draft(event, payload, event_id, now, stamped)
        try:
            published, recipients = await self._broker.publish(room, draft, self._retention(room), skip)
        except (TypeError, ValueError) as error:
            raise RtError(BAD_REQUEST, f"data: cannot be sent as JSON ({error})") from error
        self.metrics.messages[event if stamped else "other"] += 1
        receipt = self._reporter.said(event, published.payload) if stamped else None
        return Published(event_id, published.offset, timestamp, recipients, receipt)

    async def send(self, client_id: str, event: str, data: Any = None) -> int:
        """Send an event to every connection of a client_id; return how many there are. Raises as `publish`."""
        client_id = _target("client_id", client_id)
        event = _event(event)
        _check_content(None, data)
        try:
            return self.emit_to(client_id, Message(event, data))
        except (TypeError, ValueError) as error:
            raise RtError(BAD_REQUEST, f"data: cannot be sent as JSON ({error})") from error

    def emit_to(self, client_id: str, message: Message) -> int:
        """Deliver to every connection of a client_id; return how many there are.

        One whose line was cut a moment ago counts, and is told when it recovers; while it is the only one that is
        so long after its time of grace, nobody is there, and nothing is kept.
        """
        live, absent = self._roster.of(client_id), self.away.of(client_id)
        present = len(live) + sum(one.present for one in absent)
        if present:
            streams = [(one.sid,) for one in live if one.format.offsets] + [(one.sid,) for one in absent]
            self._fanout.send(message, live, streams)
        self.metrics.deliveries += len(live)
        return present

    def tell(self, room: str, message: Message) -> int:
        """Deliver to who hears the room what is recorded nowhere; return to how many."""
        recipients = self._fanout.deliver(room, message)
        self.metrics.deliveries += recipients
        return recipients

    def signal(self, room: str, message: Message, skip: Collection[str] = ()) -> None:
        """Deliver to the room's members what is not worth keeping; it is the first to go under pressure."""
        self._fanout.deliver(room, message, skip, volatile=True)

    async def latest(self, room: str | None, limit: int, before: int | None = None) -> Page:
        """Return the last *limit* publications of the room."""
        return await self._broker.latest(room, limit, time.time(), before)

    async def after(self, room: str | None, since: int, limit: int, before: int | None = None) -> Page:
        """Return what was published after offset *since*, at most *limit*."""
        return await self._broker.after(room, since, limit, time.time(), before)


def _sids(skip: Collection[str]) -> Collection[str]:
    return (skip,) if isinstance(skip, str) else skip


def _target(what: str, name: Any) -> str:
    # An empty target must never come to mean everybody.
    if not isinstance(name, str):
        raise RtError(BAD_REQUEST, f"{what}: must be a string")
    try:
        return normal_name(name)
    except ValueError as error:
        raise RtError(BAD_REQUEST, f"{what}: {error}") from None


def _check_content(message: Any, data: Any) -> None:
    if message is not None and not isinstance(message, str):
        raise RtError(BAD_REQUEST, "message: must be a string")
    try:
        sound_data(data if data is not ABSENT else None)
    except ValueError as error:
        raise RtError(BAD_REQUEST, f"data: {error}") from None


def _event(event: Any) -> str:
    if not isinstance(event, str):
        raise RtError(BAD_REQUEST, "event: must be a string")
    try:
        return publishable_event(event)
    except ValueError as error:
        raise RtError(BAD_REQUEST, f"event: {error}") from None
