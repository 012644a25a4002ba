"""Delivery to this node's clients: encoded once per wire format, then handed to every lane."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, Protocol

from rtserver.rooms.tape import Stream, Tape
from rtserver.transport.outbound import Outbound
from rtserver.transport.session import Session


class Format(Protocol):
    """A way to write an event: one object per namespace and encoding, compared by identity."""

    @property
    def offsets(self) -> bool:
        """Tell whether its clients can recover: events say their offset in one more argument then."""

    def event(self, name: str, args: tuple[Any, ...], ack_id: int | None = None) -> Outbound:
        """Return the event as packets; raise `TypeError` or `ValueError` for what it cannot write."""

    def again(self, out: Outbound) -> Outbound:
        """Return an event of the main namespace that was kept, and so is written as JSON, in this format."""


class Subscriber(Protocol):
    """Who can be delivered to."""

    @property
    def sid(self) -> str:
        """The connection's id."""

    @property
    def session(self) -> Session:
        """The way to it."""

    @property
    def format(self) -> Format:
        """What it understands."""


class Message:
    """An event on its way to many. It remembers each encoding, so that no format is written twice.

    *tail* is what clients that can recover get as one more argument: the offset.
    """

    __slots__ = ("_encoded", "args", "event", "tail")

    def __init__(self, event: str, *args: Any) -> None:
        self.event = event
        self.args = args
        self.tail: tuple[str | None, ...] = ()
        self._encoded: dict[Format, Outbound] = {}

    def encoded(self, form: Format) -> Outbound:
        """Return the packets in *form*."""
        out = self._encoded.get(form)
        if out is None:
            args = (*self.args, *self.tail) if form.offsets else self.args
            out = self._encoded[form] = form.event(self.event, args)
        return out


Audience = dict[Format, dict[str, Session]]


class Fanout:
    """Who hears what: everybody, or those who subscribed to a room. Every change costs O(1) per room touched.

    What is delivered goes onto the *tape*, if there is one, for those who can recover: as it is written in *form*, the
    commonest. The message itself would be several times as large.
    """

    __slots__ = ("_everybody", "_form", "_rooms", "tape")

    def __init__(self, tape: Tape[bytes | Outbound] | None = None, form: Format | None = None) -> None:
        self.tape = tape
        self._form = form
        self._everybody: Audience = {}
        self._rooms: dict[str, Audience] = {}

    @property
    def head(self) -> int:
        """The number of what was kept last."""
        return self.tape.number if self.tape is not None else 0

    def admit(self, subscriber: Subscriber) -> None:
        """Let the subscriber hear what goes to everybody."""
        _add(self._everybody, subscriber)

    def expel(self, subscriber: Subscriber, rooms: Iterable[str]) -> None:
        """Let it hear nothing any more; *rooms* are those it subscribed to."""
        _remove(self._everybody, subscriber)
        for room in rooms:
            self.unsubscribe(room, subscriber)

    def subscribe(self, room: str, subscriber: Subscriber) -> None:
        """Let the subscriber hear the room."""
        _add(self._rooms.setdefault(room, {}), subscriber)

    def unsubscribe(self, room: str, subscriber: Subscriber) -> None:
        """Undo `subscribe`."""
        audience = self._rooms.get(room)
        if audience is not None:
            _remove(audience, subscriber)
            if not audience:
                del self._rooms[room]

    def sids(self, room: str | None) -> Iterator[str]:
        """Yield who hears *room*, or everybody for None."""
        for sessions in list(self._audience(room).values()):
            yield from list(sessions)

    def stamp(self, message: Message, *, kept: bool = True) -> None:
        """Give the message the offset under which it is going to be delivered next.

        One that is not kept has none, and must not end in a string: a stock client would take that for an offset.
        """
        if kept and self.tape is not None:
            message.tail = (self.tape.next_offset,)
        elif message.args and isinstance(message.args[-1], str):
            message.tail = (None,)

    def deliver(
        self, room: str | None, message: Message, skip: Collection[str] = (), volatile: bool = False
    ) -> int:
        """Send to all who hear *room* (None: to everybody) except the sids in *skip*; return to how many.

        What is *volatile* is not kept, and dropped for who is behind.
        """
        tape = self.tape
        if not message.tail:
            self.stamp(message, kept=not volatile)
        count = 0
        # All encodings first: what one of them cannot hold is delivered to nobody.
        outs = [(message.encoded(form), sessions) for form, sessions in self._audience(room).items()]
        if tape is not None and not volatile and (outs or tape.awaited):
            self._keep((room,), message, skip)
        for out, sessions in outs:
            if skip and not sessions.keys().isdisjoint(skip):
                count += _deliver_but(sessions, out, skip, volatile)
                continue
            # A copy: whatever a write sets off, the others must still get theirs.
            for session in list(sessions.values()):
                session.lane.write(out, volatile)
            count += len(sessions)
        return count

    def send(
        self,
        message: Message,
        to: Sequence[Subscriber],
        streams: Collection[Stream] = (),
        skip: Collection[str] = (),
    ) -> None:
        """Send to these, and keep it in *streams* for them and for who is away, except for the sids in *skip*."""
        kept = self.tape is not None and bool(streams)
        self.stamp(message, kept=kept)
        outs = [(subscriber, message.encoded(subscriber.format)) for subscriber in to]
        if kept:
            self._keep(streams, message, skip)
        for subscriber, out in outs:
            subscriber.session.lane.write(out)

    def _keep(self, streams: Collection[Stream], message: Message, skip: Collection[str]) -> None:
        assert self.tape is not None
        assert self._form is not None
        self.tape.keep(streams, message.encoded(self._form).lasting(), skip, time.monotonic())

    def _audience(self, room: str | None) -> Audience:
        return self._everybody if room is None else self._rooms.get(room, {})


def _deliver_but(sessions: dict[str, Session], out: Outbound, skip: Collection[str], volatile: bool) -> int:
    others = [session for sid, session in sessions.items() if sid not in skip]
    for session in others:
        session.lane.write(out, volatile)
    return len(others)


def _add(audience: Audience, subscriber: Subscriber) -> None:
    audience.setdefault(subscriber.format, {})[subscriber.sid] = subscriber.session


def _remove(audience: Audience, subscriber: Subscriber) -> None:
    sessions = audience.get(subscriber.format)
    if sessions is not None:
        sessions.pop(subscriber.sid, None)
        if not sessions:
            del audience[subscriber.format]
