"""The Socket.IO server: python-socketio's interface for applications, our own way of every packet.

Nothing of python-socketio's packet handling is reached from the wire. What it offers to code (``on``, ``emit``,
``call``, rooms, namespaces, sessions) works; what a client sends goes to the router, or to the handler that an
application registered for the event.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import socketio
from socketio import exceptions

from rtserver.client import Client
from rtserver.gateway import packets
from rtserver.gateway.admission import Admission
from rtserver.gateway.connection import Connection
from rtserver.gateway.formats import form_of, json_format
from rtserver.gateway.handshake import Handshake
from rtserver.gateway.members import MAIN, Members
from rtserver.gateway.packets import Packet
from rtserver.node import Node
from rtserver.protocol.errors import (
    HANDSHAKE_TIMEOUT,
    KICKED,
    SERVER_ERROR,
    UNAUTHORIZED,
    RtError,
)
from rtserver.router import Router
from rtserver.telemetry.log import logger
from rtserver.transport.deadlines import Timer
from rtserver.transport.engine import EngineServer
from rtserver.transport.mailbox import DONE, carry_on
from rtserver.transport.packets import MalformedPacket

_log = logger("gateway")

OnConnect = Callable[[Client, dict[str, Any]], Awaitable[None]]

# How long a connection whose client was refused stays, for the refusal to arrive and for another namespace to join.
REFUSED_LINGER = 1.0
# How often one connection may ask to join namespaces.
MAX_ATTEMPTS = 32
# How long a handler may go on for a client that is gone.
LAST_WORK = 10.0


class SocketIoServer(socketio.AsyncServer):  # type: ignore[misc]  # the library has no types
    """The gateway of socket.io-client. `hooks` run after a client was told that it is connected."""

    def __init__(
        self,
        engine: EngineServer,
        node: Node,
        router: Router,
        members: Members,
        handshake: Handshake,
        admission: Admission,
        connect_timeout: float,
    ) -> None:
        self._engine = engine
        super().__init__(client_manager=members, logger=logging.getLogger("socketio.server"))
        self.hooks: list[OnConnect] = []
        self._node = node
        self._router = router
        self._members = members
        self._handshake = handshake
        self._admission = admission
        self._connections: dict[str, Connection] = {}
        self._deadline: Timer[str] = Timer(connect_timeout, self._give_up)
        self._refused: Timer[str] = Timer(REFUSED_LINGER, self._close_refused)

    def _engineio_server_class(self) -> Callable[..., EngineServer]:
        return lambda **options: self._engine

    # What the engine tells.

    def _handle_eio_connect(self, eio_sid: str, environ: dict[str, Any]) -> None:
        self._connections[eio_sid] = Connection(self._engine.sockets[eio_sid], environ)
        self._deadline.add(eio_sid)

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
        if connection is not None:
            for client in list(connection.clients.values()):
                self._remove(connection, client, reason, farewell=reason == "server disconnect")
        return DONE

    def _dispatch(self, connection: Connection, packet: Packet) -> None:
        if packet.type == packets.CONNECT:
            self._connect(connection, packet)
            return
        client = connection.clients.get(packet.namespace)
        if client is None:
            raise MalformedPacket(f"not connected to {packet.namespace[:64]}")
        if packet.type == packets.EVENT:
            self._queue(connection, partial(self._event, connection, client, packet))
        elif packet.type == packets.ACK:
            self._members.acknowledge(client, packet.id or 0, packet.data)
        else:
            self._queue(connection, partial(self._goodbye, connection, client))

    def _queue(self, connection: Connection, job: Callable[[], Awaitable[Any] | None]) -> None:
        """Run a job now, or after those of this connection that are not done yet."""
        mailbox = connection.busy_mailbox()
        if mailbox is not None:
            mailbox.put(job)
            return
        rest = job()
        if rest is not None:
            connection.open_mailbox().run(rest)

    # Events.

    def _event(self, connection: Connection, client: Client, packet: Packet) -> Awaitable[Any] | None:
        if connection.clients.get(client.namespace) is not client:
            return None
        event, args = packet.data[0], packet.data[1:]
        if self._is_custom(client.namespace, event):
            return self._custom(client, event, args, packet.id)
        now = asyncio.get_running_loop().time()
        answer = self._router.answer(client, event, args, packet.size, now, packet.id is not None)
        # Most handlers never wait: stepped here they are done, without a task.
        try:
            awaited = answer.send(None)
        except StopIteration as stop:
            self._acknowledge(client, packet.id, stop.value)
            return None
        return self._finish(answer, awaited, client, packet.id)

    async def _finish(self, answer: Any, awaited: Any, client: Client, ack_id: int | None) -> None:
        self._acknowledge(client, ack_id, await carry_on(answer, awaited))

    def _acknowledge(self, client: Client, ack_id: int | None, answer: dict[str, Any] | None) -> None:
        if ack_id is not None and answer is not None:
            try:
                client.session.send(form_of(client).ack(ack_id, [answer]))
            except (TypeError, ValueError):
                client.log.exception("an answer could not be written")

    def _is_custom(self, namespace: str, event: Any) -> bool:
        """Tell whether an application takes the event: it comes before ours, its catch-all after."""
        if namespace != MAIN:
            return True
        if not isinstance(event, str):
            return False
        if event in self.handlers.get(MAIN, ()):
            return True
        if hasattr(self.namespace_handlers.get(MAIN), f"on_{event}"):
            return True
        return not self._router.knows(event) and self._has_handler(event)

    def _has_handler(self, event: str) -> bool:
        known = [*self.handlers.get(MAIN, ()), *self.handlers.get("*", ())]
        return event in known or "*" in known or "*" in self.namespace_handlers

    async def _custom(self, client: Client, event: Any, args: list[Any], ack_id: int | None) -> None:
        try:
            self._router.check_rate(client, asyncio.get_running_loop().time())
            result = await self._trigger_event(event, client.namespace, client.sid, *args)
        except RtError as error:
            self._acknowledge(client, ack_id, self._router.refuse(client, event, error, ack_id is not None))
            return
        except Exception:
            client.log.exception("an application's handler failed", event_name=event)
            refusal = RtError(SERVER_ERROR, "the handler failed")
            self._acknowledge(client, ack_id, self._router.refuse(client, event, refusal, ack_id is not None))
            return
        if ack_id is not None and result is not self.not_handled:
            values = [] if result is None else list(result) if isinstance(result, tuple) else [result]
            client.session.send(form_of(client).ack(ack_id, values))

    # Coming.

    def _connect(self, connection: Connection, packet: Packet) -> None:
        connection.attempts += 1
        if packet.namespace in connection.clients or connection.attempts > MAX_ATTEMPTS:
            raise MalformedPacket("one CONNECT per namespace")
        form = json_format(packet.namespace)
        if not self._exists(packet.namespace):
            connection.session.send(form.connect_error({"message": "Invalid namespace"}))
            self._refused.add(connection.session.sid)
            return
        auth = packet.data or {}
        try:
            who = self._handshake.introduce(auth, connection.query, time.time())
            self._admission.enter(who.client_id, connection.ip)
        except RtError as error:
            self._refuse(connection, packet.namespace, error)
            return
        client = Client(
            self._engine.generate_id(),
            who.client_id,
            who.name,
            connection.session,
            form,
            self,
            namespace=packet.namespace,
            identity=who.identity,
            ip=connection.ip,
        )
        connection.clients[packet.namespace] = client
        self._members.add(client)
        self._queue(connection, partial(self._begin, connection, client, auth))

    def _exists(self, namespace: str) -> bool:
        known = (self.handlers, self.namespace_handlers)
        return namespace == MAIN or any(namespace in names or "*" in names for names in known)

    def _begin(self, connection: Connection, client: Client, auth: dict[str, Any]) -> Awaitable[None] | None:
        accepting = self._accept(connection, client, auth)
        if self.handlers or self.namespace_handlers or self.hooks:
            return accepting
        # Without code of an application nothing here waits, and a task is spared.
        try:
            awaited = accepting.send(None)
        except StopIteration:
            return None
        return carry_on(accepting, awaited)

    async def _accept(self, connection: Connection, client: Client, auth: dict[str, Any]) -> None:
        if connection.environ is not None and (self.handlers or self.namespace_handlers):
            self.environ[connection.session.sid] = connection.environ
        refusal = await self._ask(connection, client, auth)
        if connection.clients.get(client.namespace) is not client:
            if refusal is None and not connection.session.closed:
                # The application disconnected it inside its own connect handler.
                self._refuse(connection, client.namespace, RtError(KICKED, "refused by the application"))
            return
        if refusal is not None:
            self._forget(connection, client)
            connection.session.send(form_of(client).connect_error(refusal))
            self._refused.add(connection.session.sid)
            return
        connection.session.send(form_of(client).connect(client.sid))
        if client.namespace == MAIN:
            await self._node.connect(client)
        else:
            self._members.admit(client)
        connection.release_handshake()
        await self._run_hooks(client, auth)

    async def _ask(self, connection: Connection, client: Client, auth: dict[str, Any]) -> dict[str, Any] | None:
        """Let the application's connect handler judge; return the CONNECT_ERROR's body when it says no."""
        try:
            verdict = await self._trigger_connect(connection, client, auth)
        except exceptions.ConnectionRefusedError as error:
            return dict(error.error_args)
        except ConnectionRefusedError:
            return {"message": "Connection refused by server"}
        except RtError as error:
            return _refusal(error)
        except Exception:
            client.log.exception("the application's connect handler failed")
            return _refusal(RtError(SERVER_ERROR, "the connect handler failed"))
        return _refusal(RtError(UNAUTHORIZED, "refused by the application")) if verdict is False else None

    async def _trigger_connect(self, connection: Connection, client: Client, auth: dict[str, Any]) -> Any:
        args: tuple[Any, ...] = (client.sid, connection.environ or {}, auth or None)
        handler, _ = self._get_event_handler("connect", client.namespace, args)
        if handler is None:
            owner, _ = self._get_namespace_handler(client.namespace, args)
            handler = getattr(owner, "on_connect", None)
        if handler is not None and not _takes(handler, 3):
            args = args[:2]
        return await self._trigger_event("connect", client.namespace, *args)

    async def _run_hooks(self, client: Client, auth: dict[str, Any]) -> None:
        for hook in self.hooks:
            try:
                await hook(client, auth)
            except RtError as error:
                self.dismiss(client, error)
                return
            except Exception:
                client.log.exception("an on_connect hook failed")
                self.dismiss(client, RtError(KICKED, "refused by the application"))
                return

    def _refuse(self, connection: Connection, namespace: str, error: RtError) -> None:
        self._node.metrics.refused[error.reason.reason] += 1
        _log.info("client refused", reason=error.reason.reason, why=error.message, ip=connection.ip)
        connection.session.send(json_format(namespace).connect_error(_refusal(error)))
        self._refused.add(connection.session.sid)

    def _give_up(self, eio_sid: str) -> None:
        connection = self._connections.get(eio_sid)
        if connection is not None and not connection.accepted:
            connection.session.close(HANDSHAKE_TIMEOUT.code, HANDSHAKE_TIMEOUT.reason)

    def _close_refused(self, eio_sid: str) -> None:
        connection = self._connections.get(eio_sid)
        if connection is not None and not connection.clients:
            connection.session.close(UNAUTHORIZED.code, "refused")

    # Going.

    def _goodbye(self, connection: Connection, client: Client) -> None:
        """Take a DISCONNECT: the client leaves at once; its connection may join again, or end."""
        if connection.clients.get(client.namespace) is client:
            self._remove(connection, client, self.reason.CLIENT_DISCONNECT, farewell=True)
            self._deadline.add(connection.session.sid)

    def dismiss(self, client: Client, error: RtError) -> None:
        """Send a client away: told why, then DISCONNECT unless it may come back, then its connection is closed."""
        connection = self._connections.get(client.session.sid)
        if connection is None or connection.clients.get(client.namespace) is not client:
            return
        if not client.live:
            self._forget(connection, client)
            return
        client.emit("disconnecting_by_server", error.farewell())
        if not error.reason.reconnect:
            client.session.send(form_of(client).disconnect())
        if client.namespace == MAIN:
            client.session.close(error.reason.code, error.reason.reason)
        else:
            self._remove(connection, client, self.reason.SERVER_DISCONNECT, farewell=True)

    def announce_end(self, eio_sid: str, error: RtError) -> None:
        """Tell every client of a connection why it is about to be closed."""
        connection = self._connections.get(eio_sid)
        for client in connection.clients.values() if connection is not None else ():
            if client.live:
                client.emit("disconnecting_by_server", error.farewell())

    def _remove(self, connection: Connection, client: Client, reason: str, *, farewell: bool) -> None:
        """Let go of a client: nothing reaches it any more, then the application hears, then it is forgotten."""
        was_live = client.live
        if not was_live:
            # Its connect handler may still run; it finds itself forgotten.
            self._forget(connection, client)
            return
        if client.namespace == MAIN:
            going = self._node.part(client, reason) if farewell else self._node.lose(client, reason)
            _run_through(going)
        else:
            self._members.silence(client)
        del connection.clients[client.namespace]
        self._admission.exit(client.client_id, client.ip)
        if not (self.handlers or self.namespace_handlers):
            self._members.remove(client)
            return
        self._queue(connection, partial(self._tell_gone, client, reason))
        mailbox = connection.busy_mailbox()
        if mailbox is not None and connection.session.closed:
            asyncio.get_running_loop().call_later(LAST_WORK, mailbox.cancel)

    async def _tell_gone(self, client: Client, reason: str) -> None:
        try:
            await self._trigger_event("disconnect", client.namespace, client.sid, reason)
        except Exception:
            client.log.exception("the application's disconnect handler failed")
        finally:
            self._members.remove(client)

    def _forget(self, connection: Connection, client: Client) -> None:
        connection.clients.pop(client.namespace, None)
        self._members.remove(client)
        self._admission.exit(client.client_id, client.ip)

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
        client.session.send(client.format.event(event, args, ack_id))
        try:
            values = await asyncio.wait_for(future, timeout)
        except asyncio.TimeoutError:
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
        (await self.get_session(sid, namespace)).clear()
        (await self.get_session(sid, namespace)).update(session)

    def sid_of(self, eio_sid: str, namespace: str) -> str | None:
        """Return the sid that an Engine.IO session has in a namespace."""
        connection = self._connections.get(eio_sid)
        client = connection.clients.get(namespace) if connection is not None else None
        return client.sid if client is not None else None

    async def shutdown(self) -> None:
        """Stop the timers."""
        self._deadline.close()
        self._refused.close()
        await super().shutdown()


def _refusal(error: RtError) -> dict[str, Any]:
    return {"message": error.reason.reason, "data": error.farewell()}


def _takes(handler: Callable[..., Any], count: int) -> bool:
    """Tell whether a connect handler takes the ``auth`` argument; older ones do not."""
    try:
        inspect.signature(handler).bind(*range(count))
    except TypeError:
        return False
    return True


def _run_through(coroutine: Any) -> None:
    """Run a verb that cannot wait on this node; one that does goes on as a task."""
    try:
        awaited = coroutine.send(None)
    except StopIteration:
        return
    asyncio.ensure_future(carry_on(coroutine, awaited))
