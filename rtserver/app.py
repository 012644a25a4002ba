"""The composition root: a configuration becomes wired objects and an ASGI application.

The only module that names implementations; everything else is given what it needs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from rtserver.access import Access
from rtserver.announcements import Announcer
from rtserver.api import routes
from rtserver.auth.grants import EVERYBODY, Grants
from rtserver.broker.base import Retention
from rtserver.broker.memory import MemoryBroker
from rtserver.config.check import problems
from rtserver.config.load import ConfigError, load
from rtserver.config.schema import Config
from rtserver.credentials import Credentials
from rtserver.fanout import Fanout, Message
from rtserver.gateway.admission import Admission
from rtserver.gateway.formats import json_format
from rtserver.gateway.handshake import Handshake
from rtserver.gateway.lobby import OnConnect
from rtserver.gateway.members import Members
from rtserver.gateway.socketio import SocketIoServer
from rtserver.handlers.base import Context
from rtserver.node import Node
from rtserver.protocol.errors import SERVER_DRAINING, TOO_MANY_CONNECTIONS, RtError
from rtserver.protocol.identifiers import Clock
from rtserver.rooms.stream import Publication
from rtserver.roster import Roster
from rtserver.router import Router
from rtserver.telemetry import log
from rtserver.telemetry.metrics import Metrics
from rtserver.transport.engine import EngineServer
from rtserver.transport.lane import LaneLimits
from rtserver.transport.requests import Denial, Receive, Scope, Send, deny


class App:
    """The server as an ASGI application.

    ``sio`` is the ``socketio.AsyncServer``, ``node`` has the verbs, ``config`` is what it was made from.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.draining = False
        # Somebody else's process, until `rtserver.server` says that it is ours.
        self.logs_for_itself = True
        self.metrics = Metrics()
        self.engine = _engine(config)
        self.engine.admit = self._admit
        fanout = Fanout()
        grants = Grants(config.rooms)
        self._access = access = Access(config)
        self.node = _node(config, fanout, grants, self.metrics, access.credentials)
        self._admission = Admission(config.limits.connections, now=0.0)
        self.sio = SocketIoServer(
            self.engine,
            self.node,
            Router(Context(self.node, grants, config.limits.rooms_per_client, access.hooks), config.limits),
            Members(fanout),
            Handshake(config.auth.mode, access.credentials, access.hooks),
            self._admission,
            config.engine.connect_timeout,
        )
        self._path = "/" + config.engine.path.strip("/")
        self._http = routes.build(draining=lambda: self.draining, demo=config.demo.enabled)

    def on_connect(self, hook: OnConnect) -> OnConnect:
        """Register ``async def hook(client, auth)``, run when a client was told that it is connected."""
        self.sio.lobby.hooks.append(hook)
        return hook

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, WebSocket connection, or the lifespan (ASGI)."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        denial = self._access.examine(scope)
        if denial is not None:
            await self._turn_away(denial, scope, receive, send)
        elif scope["path"].rstrip("/") == self._path:
            await self.engine.handle_request(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        else:
            await receive()
            await send({"type": "websocket.close", "code": 4004, "reason": "not_found"})

    async def _turn_away(self, denial: Denial, scope: Scope, receive: Receive, send: Send) -> None:
        self.metrics.refused["host"] += 1
        if scope["type"] == "websocket":
            await receive()  # websocket.connect
        await deny(scope, send, denial, [])

    async def drain(self, spread: float, step: float = 0.05) -> None:
        """Close every transport, in batches over *spread* seconds, so that the clients come back elsewhere."""
        self.draining = True
        sessions = list(self.engine.sockets.values())
        batch = max(10, -(-len(sessions) // max(1, round(spread / step))))
        farewell = RtError(SERVER_DRAINING, "the server is stopping")
        for start in range(0, len(sessions), batch):
            if start:
                await asyncio.sleep(step)
            for session in sessions[start : start + batch]:
                self.sio.announce_end(session.sid, farewell)
                session.close(SERVER_DRAINING.code, SERVER_DRAINING.reason, "server draining")

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup" and self.logs_for_itself:
                log.configure(self.config.logging.level, self.config.logging.format, whole_process=False)
            if message["type"] == "lifespan.startup":
                self._access.start()
            if message["type"] == "lifespan.shutdown":
                self.node.close()
                await self.sio.shutdown()
                await self._access.close()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return

    def _admit(self, scope: Scope) -> Denial | None:
        if self.draining:
            return _unavailable(RtError(SERVER_DRAINING, "the server is stopping"), 1)
        wait = self._admission.knock(asyncio.get_running_loop().time())
        if wait:
            self.metrics.refused["accept_rate"] += 1
            return _unavailable(RtError(TOO_MANY_CONNECTIONS, "too many connections at once"), wait)
        return None


def create_app(source: str | Path | Mapping[str, Any] | Config | None = None) -> App:
    """Return the application for a config file, a mapping, or a `Config`; None is all defaults.

    Raises `ConfigError`, which lists every problem.
    """
    if not isinstance(source, Config):
        return App(load(source))
    found = problems(source)
    if found:
        raise ConfigError(found)
    return App(source)


def _engine(config: Config) -> EngineServer:
    engine = config.engine
    return EngineServer(
        limits=LaneLimits(engine.send_buffer.max_bytes, engine.send_buffer.stall),
        ping_interval=engine.ping_interval,
        ping_timeout=engine.ping_timeout,
        max_http_buffer_size=engine.max_payload,
        transports=list(engine.transports),
        cors_allowed_origins=list(config.cors.allowed_origins),
    )


def _node(config: Config, fanout: Fanout, grants: Grants, metrics: Metrics, credentials: Credentials) -> Node:
    form = json_format("/")

    def deliver(room: str | None, publication: Publication, skip: Collection[str]) -> int:
        message = Message(publication.event, publication.payload)
        # What nobody hears now is heard from the history: it must be sound as well.
        message.encoded(form)
        recipients = fanout.deliver(room, message, skip)
        metrics.deliveries += recipients
        return recipients

    @lru_cache(maxsize=4096)
    def retention(room: str | None) -> Retention:
        history = grants.policy(room if room is not None else EVERYBODY).history
        return Retention(history.size, history.ttl)

    clock = Clock()
    return Node(
        Roster(),
        fanout,
        MemoryBroker(deliver),
        retention,
        clock,
        metrics,
        announcer=Announcer(fanout, config.announce, lambda room: grants.policy(room).presence, clock),
        grace=config.recovery.grace if config.recovery.enabled else 0.0,
        credentials=credentials,
    )


def _unavailable(error: RtError, wait: int) -> Denial:
    """Return a refusal on HTTP level, after which socket.io-client tries again; a CONNECT_ERROR would end it."""
    return Denial(503, error.reason.code, error.message, [(b"retry-after", str(wait).encode())])
