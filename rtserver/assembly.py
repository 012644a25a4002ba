"""The composition root: a configuration becomes wired objects.

The only module that names implementations; everything else is given what it needs.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection
from functools import lru_cache, partial

from rtserver.access import Access
from rtserver.announcements import Announcer
from rtserver.api.bodies import Reader
from rtserver.api.clients import clients
from rtserver.api.credentials import Keys, Owners
from rtserver.api.deliveries import deliveries
from rtserver.api.documents import documents
from rtserver.api.inboxes import inboxes
from rtserver.api.metrics import metrics
from rtserver.api.notifications import own
from rtserver.api.notify import notify
from rtserver.api.publications import publications
from rtserver.api.resource import Resource
from rtserver.api.rooms import rooms
from rtserver.api.tokens import tokens
from rtserver.api.users import users
from rtserver.auth.grants import EVERYBODY, Grants
from rtserver.away import Away
from rtserver.broker.base import Delivery, Retention
from rtserver.broker.memory import MemoryBroker
from rtserver.config import schema
from rtserver.config.schema import Config
from rtserver.directory import Directory
from rtserver.fanout import Fanout, Message
from rtserver.gateway.admission import Admission
from rtserver.gateway.formats import json_format
from rtserver.gateway.handshake import Handshake
from rtserver.gateway.kept import record
from rtserver.gateway.members import Members
from rtserver.gateway.recovery import Recovery
from rtserver.gateway.socketio import SocketIoServer
from rtserver.gateway.websocket import WebSocketGateway
from rtserver.handlers.base import Context
from rtserver.ingest.desk import Desk
from rtserver.ingest.ledger import Ledger, Name
from rtserver.ingest.source import Reader as SourceReader
from rtserver.ingest.source import Source
from rtserver.ingest.sources import Sources
from rtserver.keeper import Keeper
from rtserver.node import Node
from rtserver.notifications import Notifications
from rtserver.protocol.errors import REASONS
from rtserver.protocol.identifiers import Clock
from rtserver.publishing import Publishing
from rtserver.reports import Reporter
from rtserver.rooms.stream import Publication
from rtserver.rooms.tape import Tape
from rtserver.roster import Roster
from rtserver.router import EVENTS, Router
from rtserver.store.lives import SqlLives
from rtserver.store.notifications import SqlInbox
from rtserver.store.opening import database_at
from rtserver.store.outbox import SqlOutbox
from rtserver.store.revocations import SqlRevocations
from rtserver.store.steering import SqlSteering
from rtserver.telemetry.exposition import Exposition, Labels, Standing
from rtserver.telemetry.metrics import Metrics
from rtserver.transport.engine import EngineServer
from rtserver.transport.lane import LaneLimits
from rtserver.transport.outbound import Outbound
from rtserver.version import __version__
from rtserver.vitals import Vitals
from rtserver.webhooks.dispatcher import Dispatcher, Settings
from rtserver.webhooks.targets import Bundling, Target

# What the log for recovery may hold in all, in bytes.
MAX_TAPE = 64 * 1024 * 1024


class Assembly:
    """Every part of a server, made from *config* and wired, bottom up. Nothing runs yet, and nothing is open."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.metrics = Metrics()
        self.clock = Clock()
        self.database = database_at(config.store.url, config.broker.lease)
        self.revocations = SqlRevocations(self.database)
        self.access = Access(config)
        self.grants = Grants(config.rooms)
        self.engine = _engine(config)
        self.engine.refused = self.metrics.refused
        self.admission = Admission(config.limits.connections, now=0.0)
        self.fanout = Fanout(_tape(config), json_format("/", offsets=True))
        self.broker = _broker(self.fanout, self._hand_out)
        self.webhooks = self._webhooks()
        self.reporter = Reporter(self.webhooks.emitter)
        self.node = self._node()
        inbox, retention = SqlInbox(self.database), config.notifications.retention
        self.keeper = Keeper(inbox, retention.max_age, retention.max_count)
        self.notifications = Notifications(
            self.node,
            inbox,
            self.keeper,
            self.reporter,
            config.limits.message_size,
            trusting=config.auth.mode == "none",
        )
        self.publishing = Publishing(self.node, config.limits.message_size)
        self.sources = self._sources()
        self.vitals = Vitals(
            self.webhooks.emitter,
            self.metrics,
            connections=lambda: self.node.connections,
            rooms=lambda: len(self.node.registry),
            status_interval=config.webhooks.status_interval,
            stats_interval=config.webhooks.stats_interval,
        )
        self.context = Context(
            self.node, self.grants, config.limits.rooms_per_client, self.notifications, self.access.hooks
        )
        self.sio = self._sio()
        self.websocket = WebSocketGateway(
            self.engine, self.sio.desk, self.sio.environ, trusting=config.auth.mode == "none"
        )

    def resources(self, ready: Callable[[], bool]) -> list[Resource]:
        """Return the HTTP API; what is asked for most often comes first. *ready* says whether clients should come."""
        config, node = self.config, self.node
        open_to_all = config.auth.mode == "none"
        keys = _keys(config, open_to_all=open_to_all)
        reader = Reader(config.engine.max_payload)
        verify = None if open_to_all else node.credentials.verify
        directory, key = Directory(node), keys.check
        targets = [target.name for target in config.webhooks.targets]
        return [
            publications(self.publishing, reader, key),
            rooms(directory, key),
            clients(directory, self.context, reader, key),
            users(directory, node, reader, key),
            deliveries(SqlSteering(self.database), targets, key),
            notify(self.notifications, keys, reader),
            inboxes(self.notifications, keys, reader),
            own(self.notifications, Owners(verify), reader),
            tokens(node, keys, reader),
            *self._metrics_page(ready),
            documents(open_to_all=open_to_all),
        ]

    def _hand_out(self, stream: str | None, message: Message, skip: Collection[str]) -> int:
        # The node is made after its broker.
        return self.node.hand_out(stream, message, skip)

    def _metrics_page(self, ready: Callable[[], bool]) -> list[Resource]:
        config = self.config
        if not config.metrics.enabled:
            return []
        labels = Labels(
            events=EVENTS,
            reasons=[reason.reason for reason in REASONS],
            targets=[target.name for target in config.webhooks.targets],
        )
        info = {"node": _node_name(config), "version": __version__}
        page = Exposition(self.metrics, labels, lambda: self._standing(ready=ready()), info)
        return [metrics(page, _keys(config, open_to_all=not config.metrics.require_key).check)]

    def _standing(self, *, ready: bool) -> Standing:
        node, webhooks = self.node, self.webhooks
        return Standing(
            sessions=len(self.engine.sockets) + len(self.websocket.connections),
            connections=node.connections,
            users=node.users,
            rooms=len(node.registry),
            members=node.registry.memberships,
            accepted=node.accepted,
            slow_consumers=self.engine.limits.evicted,
            dropped_volatile=self.engine.limits.dropped_volatile,
            webhook_pending=webhooks.pending,
            webhook_queue=webhooks.queued,
            ready=ready,
        )

    def _webhooks(self) -> Dispatcher:
        webhooks = self.config.webhooks
        return Dispatcher(
            [_target(target) for target in webhooks.targets],
            SqlOutbox(self.database),
            SqlLives(self.database),
            self.clock,
            self.metrics,
            Settings(
                node=_node_name(self.config),
                wait_for_commit=webhooks.ack == "committed" and self.database.durable,
                max_events=webhooks.queue.max_events,
                drop_oldest=webhooks.queue.overflow == "drop_oldest",
                lease=self.config.broker.lease,
            ),
        )

    def _node(self) -> Node:
        config, grants = self.config, self.grants

        @lru_cache(maxsize=4096)
        def retention(room: str | None) -> Retention:
            history = grants.policy(room if room is not None else EVERYBODY).history
            return Retention(history.size, history.ttl)

        return Node(
            Roster(),
            self.fanout,
            self.broker,
            retention,
            self.clock,
            self.metrics,
            reporter=self.reporter,
            announcer=Announcer(
                self.fanout, config.announce, lambda room: grants.policy(room).presence, self.clock
            ),
            grace=config.recovery.grace if config.recovery.enabled else 0.0,
            away=Away(self.fanout.tape, config.recovery.window),
            credentials=self.access.credentials,
            revocations=self.revocations,
        )

    def _sources(self) -> Sources:
        desk = Desk(self.publishing, self.webhooks.recorded, self.config.engine.max_payload)
        ingest = self.config.ingest
        kafka = [
            _source("kafka", source.name, self.metrics, partial(_kafka, source, desk))
            for source in ingest.kafka
        ]
        postgres = [
            _source("postgres", source.name, self.metrics, partial(_postgres, source, desk))
            for source in ingest.postgres
        ]
        return Sources([*kafka, *postgres])

    def _sio(self) -> SocketIoServer:
        config = self.config
        return SocketIoServer(
            self.engine,
            self.node,
            Router(self.context, config.limits),
            Members(self.fanout, self.node.away),
            Handshake(config.auth.mode, self.access.credentials, self.access.hooks),
            self.admission,
            Recovery(self.context, _most_at_once(config)),
            config.engine.connect_timeout,
        )


def _source(kind: str, name: str, metrics: Metrics, reader: Callable[[Ledger], SourceReader]) -> Source:
    ledger = Ledger(Name(kind, name), metrics)
    return Source(reader(ledger), ledger)


# Who reads no stream needs none of these packages, nor the time to load them.


def _kafka(source: schema.KafkaSource, desk: Desk, ledger: Ledger) -> SourceReader:
    from rtserver.ingest.kafka import KafkaReader  # noqa: PLC0415

    return KafkaReader(source, desk, ledger)


def _postgres(source: schema.PostgresSource, desk: Desk, ledger: Ledger) -> SourceReader:
    if source.table is not None:
        from rtserver.ingest.outbox import OutboxReader  # noqa: PLC0415

        return OutboxReader(source.dsn, source.table, desk, ledger)
    from rtserver.ingest.postgres import NotifyReader  # noqa: PLC0415

    assert source.channel is not None
    return NotifyReader(source.dsn, source.channel, desk, ledger)


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


def _broker(fanout: Fanout, hand_out: Callable[[str | None, Message, Collection[str]], int]) -> MemoryBroker:
    form = json_format("/", offsets=fanout.tape is not None)

    def deliver(room: str | None, publication: Publication, skip: Collection[str]) -> Delivery:
        message = Message(publication.event, publication.payload)
        # What nobody hears now is heard from the history: it must be sound as well.
        fanout.stamp(message)
        out = message.encoded(form)
        return Delivery(hand_out(room, message, skip), record(publication, out))

    return MemoryBroker(deliver)


def _tape(config: Config) -> Tape[bytes | Outbound] | None:
    """Return the log for recovery. It keeps what a client missed from before its line was known to be cut."""
    recovery, engine = config.recovery, config.engine
    if not (recovery.enabled and recovery.window):
        return None
    unnoticed = engine.ping_interval + engine.ping_timeout + engine.send_buffer.stall
    return Tape(recovery.max_messages, MAX_TAPE, recovery.window + unnoticed, most=_most_at_once(config))


def _most_at_once(config: Config) -> int:
    """Return how many bytes a client may be given back: for too many it would be cut, and come back for more."""
    return config.engine.send_buffer.max_bytes // 2


def _keys(config: Config, *, open_to_all: bool) -> Keys:
    return Keys([key.get_secret_value() for key in config.api.keys], open_to_all=open_to_all)


def _node_name(config: Config) -> str:
    return config.server.name or socket.gethostname()
