"""The way in, for every protocol: from a knock to an accepted client, or to a refusal that leaves nothing behind."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, NamedTuple, Protocol

from rtserver.auth.keyset import UnknownKeyError
from rtserver.away import Absent
from rtserver.client import Client, Gateway
from rtserver.gateway.admission import Admission
from rtserver.gateway.application import Application, refusal, uncancelled
from rtserver.gateway.connection import Connection
from rtserver.gateway.handshake import Handshake, Introduction
from rtserver.gateway.members import MAIN, Members
from rtserver.gateway.recovery import Claim, Recovery, belongs_to
from rtserver.node import Node
from rtserver.protocol.errors import KICKED, UNAUTHORIZED, RtError
from rtserver.telemetry.log import logger
from rtserver.transport.deadlines import Timer
from rtserver.transport.mailbox import carry_on
from rtserver.transport.packets import MalformedPacket

_log = logger("gateway")

Job = Callable[[], Awaitable[None] | None]
OnConnect = Callable[[Client, dict[str, Any]], Awaitable[None]]

# How long a connection whose client was refused stays, for the refusal to arrive and for another namespace to join.
REFUSED_LINGER = 1.0
# How often one connection may ask to join namespaces.
MAX_ATTEMPTS = 32


class Entrance(Gateway, Protocol):
    """The gateway that somebody comes through: how its protocol says yes and no."""

    def new_sid(self) -> str:
        """Return an id for one more client."""

    def examine(self, connection: Connection, who: Introduction) -> None:
        """Raise `RtError` for what this entrance has against somebody who would be let in otherwise."""

    def accept(self, client: Client, pid: str | None) -> None:
        """Tell the client that it is connected; with *pid* it can recover."""

    def refuse(self, connection: Connection, namespace: str, body: dict[str, Any]) -> None:
        """Tell somebody that it is not: *body* has ``message``, and ``data``, by default code and reason."""


class _Entry(NamedTuple):
    """Somebody at the door, and what it says of itself."""

    connection: Connection
    namespace: str
    said: dict[str, Any]
    gateway: Entrance

    @property
    def recovers(self) -> bool:
        """Tell whether it may ask for a session that it had."""
        return self.connection.recovers and self.namespace == MAIN

    @property
    def auth(self) -> dict[str, Any]:
        """The same without the private id, which is between its library and us, not for applications or backends."""
        if not self.recovers:
            return self.said
        return {key: value for key, value in self.said.items() if key not in ("pid", "offset")}


class Lobby:
    """Accepts clients. *hooks* run after a client was told that it is connected."""

    def __init__(
        self,
        node: Node,
        members: Members,
        handshake: Handshake,
        admission: Admission,
        application: Application,
        recovery: Recovery,
    ) -> None:
        self.hooks: list[OnConnect] = []
        self._node = node
        self._members = members
        self._handshake = handshake
        self._admission = admission
        self._application = application
        self._recovery = recovery
        self._refused: Timer[Connection] = Timer(REFUSED_LINGER, _close_refused)

    def enter(
        self, connection: Connection, namespace: str, said: dict[str, Any], gateway: Entrance
    ) -> Job | None:
        """Begin with a knock; return the job that goes on, None when the client is refused already.

        From here on the client is known as one being accepted, except one whom others have to be asked about first.
        Raises `MalformedPacket` for a second CONNECT.
        """
        connection.attempts += 1
        if namespace in connection.clients or connection.attempts > MAX_ATTEMPTS:
            raise MalformedPacket("one CONNECT per namespace")
        entry = _Entry(connection, namespace, said, gateway)
        if not self._application.has_namespace(namespace):
            self._node.metrics.refused["namespace"] += 1
            self._tell(entry, {"message": "Invalid namespace"})
            return None
        try:
            who = self._introduce(entry)
        except UnknownKeyError as unknown:
            return partial(self._enter_slowly, entry, unknown)
        except RtError as error:
            self._refuse(entry, error)
            return None
        if self._handshake.asks or self._doubtful(entry, who) is not None:
            return partial(self._enter_slowly, entry, None)
        return self._admit(entry, who)

    async def _enter_slowly(self, entry: _Entry, unknown: UnknownKeyError | None) -> None:
        """Go on when the issuer was asked for its keys, or the backend for its opinion; only this client waits."""
        connection = entry.connection
        try:
            if unknown is not None:
                await unknown.wait()
            who = self._introduce(entry)
            if self._handshake.asks:
                who = await self._handshake.ask(who, entry.auth, connection.ip)
            doubtful = self._doubtful(entry, who)
            welcome_back = doubtful is None or await self._recovery.allowed(doubtful, who)
        except RtError as error:
            self._refuse(entry, error)
            return
        if connection.session.closed:
            return
        if entry.namespace in connection.clients:
            connection.session.refuse("one CONNECT per namespace")
            return
        job = self._admit(entry, who, welcome_back=welcome_back)
        rest = job() if job is not None else None
        if rest is not None:
            await rest

    def _introduce(self, entry: _Entry) -> Introduction:
        _, session = self._claimed(entry)
        # A guest that comes back keeps the name that we gave it.
        guest = session.client_id if session is not None and not session.verified else None
        return self._handshake.introduce(entry.auth, entry.connection.query, time.time(), guest)

    def _admit(self, entry: _Entry, who: Introduction, *, welcome_back: bool = True) -> Job | None:
        connection = entry.connection
        claim = self._claim(entry, who) if welcome_back else None
        try:
            entry.gateway.examine(connection, who)
            self._admission.enter(who.client_id, connection.ip)
        except RtError as error:
            self._refuse(entry, error)
            return None
        client = self._client(entry, who)
        connection.clients[entry.namespace] = client
        if claim is not None and not self._resume(client, claim):
            claim = None
        if claim is None:
            self._members.add(client)
        return partial(self._begin, entry, client, claim)

    def _claimed(self, entry: _Entry) -> tuple[Claim | None, Client | Absent | None]:
        """Return which session is asked for, whosever it is, and that session as far as it is known."""
        claim = self._recovery.claim(entry.said) if entry.recovers else None
        return claim, self._recovery.session(claim, self._members) if claim is not None else None

    def _doubtful(self, entry: _Entry, who: Introduction) -> Client | Absent | None:
        """Return the session that is asked for when a backend has to say whether it may go on."""
        _, session = self._claimed(entry)
        return session if session is not None and self._recovery.doubtful(session, who) else None

    def _claim(self, entry: _Entry, who: Introduction) -> Claim | None:
        """Return the session that is the client's own and that it asks for; somebody else's is left as it is."""
        claim, session = self._claimed(entry)
        if session is None or not belongs_to(session, who):
            return None
        if isinstance(session, Client):
            # Nobody noticed yet that its line was cut; or another connection of it is being accepted.
            session.session.abort("transport close")
        return claim

    def _client(self, entry: _Entry, who: Introduction) -> Client:
        connection, namespace = entry.connection, entry.namespace
        client = Client(
            entry.gateway.new_sid(),
            who.client_id,
            who.name,
            connection.session,
            connection.format(namespace),
            entry.gateway,
            namespace=namespace,
            identity=who.identity,
            ip=connection.ip,
        )
        client.bucket, client.event_buckets = connection.buckets
        if client.format.offsets:
            client.tape = self._recovery.away.tape
        return client

    def _resume(self, client: Client, claim: Claim) -> bool:
        """Make the client the one it claims to be, if that can be recovered."""
        restored = self._recovery.restore(client, claim)
        if restored is not None:
            client.sid = claim.sid
        return restored is not None

    def forget(self, connection: Connection, client: Client) -> None:
        """Undo `enter` for a client that was not accepted."""
        connection.clients.pop(client.namespace, None)
        self._members.remove(client)
        self.release(client)

    def release(self, client: Client) -> None:
        """Give back the client's place under the connection limits."""
        self._admission.exit(client.client_id, client.ip)

    def close(self) -> None:
        """Stop the timer."""
        self._refused.close()

    def _begin(self, entry: _Entry, client: Client, claim: Claim | None) -> Awaitable[None] | None:
        accepting = self._accept(entry, client, claim)
        if self._application.present or self.hooks:
            return accepting
        # Without code of an application nothing here waits, and a task is spared.
        try:
            awaited = accepting.send(None)
        except StopIteration:
            return None
        return carry_on(accepting, awaited)

    async def _accept(self, entry: _Entry, client: Client, claim: Claim | None) -> None:
        connection, auth = entry.connection, entry.auth
        if claim is not None:
            await self._settle(client)
            if connection.clients.get(client.namespace) is client:
                client.data = self._recovery.data(client.sid)
                self._members.add(client)
        if connection.clients.get(client.namespace) is not client:
            return
        verdict = await self._application.judge(client, auth)
        if connection.clients.get(client.namespace) is not client:
            # Gone meanwhile: the line was cut, or the connect handler itself disconnected the client.
            if verdict is None and not connection.session.closed:
                self._refuse(entry, RtError(KICKED, "refused by the application"))
            return
        if verdict is not None:
            self.forget(connection, client)
            self._node.metrics.refused["application"] += 1
            self._tell(entry, verdict)
            return
        await self._welcome(entry, client, claim)
        if client.live:
            await self._run_hooks(client, auth)

    async def _settle(self, client: Client) -> None:
        """Wait until nobody else has the sid: who asked last has it, others that are being accepted are cut off."""
        await self._recovery.settled(client.sid)
        while (rival := self._members.client(client.sid, MAIN)) is not None:
            rival.session.abort("transport close")
            await self._recovery.settled(client.sid)

    async def _welcome(self, entry: _Entry, client: Client, claim: Claim | None) -> None:
        restored = self._recovery.restore(client, claim) if claim is not None else None
        if claim is not None and restored is None:
            # Too much was forgotten while the application made up its mind. The client comes back and is told so.
            client.session.abort("transport close")
            return
        pid = self._recovery.pid(client.sid) if client.tape is not None else None
        entry.gateway.accept(client, pid)
        if restored is not None:
            await self._node.recover(client, restored.absent, restored.missed, greet=not restored.welcomed)
        elif client.namespace == MAIN:
            await self._node.connect(client)
        else:
            self._members.admit(client)
            self._node.credentials.watch(client)

    async def _run_hooks(self, client: Client, auth: dict[str, Any]) -> None:
        for hook in self.hooks:
            try:
                await uncancelled(hook(client, auth))
            except RtError as error:
                client.gateway.dismiss(client, error)
                return
            except Exception:
                client.log.exception("an on_connect hook failed")
                client.gateway.dismiss(client, RtError(KICKED, "refused by the application"))
                return

    def _refuse(self, entry: _Entry, error: RtError) -> None:
        self._node.metrics.refused[error.reason.reason] += 1
        _log.info("client refused", reason=error.reason.reason, why=error.message, ip=entry.connection.ip)
        self._tell(entry, refusal(error))

    def _tell(self, entry: _Entry, body: dict[str, Any]) -> None:
        entry.gateway.refuse(entry.connection, entry.namespace, body)
        self._refused.add(entry.connection)


def _close_refused(connection: Connection) -> None:
    if not connection.clients:
        connection.session.close(UNAUTHORIZED.code, "refused")
