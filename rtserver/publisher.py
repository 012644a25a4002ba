"""The verbs that say something: to a room, to everybody, to one client_id; and what was said before."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

from rtserver.away import Absent, Away
from rtserver.broker.base import Broker, Draft, Retention
from rtserver.client import Client
from rtserver.fanout import Fanout, Message
from rtserver.protocol.data import sound_data
from rtserver.protocol.errors import BAD_REQUEST, RtError
from rtserver.protocol.identifiers import Clock
from rtserver.protocol.names import SID, USER, normal_name, publishable_event, room_name
from rtserver.reports import Reporter
from rtserver.rooms.stream import Page, Publication
from rtserver.roster import Roster
from rtserver.telemetry.metrics import Metrics
from rtserver.webhooks.journal import Receipt

SYSTEM = "SYSTEM"
_NO_HISTORY = Retention(0, 0.0)

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
        room = _room(room)
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
        draft = self._draft(room, event, message, data, sender)
        done, published = await self._record(room, draft, self._retention(room), skip)
        if draft.stamped:
            return done._replace(receipt=self._reporter.said(event, published.payload))
        return done

    async def say_to_user(
        self,
        client_id: str,
        event: str,
        message: str | None,
        data: Any = ABSENT,
        *,
        skip: Collection[str] = (),
    ) -> Published:
        """Publish to every connection of a client_id what is checked already.

        It has an offset among what was published to it, but no history, and backends are not told: it is private.
        """
        draft = self._draft(None, event, message, data)
        return (await self._record(USER + client_id, draft, _NO_HISTORY, skip))[0]

    async def say_to_sid(
        self, sid: str, event: str, message: str | None, data: Any = ABSENT, *, skip: Collection[str] = ()
    ) -> Published:
        """Publish to one connection; see `say_to_user`."""
        draft = self._draft(None, event, message, data)
        return (await self._record(SID + sid, draft, _NO_HISTORY, skip))[0]

    def _draft(
        self, room: str | None, event: str, message: str | None, data: Any, sender: Client | None = None
    ) -> Draft:
        now = time.time()
        event_id = self.clock.identifier(now)
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
                "timestamp": self.clock.timestamp(now),
            }
        return Draft(event, payload, event_id, now, stamped)

    async def _record(
        self, stream: str | None, draft: Draft, retention: Retention, skip: Collection[str]
    ) -> tuple[Published, Publication]:
        try:
            published, recipients = await self._broker.publish(stream, draft, retention, skip)
        except (TypeError, ValueError) as error:
            raise RtError(BAD_REQUEST, f"data: cannot be sent as JSON ({error})") from error
        self.metrics.messages[draft.event if draft.stamped else "other"] += 1
        timestamp = self.clock.timestamp(draft.published_at)
        return Published(draft.id, published.offset, timestamp, recipients), published

    def hand_out(self, stream: str | None, message: Message, skip: Collection[str]) -> int:
        """Deliver on this node what the broker recorded in a stream; return to how many clients."""
        if stream is not None and stream.startswith(USER):
            return self.emit_to(stream.removeprefix(USER), message, skip)
        if stream is not None and stream.startswith(SID):
            return self._emit_to_sid(stream.removeprefix(SID), message, skip)
        recipients = self._fanout.deliver(stream, message, skip)
        self.metrics.deliveries += recipients
        return recipients

    async def knows(self, sid: str) -> bool:
        """Tell whether there is a connection of that sid, or was until a moment ago."""
        absent = self.away.find(sid)
        return sid in self._roster or (absent is not None and absent.present)

    async def send(self, client_id: str, event: str, data: Any = None) -> int:
        """Send an event to every connection of a client_id; return how many there are. Raises as `publish`."""
        client_id = _target("client_id", client_id)
        event = _event(event)
        _check_content(None, data)
        try:
            return self.emit_to(client_id, Message(event, data))
        except (TypeError, ValueError) as error:
            raise RtError(BAD_REQUEST, f"data: cannot be sent as JSON ({error})") from error

    def emit_to(self, client_id: str, message: Message, skip: Collection[str] = ()) -> int:
        """Deliver to every connection of a client_id but the sids in *skip*; return how many there are.

        One whose line was cut a moment ago counts, and is told when it recovers; while it is the only one that is
        so long after its time of grace, nobody is there, and nothing is kept.
        """
        live, absent = self._roster.of(client_id), self.away.of(client_id)
        if skip:
            live = [one for one in live if one.sid not in skip]
            absent = [one for one in absent if one.sid not in skip]
        return self._emit(live, absent, message)

    def _emit_to_sid(self, sid: str, message: Message, skip: Collection[str]) -> int:
        client, absent = self._roster.get(sid), self.away.find(sid)
        if sid in skip:
            return 0
        return self._emit(
            [client] if client is not None else [], [absent] if absent is not None else [], message
        )

    def _emit(self, live: list[Client], absent: list[Absent], message: Message) -> int:
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


def _room(name: Any) -> str:
    try:
        return room_name(_target("room", name))
    except ValueError as error:
        raise RtError(BAD_REQUEST, f"room: {error}") from None


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
