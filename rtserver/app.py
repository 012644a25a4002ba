"""The server as one ASGI application: what goes where, and the order of start and stop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rtserver.api import routes
from rtserver.assembly import Assembly
from rtserver.config.check import problems
from rtserver.config.load import ConfigError, load
from rtserver.config.schema import Config
from rtserver.gateway.lobby import OnConnect
from rtserver.gateway.places import leads_here
from rtserver.protocol.errors import SERVER_DRAINING, SERVER_ERROR, TOO_MANY_CONNECTIONS, RtError
from rtserver.store.base import StoreError
from rtserver.telemetry import log
from rtserver.transport.requests import Denial, Receive, Scope, Send, deny

_log = log.logger("app")

# Offsets of a run start at a multiple of this, so that one from an earlier run is never taken for one of ours. What
# JavaScript counts exactly is enough for two million runs.
OFFSETS_PER_RUN = 1 << 32

# How long a server that stops goes on delivering webhooks, in seconds; what is left is delivered after the next start.
LAST_DELIVERIES = 3.0


class App:
    """The server as an ASGI application.

    ``sio`` is the ``socketio.AsyncServer``, ``node`` has the verbs, ``config`` is what it was made from.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.draining = False
        # Somebody else's process, until `rtserver.server` says that it is ours.
        self.logs_for_itself = True
        self._parts = parts = Assembly(config)
        self.sio, self.node, self.engine = parts.sio, parts.node, parts.engine
        self.websocket = parts.websocket
        self.metrics, self.webhooks = parts.metrics, parts.webhooks
        self._opening = asyncio.Lock()
        self._following: asyncio.Task[None] | None = None
        self.engine.admit = self._admit
        self._path = "/" + config.engine.path.strip("/")
        self._http = routes.build(
            unready=self._unready,
            detail=self._detail,
            demo=config.demo.enabled,
            resources=parts.resources(lambda: self._unready() is None),
            origins=self.engine.origins,
            refused=self.metrics.refused,
        )

    def on_connect(self, hook: OnConnect) -> OnConnect:
        """Register ``async def hook(client, auth)``, run when a client was told that it is connected."""
        self.sio.lobby.hooks.append(hook)
        return hook

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, WebSocket connection, or the lifespan (ASGI)."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        denial = self._parts.access.examine(scope)
        if denial is not None:
            await self._turn_away(denial, scope, receive, send)
        elif scope["path"].rstrip("/") == self._path:
            await self.engine.handle_request(scope, receive, send)
        elif leads_here(scope["path"]):
            await self.websocket.serve(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        else:
            await receive()
            await send({"type": "websocket.close", "code": 4004, "reason": "not_found"})

    async def _turn_away(self, denial: Denial, scope: Scope, receive: Receive, send: Send) -> None:
        self.metrics.refused[denial.counted] += 1
        if scope["type"] == "websocket":
            await receive()  # websocket.connect
        await deny(scope, send, denial, [])

    async def drain(self, spread: float, step: float = 0.05) -> None:
        """Close every transport, in batches over *spread* seconds, so that the clients come back elsewhere."""
        self.draining = True
        # What is read from now on would reach nobody here; another node, or the next run, reads it.
        await self._parts.sources.stop()
        self._parts.vitals.stop()
        gateways = (self.sio, self.engine.sockets.values()), (self.websocket, self.websocket.sessions)
        sessions = [(gateway, session) for gateway, theirs in gateways for session in theirs]
        batch = max(10, -(-len(sessions) // max(1, round(spread / step))))
        farewell = RtError(SERVER_DRAINING, "the server is stopping")
        for start in range(0, len(sessions), batch):
            if start:
                await asyncio.sleep(step)
            for gateway, session in sessions[start : start + batch]:
                gateway.announce_end(session.sid, farewell)
                session.close(SERVER_DRAINING.code, SERVER_DRAINING.reason, "server draining")

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup" and self.logs_for_itself:
                log.configure(self.config.logging.level, self.config.logging.format, whole_process=False)
            if message["type"] == "lifespan.startup":
                await self._start()
            else:
                await self._stop()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return

    async def _start(self) -> None:
        try:
            await self._open_store()
        except StoreError as error:
            _log.error("the store cannot be opened", why=str(error))
            self._parts.keeper.healthy = False
        self._parts.broker.begin(self._first_offset())
        await self.webhooks.start(self._open_store, self.node)
        self._parts.keeper.start(self._open_store)
        if self._parts.revocations.shared:
            self._following = asyncio.ensure_future(self.node.credentials.follow(self._parts.revocations))
        self._parts.vitals.start()
        self._parts.access.start()
        self._parts.sources.start()

    async def _stop(self) -> None:
        await self._parts.sources.stop()
        self._parts.vitals.stop()
        self.node.close()
        if self._following is not None:
            self._following.cancel()
        await self.webhooks.stop(LAST_DELIVERIES)
        await self._parts.keeper.stop()
        await self._parts.database.close()
        await self._parts.access.close()
        self.websocket.close()
        await self.sio.shutdown()

    async def _open_store(self) -> None:
        async with self._opening:
            if not self._parts.database.is_open:
                await self._parts.database.open()
                await self.node.credentials.load(self._parts.revocations)

    def _first_offset(self) -> int:
        """Return where offsets of this run begin: higher than any that an earlier run gave out, if that is known."""
        runs = self._parts.database.openings
        return runs * OFFSETS_PER_RUN if runs is not None else int(time.time() * 1_000_000)

    def _unready(self) -> RtError | None:
        if self.draining:
            return RtError(SERVER_DRAINING, "the server is stopping")
        if not self.webhooks.healthy:
            why = self.webhooks.why or "it is not open yet"
            return RtError(SERVER_ERROR, f"the store cannot be written, and webhooks wait in memory: {why}")
        if not self._parts.keeper.healthy:
            return RtError(
                SERVER_ERROR, "the store cannot be written: inboxes can be neither filled nor read"
            )
        return None

    def _detail(self) -> dict[str, Any]:
        # A source that is down keeps no client away.
        sources = self._parts.sources.detail()
        return {"sources": sources} if sources else {}

    def _admit(self, scope: Scope) -> Denial | None:
        if self.draining:
            draining = RtError(SERVER_DRAINING, "the server is stopping")
            return _unavailable(draining, 1, counted=SERVER_DRAINING.reason)
        wait = self._parts.admission.knock(asyncio.get_running_loop().time())
        if wait:
            return _unavailable(
                RtError(TOO_MANY_CONNECTIONS, "too many connections at once"), wait, counted="accept_rate"
            )
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


def _unavailable(error: RtError, wait: int, *, counted: str) -> Denial:
    """Return a refusal on HTTP level, after which socket.io-client tries again; a CONNECT_ERROR would end it."""
    later = [(b"retry-after", str(wait).encode())]
    return Denial(503, error.reason.code, error.message, later, counted=counted)
