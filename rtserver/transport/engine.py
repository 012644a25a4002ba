"""The Engine.IO server: sessions by id, and the events that python-socketio, or an application, hangs on them.

It has python-engineio's interface, so it drives ``socketio.AsyncServer`` and can be used alone; the transports,
the heartbeat and the way of every packet are ours.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import engineio
import orjson

from rtserver.transport import endpoint
from rtserver.transport.deadlines import Timer
from rtserver.transport.direct import Wire
from rtserver.transport.heartbeat import Heartbeat
from rtserver.transport.lane import Lane, LaneLimits
from rtserver.transport.mailbox import DONE, Mailbox
from rtserver.transport.origins import Origins
from rtserver.transport.outbound import Outbound
from rtserver.transport.packets import MalformedPacket
from rtserver.transport.polling import PollingLane
from rtserver.transport.requests import Denial, Receive, Scope, Send
from rtserver.transport.session import Session, SessionEvents, Upgrade

_log = logging.getLogger("rtserver.engine")

# How long the last words of a polling session wait for a poll, and how long a handler may work for one that is gone.
LAST_WORDS = 2.0
LAST_WORK = 10.0


class EngineServer(engineio.AsyncServer, SessionEvents):  # type: ignore[misc]  # the library has no types
    """An Engine.IO v4 server over ASGI.

    Keyword arguments are python-engineio's (``ping_interval`` and ``ping_timeout`` in seconds,
    ``max_http_buffer_size`` in bytes, ``transports``, ``allow_upgrades``, ``cors_allowed_origins``), and
    *limits*, what may wait for one client. An empty list of origins means the page's own only, never "no check".
    """

    def __init__(self, *, limits: LaneLimits | None = None, **options: Any) -> None:
        options.setdefault("logger", logging.getLogger("engineio.server"))
        super().__init__(**{**options, "async_mode": "asgi"})
        allowed = options.get("cors_allowed_origins") or []
        self.origins = Origins([allowed] if isinstance(allowed, str) else allowed)
        self.refused_origins: set[str] = set()
        self.refused: Counter[str] = Counter()
        self.limits = limits or LaneLimits()
        self.wire = Wire(self.limits, self.max_http_buffer_size)
        self.heartbeat = Heartbeat(self.ping_interval, self.ping_timeout)
        self.admit: Callable[[Scope], Denial | None] = lambda scope: None
        self._probes: Timer[Upgrade] = Timer(self.ping_timeout, Upgrade.expire)
        self._last_words: dict[str, PollingLane] = {}
        self._forget: Timer[str] = Timer(LAST_WORDS, self._drop_last_words)

    # What python-socketio and applications call.

    async def handle_request(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or WebSocket connection (ASGI)."""
        await endpoint.serve(self, scope, receive, send)

    async def send(self, sid: str, data: Any) -> None:
        """Send a message: text, binary, or a list or dict as JSON. Unknown clients are ignored."""
        if isinstance(data, list | dict):
            data = orjson.dumps(data).decode()
        self.transmit(sid, Outbound.message(data if isinstance(data, str) else bytes(data)))

    async def send_packet(self, sid: str, pkt: Any) -> None:
        """Send one of python-engineio's packets."""
        self.transmit(sid, Outbound(pkt.encode()))

    def transmit(self, sid: str, out: Outbound) -> None:
        """Send packets that are already encoded. Unknown clients are ignored."""
        session = self.sockets.get(sid)
        if session is not None:
            session.send(out)

    async def disconnect(self, sid: str | None = None) -> None:
        """Close one session, or all."""
        sessions = list(self.sockets.values()) if sid is None else [self.sockets.get(sid)]
        for session in sessions:
            if session is not None:
                session.close(1000, "")

    async def get_session(self, sid: str) -> dict[str, Any]:
        """Return the application's own dictionary for a client; raise `KeyError` for an unknown one."""
        session: Session = self._get_socket(sid)
        if session.session is None:
            session.session = {}
        return session.session

    async def shutdown(self) -> None:
        """Stop the timers. Sessions are closed by their transports."""
        self.heartbeat.close()
        self._probes.close()
        self._forget.close()

    # What the endpoint calls.

    async def open(self, lane: Lane, environ: dict[str, Any]) -> Session | None:
        """Make a session over *lane* and ask the ``connect`` handler; None when it says no."""
        session = Session(self.generate_id(), lane, self)
        self.sockets[session.sid] = session
        lane.receiver = session
        handler = self.handlers.get("connect")
        try:
            verdict = handler(session.sid, environ) if handler is not None else None
            if inspect.isawaitable(verdict):
                verdict = await verdict
        except Exception:
            _log.exception("the connect handler failed")
            verdict = False
        if session.closed:
            return None
        if verdict is not None and verdict is not True:
            self.sockets.pop(session.sid, None)
            return None
        self.heartbeat.watch(session)
        return session

    def greeting(self, session: Session, upgrades: list[str]) -> Outbound:
        """Return the OPEN packet."""
        hello = {
            "sid": session.sid,
            "upgrades": upgrades,
            "pingInterval": round((self.ping_interval + self.ping_interval_grace_period) * 1000),
            "pingTimeout": round(self.ping_timeout * 1000),
            "maxPayload": self.max_http_buffer_size,
        }
        return Outbound("0" + orjson.dumps(hello).decode())

    def new_upgrade(self, session: Session, lane: Lane) -> Upgrade:
        """Let *lane* probe; it has as long as a heartbeat's answer."""
        upgrade = Upgrade(session, lane)
        lane.receiver = upgrade
        self._probes.add(upgrade)
        return upgrade

    def last_words(self, sid: str) -> PollingLane | None:
        """Return what an ended polling session still has to say, for a moment after its end."""
        lane = self._last_words.get(sid)
        return lane if lane is not None and lane.unheard else None

    @property
    def speaking(self) -> bool:
        """Tell whether any ended polling session still has something to say; it has `LAST_WORDS` seconds."""
        return any(lane.unheard for lane in self._last_words.values())

    def _drop_last_words(self, sid: str) -> None:
        self._last_words.pop(sid, None)

    # What sessions tell.

    def received(self, session: Session, data: str | bytes) -> None:
        """Hand a message to the ``message`` handler; one that waits is finished before the next begins."""
        handler = self.handlers.get("message")
        if handler is None:
            return
        if session.mailbox is not None and session.mailbox.busy:
            session.mailbox.put(partial(handler, session.sid, data))
            return
        try:
            result = handler(session.sid, data)
        except MalformedPacket:
            raise
        except Exception:
            _log.exception("the message handler failed")
            return
        if result is not DONE:
            self._finish(session, result)

    def ended(self, session: Session, reason: str) -> None:
        """Forget the session and tell the ``disconnect`` handler, after what the client asked for before."""
        self.sockets.pop(session.sid, None)
        if reason.startswith("server") and isinstance(session.lane, PollingLane) and session.lane.unheard:
            self._last_words[session.sid] = session.lane
            self._forget.add(session.sid)
        handler = self.handlers.get("disconnect")
        if handler is None:
            return
        if session.mailbox is not None and session.mailbox.busy:
            session.mailbox.put(partial(handler, session.sid, reason))
            asyncio.get_running_loop().call_later(LAST_WORK, session.mailbox.cancel)
            return
        try:
            self._finish(session, handler(session.sid, reason))
        except Exception:
            _log.exception("the disconnect handler failed")

    def _finish(self, session: Session, result: Any) -> None:
        if inspect.isawaitable(result) and result is not DONE:
            if session.mailbox is None:
                session.mailbox = Mailbox(session.pause_reading, session.resume_reading)
            session.mailbox.run(result)
