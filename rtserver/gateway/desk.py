"""What every gateway does with its clients once they are in: answers them, and lets go of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from typing import Any

from rtserver.client import Client
from rtserver.gateway.application import Application
from rtserver.gateway.connection import Connection
from rtserver.gateway.formats import answering
from rtserver.gateway.lobby import Lobby
from rtserver.gateway.members import MAIN, Members
from rtserver.gateway.recovery import Recovery
from rtserver.handlers.base import Held
from rtserver.node import Node
from rtserver.protocol.errors import SERVER_ERROR, SLOW_CONSUMER, RtError
from rtserver.router import Router
from rtserver.transport.mailbox import carry_on
from rtserver.transport.outbound import Outbound

# How long a handler may go on for a client that is gone.
LAST_WORK = 10.0

# Why a session ended that somebody ended on purpose, in python-socketio's words.
SERVER_DISCONNECT, CLIENT_DISCONNECT = "server disconnect", "client disconnect"

_UNRECORDED = {
    "ok": False,
    "error": RtError(
        SERVER_ERROR, "the message was delivered, but could not be recorded for webhooks"
    ).body(),
}


class Desk:
    """The desk. *application* is the code that embeds us; its handlers come before ours."""

    def __init__(
        self,
        node: Node,
        router: Router,
        members: Members,
        application: Application,
        recovery: Recovery,
        lobby: Lobby,
    ) -> None:
        self.node = node
        self.router = router
        self.members = members
        self.application = application
        self.lobby = lobby
        self._recovery = recovery

    # What clients say.

    def answer(
        self, client: Client, event: Any, args: list[Any], size: int, ack_id: Any
    ) -> Awaitable[Any] | None:
        """Do what the event asks and acknowledge it unless *ack_id* is None; return what is left to wait for.

        *size* is that of all that came for it, in bytes.
        """
        if self.application.takes(client.namespace, event, ours=self.router.knows(event)):
            return self._custom(client, event, args, size, ack_id)
        wants_ack = ack_id is not None
        answer = self.router.answer(client, event, args, size, time.monotonic(), wants_ack)
        # Most handlers never wait: stepped here they are done, without a task.
        try:
            awaited = answer.send(None)
        except StopIteration as stop:
            _acknowledge(client, ack_id, stop.value)
            return None
        return _finish(answer, awaited, client, ack_id)

    def refuse(self, client: Client, event: Any, error: RtError, size: int, ack_id: Any) -> None:
        """Answer with *error* what is no event at all; it costs the client as much as one."""
        try:
            self.router.check_rate(client, time.monotonic(), size)
        except RtError as limited:
            error = limited
        _acknowledge(client, ack_id, self.router.refuse(client, event, error, ack_id is not None))

    def hear(self, client: Client, size: int) -> None:
        """Count what needs no answer, such as a pong, against the rate."""
        try:
            self.router.check_rate(client, time.monotonic(), size)
        except RtError as error:
            self.node.metrics.refused[error.reason.reason] += 1

    async def _custom(self, client: Client, event: Any, args: list[Any], size: int, ack_id: Any) -> None:
        self.router.count(event)
        try:
            self.router.check_rate(client, time.monotonic(), size)
            self.router.check_event_rate(client, event, time.monotonic())
            values = await self.application.run(client, event, args)
            if ack_id is not None and values is not None:
                client.session.send(_written(client, ack_id, values))
        except RtError as error:
            _acknowledge(client, ack_id, self.router.refuse(client, event, error, ack_id is not None))

    # Going.

    def say_goodbye(self, client: Client, error: RtError) -> None:
        """Tell a client why it is about to be disconnected."""
        client.gone_because = error.reason.reason
        client.emit("disconnecting_by_server", error.farewell())

    def announce_end(self, connection: Connection | None, error: RtError) -> None:
        """Tell every client of a connection why that is about to be closed."""
        for client in connection.clients.values() if connection is not None else ():
            if client.live:
                self.say_goodbye(client, error)

    def close(self, connection: Connection, reason: str) -> None:
        """Let go of all clients of a connection that is over."""
        farewell = reason in (SERVER_DISCONNECT, CLIENT_DISCONNECT)
        for client in list(connection.clients.values()):
            if reason == "slow consumer":
                client.gone_because = SLOW_CONSUMER.reason
                client.log.warning("client evicted", reason=SLOW_CONSUMER.reason, ip=client.ip)
            self.remove(connection, client, reason, farewell=farewell)
        connection.give_up_after(LAST_WORK)

    def remove(self, connection: Connection, client: Client, reason: str, *, farewell: bool) -> None:
        """Let go of a client: nothing reaches it any more, then the application hears, then it is forgotten."""
        if not client.live:
            self.lobby.forget(connection, client)
            return
        if client.namespace == MAIN:
            _run_through(self.node.part(client, reason) if farewell else self.node.lose(client, reason))
        else:
            self.members.silence(client)
            self.node.credentials.forget(client)
        del connection.clients[client.namespace]
        self.lobby.release(client)
        if not self.application.present:
            self.members.remove(client)
            return
        self._recovery.parting(client.sid)
        connection.do(self._tell_gone, client, reason)

    async def _tell_gone(self, client: Client, reason: str) -> None:
        try:
            await self.application.tell_gone(client, reason)
        finally:
            self.members.remove(client)
            self._recovery.parted(client.sid)


async def _finish(answer: Any, awaited: Any, client: Client, ack_id: Any) -> None:
    _acknowledge(client, ack_id, await carry_on(answer, awaited))


def _acknowledge(client: Client, ack_id: Any, answer: dict[str, Any] | Held | None) -> None:
    if isinstance(answer, Held):
        body = answer.body
        answer.receipt.then(
            lambda committed: _acknowledge(client, ack_id, body if committed else _UNRECORDED)
        )
        return
    if ack_id is not None and answer is not None:
        try:
            client.session.send(_written(client, ack_id, [answer]))
        except RtError as error:
            client.session.send(answering(client).ack(ack_id, [{"ok": False, "error": error.body()}]))


def _written(client: Client, ack_id: Any, values: list[Any]) -> Outbound:
    try:
        return answering(client).ack(ack_id, values)
    except (TypeError, ValueError):
        client.log.exception("an acknowledgement cannot be written")
        raise RtError(SERVER_ERROR, "the answer cannot be written") from None


# Tasks are only weakly referenced by the event loop.
_tasks: set[asyncio.Future[Any]] = set()


def _run_through(coroutine: Any) -> None:
    """Run a verb that cannot wait on this node; one that does goes on as a task."""
    try:
        awaited = coroutine.send(None)
    except StopIteration:
        return
    task = asyncio.ensure_future(carry_on(coroutine, awaited))
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)
