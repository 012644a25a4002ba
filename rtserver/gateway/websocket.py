"""The gateway of plain WebSockets (``/ws…``): the same rooms, events and limits, without Socket.IO."""

from __future__ import annotations

import time
from collections.abc import Awaitable
from typing import Any

import orjson

from rtserver.client import Client
from rtserver.gateway.connection import NOTHING_SAID, Connection
from rtserver.gateway.desk import Desk
from rtserver.gateway.handshake import Introduction
from rtserver.gateway.members import MAIN
from rtserver.gateway.places import Place, place_of
from rtserver.gateway.plain_format import PLAIN, PlainFormat, written
from rtserver.gateway.plain_frames import ENVELOPE, Frame, read, unwrapped
from rtserver.protocol.errors import BAD_REQUEST, FORBIDDEN, REASONS, SERVER_ERROR, UNAUTHORIZED, RtError
from rtserver.protocol.names import normal_name
from rtserver.transport import plain, requests
from rtserver.transport.engine import EngineServer
from rtserver.transport.heartbeat import Heartbeat
from rtserver.transport.outbound import Outbound
from rtserver.transport.plain import PlainEvents, PlainSession
from rtserver.transport.requests import Receive, Scope, Send
from rtserver.transport.session import Session

_BY_CODE = {reason.code: reason for reason in REASONS}

_UPGRADE = [(b"upgrade", b"websocket"), (b"connection", b"upgrade")]


_NOWHERE = Place()


class PlainConnection(Connection):
    """One WebSocket: one client, in the main namespace, at a *place*. *problem* is what is wrong with its URL."""

    __slots__ = ("begun", "place", "problem")

    def __init__(self, session: Session, scope: Scope, environ: dict[str, Any]) -> None:
        super().__init__(session, environ)
        self.begun = False
        self.place = _NOWHERE
        self.problem: RtError | None = None
        try:
            self.place = place_of(scope)
        except RtError as error:
            self.problem = error
        if self.place.client_id is not None:
            self.query = {"client_id": self.place.client_id, **self.query}

    @property
    def client(self) -> Client | None:
        """The client, once it is known."""
        return self.clients.get(MAIN)

    def format(self, namespace: str) -> PlainFormat:
        """Return the one format there is."""
        return PLAIN


class WebSocketGateway(PlainEvents):
    """The gateway. With *trusting* a client without a token has an inbox, as in ``auth.mode: none``."""

    def __init__(self, engine: EngineServer, desk: Desk, environs: dict[str, Any], *, trusting: bool) -> None:
        self.connections: dict[str, PlainConnection] = {}
        self._engine = engine
        self._desk = desk
        self._environs = environs
        self._trusting = trusting
        self._heartbeat = Heartbeat(engine.ping_interval, engine.ping_timeout, self._ping)

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one WebSocket, or tell an HTTP request that this is the place for one (ASGI)."""
        if scope["type"] == "websocket":
            await plain.serve(self._engine, self, scope, receive, send)
            return
        error = RtError(BAD_REQUEST, "this is a WebSocket's address: connect with ws:// or wss://")
        body = orjson.dumps({"error": error.body()})
        await requests.respond(send, 426, body, _UPGRADE, b"application/json")

    @property
    def sessions(self) -> list[Session]:
        """All that are open."""
        return [connection.session for connection in self.connections.values()]

    def close(self) -> None:
        """Stop the timers."""
        self._heartbeat.close()

    # What the transport tells.

    def arriving(self, session: PlainSession, scope: Scope) -> None:
        """Know a connection whose handshake is about to be completed."""
        environ = requests.environ_of(scope)
        self.connections[session.sid] = PlainConnection(session, scope, environ)
        if self._desk.application.present:
            self._environs[session.sid] = environ

    def arrived(self, session: PlainSession) -> None:
        """Let the client in, unless it was faster."""
        connection = self.connections.get(session.sid)
        if connection is not None:
            self._begin(connection)

    def received(self, session: Session, data: str | bytes) -> None:
        """Take a frame; it is handled after those before it, and after the client was let in."""
        connection = self.connections.get(session.sid)
        if connection is None:
            return
        self._begin(connection)
        frame = read(data)
        if frame.event == ENVELOPE and not self._desk.application.takes(MAIN, ENVELOPE, ours=True):
            frame = unwrapped(frame)
        connection.do(self._handle, connection, frame)

    def ended(self, session: Session, reason: str) -> None:
        """Let go of a connection that is over."""
        connection = self.connections.pop(session.sid, None)
        self._environs.pop(session.sid, None)
        if reason == "transport error":
            self._desk.node.metrics.refused["malformed"] += 1
        if connection is not None:
            self._desk.close(connection, reason)

    def _begin(self, connection: PlainConnection) -> None:
        if connection.begun:
            return
        connection.begun = True
        self._heartbeat.watch(connection.session)
        job = self._desk.lobby.enter(connection, MAIN, {}, self)
        if job is not None:
            connection.do(job)
            connection.do(self._settle, connection)

    def _ping(self) -> Outbound:
        return Outbound.text(written({"type": "ping", "timestamp": self._desk.node.clock.timestamp()}))

    # Coming.

    def new_sid(self) -> str:
        """Return an id for one more client."""
        sid: str = self._engine.generate_id()
        return sid

    def examine(self, connection: Connection, who: Introduction) -> None:
        """Raise `RtError` for a URL that leads nowhere, to somebody else, or to an inbox that is not there."""
        assert isinstance(connection, PlainConnection)
        place = connection.place
        if connection.problem is not None:
            raise connection.problem
        if place.client_id is not None and not _is_called(
            who, connection.query["client_id"], place.client_id
        ):
            if who.identity is not None:
                raise RtError(FORBIDDEN, "client_id: the path names somebody else than the token")
            raise RtError(BAD_REQUEST, "client_id: the path and the query name two")
        if place.inbox and who.identity is None and not self._trusting:
            raise RtError(UNAUTHORIZED, "a token is required: guests have no inbox")

    def accept(self, client: Client, pid: str | None) -> None:
        """Say nothing: the welcome says it."""

    def refuse(self, connection: Connection, namespace: str, body: dict[str, Any]) -> None:
        """Close with the code of the refusal, or for an application's own words with ``unauthorized``."""
        error = body.get("data")
        if isinstance(error, dict) and error.get("code") in _BY_CODE:
            connection.session.close(error["code"], f"{error.get('reason')}: {error.get('message')}")
        else:
            connection.session.close(UNAUTHORIZED.code, f"{UNAUTHORIZED.reason}: {body.get('message')}")

    def _settle(self, connection: PlainConnection) -> Awaitable[Any] | None:
        """Bring a client that was let in to its place."""
        # It may live for days; what its URL said of it is known by now.
        connection.query = NOTHING_SAID
        arrival = connection.place.arrival()
        client = connection.client
        if arrival is None or client is None or not client.live:
            return None
        event, payload = arrival
        answer = self._desk.router.answer(client, event, [payload], 0, time.monotonic(), True)
        return self._settled(client, connection.place, answer)

    async def _settled(self, client: Client, place: Place, answering: Awaitable[Any]) -> None:
        answer = await answering
        if not answer["ok"]:
            error = answer["error"]
            reason = _BY_CODE.get(error["code"], SERVER_ERROR)
            self.dismiss(client, RtError(reason, error["message"], error.get("retry_after")))
        elif place.catch_up:
            client.emit("joined", {key: value for key, value in answer.items() if key != "ok"})

    # What clients say.

    def _handle(self, connection: PlainConnection, frame: Frame) -> Awaitable[Any] | None:
        client = connection.client
        if client is None or not client.live:
            return None
        if frame.problem is not None:
            self._desk.refuse(client, frame.event, frame.problem, frame.size, frame.id)
        elif frame.event == "pong":
            self._desk.hear(client, frame.size)
        elif frame.event == "ack":
            self._desk.hear(client, frame.size)
            number = frame.id if isinstance(frame.id, int) else 0
            self._desk.members.acknowledge(client, number, [frame.payload.get("data")])
        else:
            payload = connection.place.complete(frame.event, frame.payload)
            return self._desk.answer(client, frame.event, [payload], frame.size, frame.id)
        return None

    # Going.

    def dismiss(self, client: Client, error: RtError) -> None:
        """Send a client away: told why, then its connection is closed with the code of that."""
        connection = self.connections.get(client.session.sid)
        if connection is None or connection.client is not client:
            return
        if not client.live:
            # Its connect handler may still run; it finds itself forgotten.
            self._desk.lobby.forget(connection, client)
            return
        self._desk.say_goodbye(client, error)
        client.session.close(error.reason.code, error.reason.reason)

    def announce_end(self, sid: str, error: RtError) -> None:
        """Tell the client of a session why that is about to be closed."""
        self._desk.announce_end(self.connections.get(sid), error)


def _is_called(who: Introduction, said: str, named: str) -> bool:
    """Tell whether the client_id *named* in the path is the client's, and *said* in the query is no other."""
    if who.identity is None and said != named:
        return False
    if who.identity is None:
        # Chosen, or, where names are not to be chosen, not granted.
        return True
    try:
        return normal_name(named) == who.client_id
    except ValueError:
        return False
