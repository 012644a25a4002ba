"""The composition root: a configuration becomes wired objects and an ASGI application.

The only module that names implementations; everything else is given what it needs.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Collection, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from fastapi import APIRouter

from rtserver.access import Access
from rtserver.announcements import Announcer
from rtserver.api import routes
from rtserver.api.bodies import Reader
from rtserver.api.credentials import Keys, Owners
from rtserver.api.inboxes import inboxes
from rtserver.api.metrics import metrics
from rtserver.api.notifications import own
from rtserver.api.notify import notify
from rtserver.api.tokens import tokens
from rtserver.auth.grants import EVERYBODY, Grants
from rtserver.broker.base import Retention
from rtserver.broker.memory import MemoryBroker
from rtserver.config import schema
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
from rtserver.keeper import Keeper
from rtserver.node import Node
from rtserver.notifications import Notifications
from rtserver.protocol.errors import REASONS, SERVER_DRAINING, SERVER_ERROR, TOO_MANY_CONNECTIONS, RtError
from rtserver.protocol.identifiers import Clock
from rtserver.reports import Reporter
from rtserver.rooms.stream import Publication
from rtserver.roster import Roster
from rtserver.router import EVENTS, Router
from rtserver.store.base import StoreError
from rtserver.store.database import Database
from rtserver.store.lives import SqlLives
from rtserver.store.notifications import SqlInbox
from rtserver.store.outbox import SqlOutbox
from rtserver.store.revocations import SqlRevocations
from rtserver.telemetry import log
from rtserver.telemetry.exposition import Exposition, Labels, Standing
from rtserver.telemetry.metrics import Metrics
from rtserver.transport.engine import EngineServer
from rtserver.transport.lane import LaneLimits
from rtserver.transport.requests import Denial, Receive, Scope, Send, deny
from rtserver.version import __version__
from rtserver.vitals import Vitals
from rtserver.webhooks.dispatcher import Dispatcher, Settings
from rtserver.webhooks.targets import Bundling, Target

_log = log.logger("app")

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
        self.metrics = Metrics()
        self.engine = _engine(config)
        self.engine.admit = self._admit
        self.engine.refused = self.metrics.refused
        fanout = Fanout()
        grants = Grants(config.rooms)
        clock = Clock()
        self._database = Database(config.store.url)
        self._opening = asyncio.Lock()
        self.webhooks = _webhooks(config, self._database, clock, self.metrics)
        reporter = Reporter(self.webhooks.emitter)
        self._access = access = Access(config)
        self._revocations = SqlRevocations(self._database)
        self.node = _node(
            config, fanout, grants, clock, self.metrics, reporter, access.credentials, self._revocations
        )
        inbox, retention = SqlInbox(self._database), config.notifications.retention
        self._keeper = Keeper(inbox, retention.max_age, retention.max_count)
        self.notifications = _notifications(config, self.node, inbox, self._keeper, reporter)
        self.vitals = Vitals(
            self.webhooks.emitter,
            self.metrics,
            connections=lambda: self.node.connections,
            rooms=lambda: len(self.node.registry),
            status_interval=config.webhooks.status_interval,
            stats_interval=config.webhooks.stats_interval,
        )
        self._admission = Admission(config.limits.connections, now=0.0)
        self.sio = SocketIoServer(
            self.engine,
            self.node,
            Router(
                Context(self.node, grants, config.limits.rooms_per_client, self.notifications, access.hooks),
                config.limits,
            ),
            Members(fanout),
            Handshake(config.auth.mode, access.credentials, access.hooks),
            self._admission,
            config.engine.connect_timeout,
        )
        self._path = "/" + config.engine.path.strip("/")
        self._http = routes.build(
            unready=self._unready,
            demo=config.demo.enabled,
            resources=[*_resources(config, self.notifications, self.node), *self._metrics_page()],
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
        self.metrics.refused[denial.counted] += 1
        if scope["type"] == "websocket":
            await receive()  # websocket.connect
        await deny(scope, send, denial, [])

    async def drain(self, spread: float, step: float = 0.05) -> None:
        """Close every transport, in batches over *spread* seconds, so that the clients come back elsewhere."""
        self.draining = True
        self.vitals.stop()
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
            self._keeper.healthy = False
        await self.webhooks.start(self._open_store, self.node)
        self._keeper.start(self._open_store)
        self.vitals.start()
        self._access.start()

    async def _stop(self) -> None:
        self.vitals.stop()
        self.node.close()
        await self.webhooks.stop(LAST_DELIVERIES)
        await self._keeper.stop()
        await self._database.close()
        await self._access.close()
        await self.sio.shutdown()

    async def _open_store(self) -> None:
        async with self._opening:
            if not self._database.is_open:
                await self._database.open()
                await self.node.credentials.load(self._revocations)

    def _metrics_page(self) -> list[APIRouter]:
        config = self.config
        if not config.metrics.enabled:
            return []
        labels = Labels(
            events=EVENTS,
            reasons=[reason.reason for reason in REASONS],
            targets=[target.name for target in config.webhooks.targets],
        )
        info = {"node": _node_name(config), "version": __version__}
        page = Exposition(self.metrics, labels, self._standing, info)
        keys = _keys(config, open_to_all=not config.metrics.require_key)
        return [metrics(page, keys)]

    def _standing(self) -> Standing:
        node, webhooks = self.node, self.webhooks
        return Standing(
            sessions=len(self.engine.sockets),
            connections=node.connections,
            users=node.users,
            rooms=len(node.registry),
            members=node.registry.memberships,
            accepted=node.accepted,
            slow_consumers=self.engine.limits.evicted,
            dropped_volatile=self.engine.limits.dropped_volatile,
            webhook_pending=webhooks.pending,
            webhook_queue=webhooks.queued,
            ready=self._unready() is None,
        )

    def _unready(self) -> RtError | None:
        if self.draining:
            return RtError(SERVER_DRAINING, "the server is stopping")
        if not self.webhooks.healthy:
            return RtError(SERVER_ERROR, "the store cannot be written: webhooks wait in memory")
        if not self._keeper.healthy:
            return RtError(
                SERVER_ERROR, "the store cannot be written: inboxes can be neither filled nor read"
            )
        return None

    def _admit(self, scope: Scope) -> Denial | None:
        if self.draining:
            draining = RtError(SERVER_DRAINING, "the server is stopping")
            return _unavailable(draining, 1, counted=SERVER_DRAINING.reason)
        wait = self._admission.knock(asyncio.get_running_loop().time())
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


def _webhooks(config: Config, database: Database, clock: Clock, metrics: Metrics) -> Dispatcher:
    webhooks = config.webhooks
    return Dispatcher(
        [_target(target) for target in webhooks.targets],
        SqlOutbox(database),
        SqlLives(database),
        clock,
        metrics,
        Settings(
            node=_node_name(config),
            wait_for_commit=webhooks.ack == "committed" and database.durable,
            max_events=webhooks.queue.max_events,
            drop_oldest=webhooks.queue.overflow == "drop_oldest",
            lease=config.broker.lease,
        ),
    )


def _target(target: schema.Target) -> Target:
    batch = target.batch
    return Target(
        target.name,
        target.url,
        secrets=[secret.get_secret_value() for secret in target.secrets],
        events=target.events,
        rooms=target.rooms,
        bundling=Bundling(batch.max_events, batch.max_wait) if batch is not None else None,
        timeout=target.timeout,
        concurrency=target.concurrency,
        schedule=target.retry.schedule,
        jitter=target.retry.jitter,
        headers=target.headers,
    )


def _node(
    config: Config,
    fanout: Fanout,
    grants: Grants,
    clock: Clock,
    metrics: Metrics,
    reporter: Reporter,
    credentials: Credentials,
    revocations: SqlRevocations,
) -> Node:
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

    return Node(
        Roster(),
        fanout,
        MemoryBroker(deliver),
        retention,
        clock,
        metrics,
        reporter=reporter,
        announcer=Announcer(fanout, config.announce, lambda room: grants.policy(room).presence, clock),
        grace=config.recovery.grace if config.recovery.enabled else 0.0,
        credentials=credentials,
        revocations=revocations,
    )


def _notifications(
    config: Config, node: Node, inbox: SqlInbox, keeper: Keeper, reporter: Reporter
) -> Notifications:
    size, trusting = config.limits.message_size, config.auth.mode == "none"
    return Notifications(node, inbox, keeper, reporter, size, trusting=trusting)


def _resources(config: Config, notifications: Notifications, node: Node) -> list[APIRouter]:
    keys = _keys(config, open_to_all=config.auth.mode == "none")
    reader = Reader(config.engine.max_payload)
    verify = node.credentials.verify if config.auth.mode != "none" else None
    return [
        notify(notifications, keys, reader),
        inboxes(notifications, keys, reader),
        own(notifications, Owners(verify), reader),
        tokens(node, keys, reader),
    ]


def _keys(config: Config, *, open_to_all: bool) -> Keys:
    return Keys([key.get_secret_value() for key in config.api.keys], open_to_all=open_to_all)


def _node_name(config: Config) -> str:
    return config.server.name or socket.gethostname()


def _unavailable(error: RtError, wait: int, *, counted: str) -> Denial:
    """Return a refusal on HTTP level, after which socket.io-client tries again; a CONNECT_ERROR would end it."""
    later = [(b"retry-after", str(wait).encode())]
    return Denial(503, error.reason.code, error.message, later, counted=counted)
