"""WebSockets without Engine.IO: a message is a frame, whole. What the frames say is the owner's to know."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from rtserver.protocol.errors import SERVER_ERROR
from rtserver.transport import door, requests
from rtserver.transport.frames import GOING_AWAY, NORMAL, farewell
from rtserver.transport.packets import MalformedPacket
from rtserver.transport.requests import Denial, Receive, Scope, Send
from rtserver.transport.session import Session, SessionEvents
from rtserver.transport.websocket import AsgiLane

if TYPE_CHECKING:
    from rtserver.transport.engine import EngineServer

_log = logging.getLogger("rtserver.websocket")


class PlainSession(Session):
    """A session over a lane that it keeps for life."""

    __slots__ = ()

    def on_text(self, packet: str) -> None:
        """Take one message."""
        self._take(packet)

    def on_binary(self, data: bytes) -> None:
        """Take one binary message."""
        self._take(data)

    def on_closed(self, code: int | None) -> None:
        """Learn that the client closed: ``ws.close()`` without a code is a goodbye, too, as no library is behind it."""
        self._end(farewell(NORMAL if code is None else code))

    def expire(self) -> None:
        """Close because nothing was heard in time; after 1000 clients that reconnect would not."""
        self.close(GOING_AWAY, "ping timeout", "ping timeout")

    def _take(self, data: str | bytes) -> None:
        if self.closed:
            return
        self._heard = self._pings
        try:
            self._events.received(self, data)
        except MalformedPacket as error:
            self.refuse(str(error))
        except Exception:
            _log.exception("a message could not be handled")
            self.close(SERVER_ERROR.code, SERVER_ERROR.reason, "transport error")


class PlainEvents(SessionEvents):
    """What a plain session tells its owner, beyond what every session does."""

    def arriving(self, session: PlainSession, scope: Scope) -> None:
        """A handshake passed the door and is about to be completed."""

    def arrived(self, session: PlainSession) -> None:
        """It is complete. Messages may have come before, and the end."""


async def serve(
    engine: EngineServer, events: PlainEvents, scope: Scope, receive: Receive, send: Send
) -> None:
    """Serve one WebSocket by the rules of *engine*: origins, admission, limits.

    Everything else is judged after the handshake: browsers show nothing of the answer to one that failed.
    """
    await receive()  # websocket.connect
    try:
        door.check_origin(engine, scope)
        door.check_admission(engine, scope)
    except Denial as denial:
        engine.refused[denial.counted] += 1
        await requests.deny(scope, send, denial, [])
        return
    lane = door.new_lane(engine, scope)
    session = PlainSession(engine.generate_id(), lane, events)
    lane.receiver = session
    events.arriving(session, scope)
    await door.connect(lane, scope, send, None)
    events.arrived(session)
    if isinstance(lane, AsgiLane):
        await lane.run(receive, send)
