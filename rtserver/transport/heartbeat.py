"""The heartbeat of all sessions: the server pings, and who says nothing in time is gone.

https://socket.io/docs/v4/engine-io-protocol/#heartbeat. Two queues and two timers serve any number of sessions;
time is the loop's, which is monotonic.
"""

from __future__ import annotations

from collections.abc import Callable

from rtserver.transport.deadlines import Timer
from rtserver.transport.outbound import PING, Outbound
from rtserver.transport.session import Session


class Heartbeat:
    """Pings each session every *interval* seconds and ends it when nothing came *timeout* seconds later.

    *packet* makes what a ping is.
    """

    __slots__ = ("_packet", "_pings", "_pongs")

    def __init__(
        self, interval: float, timeout: float, packet: Callable[[], Outbound] = lambda: PING
    ) -> None:
        self._packet = packet
        self._pings: Timer[Session] = Timer(interval, self._ping)
        self._pongs: Timer[tuple[Session, int]] = Timer(timeout, self._judge)

    def watch(self, session: Session) -> None:
        """Begin; it ends by itself when the session is closed."""
        self._pings.add(session)

    def close(self) -> None:
        """Stop."""
        self._pings.close()
        self._pongs.close()

    def _ping(self, session: Session) -> None:
        if not session.closed:
            self._pongs.add((session, session.ping(self._packet())))
            self._pings.add(session)

    def _judge(self, pinged: tuple[Session, int]) -> None:
        session, number = pinged
        if not session.closed and not session.answered(number):
            session.expire()
