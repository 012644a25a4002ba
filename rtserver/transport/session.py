"""One client's Engine.IO session, from open to close, over whichever lane it has now."""

from __future__ import annotations

import asyncio
from enum import Enum
from typing import TYPE_CHECKING, Any

from rtserver.protocol.errors import BAD_REQUEST
from rtserver.transport import packets
from rtserver.transport.frames import NORMAL, close_reason, farewell
from rtserver.transport.lane import Lane
from rtserver.transport.outbound import PROBE_ANSWER, Outbound
from rtserver.transport.packets import MalformedPacket
from rtserver.transport.polling import PollingLane

if TYPE_CHECKING:
    from rtserver.transport.mailbox import Mailbox


class State(Enum):
    """Where a session stands."""

    POLLING = "polling"
    UPGRADING = "upgrading"
    WEBSOCKET = "websocket"
    CLOSED = "closed"


# The life of a session; what is not here cannot happen (https://socket.io/docs/v4/engine-io-protocol/#upgrade).
TRANSITIONS: dict[tuple[State, str], State] = {
    (State.POLLING, "probe"): State.UPGRADING,
    (State.UPGRADING, "upgrade"): State.WEBSOCKET,
    (State.UPGRADING, "probe lost"): State.POLLING,
    (State.POLLING, "close"): State.CLOSED,
    (State.UPGRADING, "close"): State.CLOSED,
    (State.WEBSOCKET, "close"): State.CLOSED,
}


class SessionEvents:
    """What a session tells its owner. The engine implements it; so does a test."""

    def received(self, session: Session, data: str | bytes) -> None:
        """A message came, in order. May raise `MalformedPacket`."""

    def ended(self, session: Session, reason: str) -> None:
        """The session is over; called exactly once, whatever ended it."""


class Session:
    """The session. It lives while any code may still hold it; `closed` tells whether it still means anything."""

    __slots__ = (
        "_events",
        "_heard",
        "_paused",
        "_pings",
        "_rest",
        "lane",
        "mailbox",
        "session",
        "sid",
        "state",
    )

    def __init__(self, sid: str, lane: Lane, events: SessionEvents) -> None:
        self.sid = sid
        self.lane = lane
        self.state = State(lane.name)
        self.mailbox: Mailbox | None = None
        self.session: dict[str, Any] | None = None
        self._events = events
        self._pings = 0
        self._heard = 0
        self._paused = False
        self._rest: asyncio.TimerHandle | None = None

    @property
    def closed(self) -> bool:
        """Tell whether the session is over."""
        return self.state is State.CLOSED

    @property
    def upgraded(self) -> bool:
        """Tell whether the transport is WebSocket, as python-engineio calls it."""
        return self.state is State.WEBSOCKET

    def send(self, out: Outbound, volatile: bool = False) -> None:
        """Send packets to the client; nothing happens when the session is over."""
        self.lane.write(out, volatile)

    def pause_reading(self) -> None:
        """Take no more from the client for now."""
        self._paused = True
        self.lane.pause_reading()

    def resume_reading(self) -> None:
        """Undo `pause_reading`."""
        self._paused = False
        if self._rest is None:
            self.lane.resume_reading()

    def rest(self, seconds: float) -> bool:
        """Take nothing from the client for so long; return False when it rests already, or is gone.

        What it sends meanwhile waits on its side of the line, and is then read in one piece: a flood costs the
        server a system call for every rest, not two for every message.
        """
        if self._rest is not None or self.closed:
            return False
        self._rest = asyncio.get_running_loop().call_later(seconds, self._rested)
        self.lane.pause_reading()
        return True

    def _rested(self) -> None:
        self._rest = None
        if not self._paused and not self.closed:
            self.lane.resume_reading()

    # What the lane tells.

    def on_text(self, packet: str) -> None:
        """Take one text packet; a malformed one closes the session."""
        if self.state is State.CLOSED:
            return
        self._heard = self._pings
        kind = packet[:1]
        try:
            if kind == packets.MESSAGE:
                self._events.received(self, packet[1:])
            elif kind == packets.CLOSE:
                self.end("transport close")
            elif kind not in (packets.PONG, packets.NOOP, packets.UPGRADE):
                raise MalformedPacket(f"unexpected packet {packet[:16]!r}")
        except MalformedPacket as error:
            self.refuse(str(error))

    def on_binary(self, data: bytes) -> None:
        """Take one binary message."""
        if self.state is State.CLOSED:
            return
        self._heard = self._pings
        try:
            self._events.received(self, data)
        except MalformedPacket as error:
            self.refuse(str(error))

    def on_closed(self, code: int | None) -> None:
        """Learn that the client closed the lane."""
        self._end(farewell(code))

    def on_lost(self, reason: str) -> None:
        """Learn that the lane is gone."""
        self._end(reason)

    # The heartbeat.

    def ping(self, packet: Outbound) -> int:
        """Send a PING and return its number for `answered`."""
        self._pings += 1
        self.lane.write(packet)
        return self._pings

    def answered(self, number: int) -> bool:
        """Tell whether the client said anything since PING *number*, or cannot have got it yet.

        A PING behind a backlog is no sign of death: the lane's own limits judge a client that takes nothing.
        """
        return self._heard >= number or self.lane.stalled

    def expire(self) -> None:
        """Close because nothing was heard in time."""
        self.close(NORMAL, "ping timeout", "ping timeout")

    # The upgrade.

    def probe(self) -> bool:
        """Begin an upgrade: release the pending poll; messages wait. False when one cannot begin."""
        if isinstance(self.lane, PollingLane) and self._move("probe"):
            self.lane.hold()
            return True
        return False

    def upgrade(self, lane: Lane) -> bool:
        """Go on over *lane*, with everything the old one still held. False when no probe went before."""
        old = self.lane
        if not (isinstance(old, PollingLane) and self._move("upgrade")):
            return False
        self.lane = lane
        lane.receiver = self
        for out in old.take_over():
            lane.write(out)
        if self._paused or self._rest is not None:
            lane.pause_reading()
        old.resume_reading()
        return True

    def probe_lost(self) -> None:
        """Go on over long-polling: the other line died before the upgrade was complete."""
        if isinstance(self.lane, PollingLane) and self._move("probe lost"):
            self.lane.release()

    # The end.

    def refuse(self, why: str) -> None:
        """Close because the client broke the protocol."""
        self.close(BAD_REQUEST.code, why, "transport error")

    def close(self, code: int, why: str, reason: str = "server disconnect") -> None:
        """Send what waits, close the transport with *code*, and end for *reason* (python-engineio's words)."""
        if not self.closed:
            self.lane.close(code, close_reason(why))
            self._end(reason)

    def abort(self, reason: str = "server disconnect") -> None:
        """Close the transport at once, and end."""
        if not self.closed:
            self.lane.abort()
            self._end(reason)

    def end(self, reason: str) -> None:
        """End because the client said goodbye on this level."""
        if not self.closed:
            self.lane.end()
            self._end(reason)

    def _end(self, reason: str) -> None:
        if self._move("close"):
            if self._rest is not None:
                self._rest.cancel()
                self._rest = None
            self._events.ended(self, reason)

    def _move(self, event: str) -> bool:
        state = TRANSITIONS.get((self.state, event))
        if state is None:
            return False
        self.state = state
        return True


class Upgrade:
    """The probe: what a second line may say before it becomes the session's lane."""

    __slots__ = ("_failed", "_lane", "_session", "probed")

    def __init__(self, session: Session, lane: Lane) -> None:
        self._session = session
        self._lane = lane
        self.probed = False
        self._failed = False

    def on_text(self, packet: str) -> None:
        """Take ``2probe``, then ``5``; anything else, or in another order, ends this line only."""
        if self._failed:
            return
        if not self.probed and packet == packets.PING + packets.PROBE and self._session.probe():
            self.probed = True
            self._lane.write(PROBE_ANSWER)
        elif not (self.probed and packet == packets.UPGRADE and self._session.upgrade(self._lane)):
            self._fail()

    def on_binary(self, data: bytes) -> None:
        """Refuse: nothing binary belongs to a probe."""
        self._fail()

    def on_closed(self, code: int | None) -> None:
        """Learn that the line was closed; the session goes on as it was."""
        self.on_lost("")

    def on_lost(self, reason: str) -> None:
        """Learn that the line is gone; the session goes on as it was."""
        if self.probed and not self._failed:
            self._failed = True
            self._session.probe_lost()

    def begin(self) -> None:
        """End at once when the session cannot be upgraded (any more).

        The handshake has succeeded by then: the reference implementation, too, accepts and then closes.
        """
        if self._session.state is not State.POLLING:
            self._fail()

    def expire(self) -> None:
        """End a probe that took too long; does nothing once the upgrade is complete."""
        if self._lane.receiver is self:
            self._fail()

    def _fail(self) -> None:
        self._lane.close(BAD_REQUEST.code, "not an upgrade")
        self.on_lost("")
        self._failed = True
