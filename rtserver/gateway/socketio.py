"""The Socket.IO server: python-socketio's interface for applications, our own way of every packet.

Nothing of python-socketio's packet handling is reached from the wire. What it offers to code (``on``, ``emit``,
``call``, rooms, namespaces, sessions) works; what a client sends goes to the router, or to the handler that an
application registered for the event.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import socketio
from socketio import exceptions

from rtserver.client import Client
from rtserver.gateway import packets
from rtserver.gateway.admission import Admission
from rtserver.gateway.application import Application
from rtserver.gateway.connection import Connection
from rtserver.gateway.desk import CLIENT_DISCONNECT, SERVER_DISCONNECT, Desk
from rtserver.gateway.formats import form_of
from rtserver.gateway.handshake import Handshake, Introduction
from rtserver.gateway.lobby import Lobby
from rtserver.gateway.members import MAIN, Members
from rtserver.gateway.packets import Packet
from rtserver.gateway.recovery import Recovery
from rtserver.gateway.socketio_connection import SocketIoConnection
from rtserver.node import Node
from rtserver.protocol.errors import HANDSHAKE_TIMEOUT, KICKED, RtError
from rtserver.router import Router
from rtserver.transport.deadlines import Timer
from rtserver.transport.engine import EngineServer
from rtserver.transport.mailbox import DONE
from rtserver.transport.packets import MalformedPacket


class SocketIoServer(socketio.AsyncServer):  # type: ignore[misc]  # the library has no types
    """The gateway of socket.io-client. ``lobby`` is the way in, and ``desk`` serves who is in, for all gateways."""

    def __init__(
        self,
        engine: EngineServer,
        node: Node,
        router: Router,
        members: Members,
        handshake: Handshake,
        admission: Admission,
        recovery: Recovery,
        connect_timeout: float,
    ) -> None:
        self._engine = engine
        super().__init__(client_manager=members, logger=logging.getLogger("socketio.server"))
        self._node = node
        self._members = members
        self._application = Application(self)
        self._recovery = recovery
        self.lobby = Lobby(node, members, handshake, admission, self._application, recovery)
        self.desk = Desk(node, router, members, self._application, recovery, self.lobby)
        self._connections: dict[str, SocketIoConnection] = {}
        self._deadline: Timer[SocketIoConnection] = Timer(connect_timeout, self._give_up)

    def _engineio_server_class(self) -> Callable[..., EngineServer]:
        return lambda **options: self._engine

    # What the engine tells.

    def _handle_eio_connect(self, eio_sid: str, environ: dict[str, Any]) -> None:
        connection = self._connections[eio_sid] = SocketIoConnection(
            self._engine.sockets[eio_sid], environ, recovers=self._recovery.offered
        )
        if self._application.present:
            self.environ[eio_sid] = environ
        self._deadline.add(connection)

    def _handle_eio_message(self, eio_sid: str, data: str | bytes) -> Any:
        connection = self._connections.get(eio_sid)
        if connection is not None:
            packet = connection.read(data)
            if packet is not None:
                self._dispatch(connection, packet)
        return DONE

    def _handle_eio_disconnect(self, eio_sid: str, reason: str) -> Any:
        connection = self._connections.pop(eio_sid, None)
        self.environ.pop(eio_sid, None)
        if reason == "transport error":
            self._node.metrics.refused["malformed"] += 1
        if connection is not None:
            self.desk.close(connection, reason)
        return DONE

    def _give_up(self, connection: SocketIoConnection) -> None:
        # An application that took over the messages decides itself whom it accepts.
        ours = self._engine.handlers["message"] == self._handle_eio_message
        if ours and not connection.accepted and not connection.session.closed:
            self._node.metrics.refused[HANDSHAKE_TIMEOUT.reason] += 1
            connection.session.close(HANDSHAKE_TIMEOUT.code, HANDSHAKE_TIMEOUT.reason)

    # Coming.

    def new_sid(self) -> str:
        """Return an id for one more client."""
        sid: str = self._engine.generate_id()
        return sid

    def examine(self, connection: Connection, who: Introduction) -> None:
        """Have nothing against anybody."""

    def accept(self, client: Client, pid: str | None) -> None:
        """Send the CONNECT that says yes."""
        client.session.send(form_of(client).connect(client.sid, pid))

    def refuse(self, connection: Connection, namespace: str, body: dict[str, Any]) -> None:
        """Send the CONNECT_ERROR that says no."""
        assert isinstance(connection, SocketIoConnection)
        connection.session.send(connection.format(namespace).connect_error(body))

    # What clients say.

    def _dispatch(self, connection: SocketIoConnection, packet: Packet) -> None:
        client = connection.clients.get(packet.namespace)
        if packet.type == packets.EVENT and client is not None:
            connection.do(self._event, connection, client, packet)
        elif packet.type == packets.CONNECT:
            job = self.lobby.enter(connection, packet.namespace, packet.data or {}, self)
            if job is not None:
                connection.do(job)
        elif client is None:
            raise MalformedPacket(f"not connected to {packet.namespace[:64]}")
        elif packet.type == packets.ACK:
            self._members.acknowledge(client, packet.id or 0, packet.data)
        else:
            connection.do(self._goodbye, connection, client)

    def _event(self, connection: Connection, client: Client, packet: Packet) -> Awaitable[Any] | None:
        if connection.clients.get(client.namespace) is not client:
            return None
        return self.desk.answer(client, packet.data[0], packet.data[1:], packet.size, packet.id)

    def _goodbye(self, connection: SocketIoConnection, client: Client) -> None:
        """Take a DISCONNECT: the client leaves at once; its connection may join again, or end."""
        if connection.clients.get(client.namespace) is client:
            self.desk.remove(connection, client, CLIENT_DISCONNECT, farewell=True)
            # Its successor on this connection goes on with the tokens it left, not with a full bucket.
            connection.buckets = client.bucket, client.event_buckets
            self._deadline.add(connection)

    # Going.

    def dismiss(self, client: Client, error: RtError) -> None:
        """Send a client away: told why, then DISCONNECT unless it may come back, then its connection is closed."""
        connection = self._connections.get(client.session.sid)
        if connection is None or connection.clients.get(client.namespace) is not client:
            return
        if not client.live:
            # Its connect handler may still run; it finds itself forgotten.
            self.lobby.forget(connection, client)
            return
        self.desk.say_goodbye(client, error)
        if not error.reason.reconnect:
            client.session.send(form_of(client).disconnect())
        if client.namespace == MAIN or error.reason.reconnect:
            # socket.io-client comes back only after a connection that ended, not after a namespace that did.
            client.session.close(error.reason.code, error.reason.reason)
        else:
            self.desk.remove(connection, client, SERVER_DISCONNECT, farewell=True)

    def announce_end(self, eio_sid: str, error: RtError) -> None:
        """Tell every client of a connection why it is about to be closed."""
        self.desk.announce_end(self._connections.get(eio_sid), error)

    # What applications call, where python-socketio's own way would do something else than it says.

    async def emit(
        self,
        event: str,
        data: Any = None,
        to: Any = None,
        room: Any = None,
        skip_sid: Any = None,
        namespace: str | None = None,
        callback: Callable[..., Any] | None = None,
        ignore_queue: bool = False,
    ) -> None:
        """Emit as python-socketio does, except that an empty target (``to=[]``, ``room=""``) is nobody."""
        target = to if to is not None else room
        if target is None or target:
            await self._members.emit(event, data, namespace or MAIN, target, skip_sid, callback)

    async def call(
        self,
        event: str,
        data: Any = None,
        to: str | None = None,
        sid: str | None = None,
        namespace: str | None = None,
        timeout: float = 60,  # noqa: ASYNC109  # python-socketio's signature
        ignore_queue: bool = False,
    ) -> Any:
        """Emit to one client and return its acknowledgement.

        Raises `socketio.exceptions.TimeoutError` when none came in time, and at once when the client is gone.
        """
        client = self._members.client(to or sid, namespace)
        if client is None:
            raise exceptions.TimeoutError
        future: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        ack_id = self._members.expect(client, future)
        args = data if isinstance(data, tuple) else () if data is None else (data,)
        try:
            client.session.send(client.format.event(event, args, ack_id))
            values = await asyncio.wait_for(future, timeout)
        except TimeoutError:
            raise exceptions.TimeoutError from None
        finally:
            if client.acks is not None:
                client.acks.pop(ack_id, None)
        return values[0] if len(values) == 1 else tuple(values) if values else None

    async def disconnect(self, sid: str, namespace: str | None = None, ignore_queue: bool = False) -> None:
        """Disconnect a client for good, its connection too when it is in the main namespace."""
        client = self._members.client(sid, namespace)
        if client is not None:
            self.dismiss(client, RtError(KICKED, "disconnected by the server"))
        if (namespace or MAIN) == MAIN:
            self._node.away.forget(sid)

    async def get_session(self, sid: str, namespace: str | None = None) -> dict[str, Any]:
        """Return the application's dictionary for a client; raise `KeyError` for an unknown one."""
        client = self._members.client(sid, namespace)
        if client is None:
            raise KeyError("Session not found")
        if client.data is None:
            client.data = {}
        return client.data

    async def save_session(self, sid: str, session: dict[str, Any], namespace: str | None = None) -> None:
        """Store the application's dictionary for a client; raise `KeyError` for an unknown one."""
        client = self._members.client(sid, namespace)
        if client is None:
            raise KeyError("Session not found")
        client.data = dict(session)

    def sid_of(self, eio_sid: str, namespace: str) -> str | None:
        """Return the sid that an Engine.IO session has in a namespace."""
        connection = self._connections.get(eio_sid)
        client = connection.clients.get(namespace) if connection is not None else None
        return client.sid if client is not None else None

    async def shutdown(self) -> None:
        """Stop the timers."""
        self._deadline.close()
        self.lobby.close()
        await super().shutdown()
