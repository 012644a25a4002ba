"""python-socketio's client manager over our fan-out: who is in which namespace and room, in O(own rooms).

Rooms here are those of the fan-out, so ``app.sio.emit(..., room=...)`` reaches who joined by event, and
``enter_room`` lets a client hear a room without being shown as a member.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import socketio
from socketio.exceptions import TimeoutError as CallTimeoutError

from rtserver.away import Away
from rtserver.client import Client
from rtserver.fanout import Fanout, Message
from rtserver.rooms.tape import Stream

MAIN = "/"

_tasks: set[asyncio.Task[Any]] = set()


class Space:
    """One namespace."""

    __slots__ = ("clients", "fanout")

    def __init__(self, fanout: Fanout) -> None:
        self.fanout = fanout
        self.clients: dict[str, Client] = {}


class Members(socketio.AsyncManager):  # type: ignore[misc]  # the library has no types
    """The clients of all namespaces, those still being accepted among them (`Client.live` tells)."""

    def __init__(self, main: Fanout, away: Away | None = None) -> None:
        super().__init__()
        self._away = away if away is not None else Away(None, 0.0)
        self._main = Space(main)
        self._spaces = {MAIN: self._main}

    # For the gateway.

    def add(self, client: Client) -> None:
        """Know a client that is being accepted; nothing is delivered to it yet."""
        space = self._spaces.get(client.namespace)
        if space is None:
            space = self._spaces[client.namespace] = Space(Fanout())
        space.clients[client.sid] = client

    def admit(self, client: Client) -> None:
        """Let a client of another namespace than the main one hear what goes to everybody and to its rooms."""
        client.live = True
        fanout = self._spaces[client.namespace].fanout
        fanout.admit(client)
        for room in client.subscriptions or ():
            fanout.subscribe(room, client)

    def silence(self, client: Client) -> None:
        """Deliver nothing more to a client that goes."""
        client.live = False
        self._spaces[client.namespace].fanout.expel(client, client.subscriptions or ())

    def remove(self, client: Client) -> None:
        """Forget a client; who waits for its acknowledgements waits no more."""
        space = self._spaces.get(client.namespace)
        if space is not None:
            # One that recovered has the sid of the connection that was cut.
            if space.clients.get(client.sid) is client:
                del space.clients[client.sid]
            if not space.clients and client.namespace != MAIN:
                del self._spaces[client.namespace]
        acks, client.acks = client.acks or {}, None
        for waiting in acks.values():
            if isinstance(waiting, asyncio.Future) and not waiting.done():
                waiting.set_exception(CallTimeoutError())

    def client(self, sid: Any, namespace: str | None) -> Client | None:
        """Return a client by its sid."""
        space = self._spaces.get(namespace or MAIN)
        return space.clients.get(sid) if space is not None and isinstance(sid, str) else None

    def expect(self, client: Client, waiting: Any) -> int:
        """Remember who waits for an acknowledgement: a callable or a future; return the id to send."""
        if client.acks is None:
            client.acks = {}
        client.next_ack += 1
        client.acks[client.next_ack] = waiting
        return client.next_ack

    def acknowledge(self, client: Client, ack_id: int, args: list[Any]) -> None:
        """Give an acknowledgement to who waits for it; one that nobody waits for is ignored."""
        waiting = client.acks.pop(ack_id, None) if client.acks is not None else None
        if isinstance(waiting, asyncio.Future):
            if not waiting.done():
                waiting.set_result(args)
        elif waiting is not None:
            _call(client, waiting, args)

    # For python-socketio.

    def get_namespaces(self) -> list[str]:
        """Return the namespaces that have clients."""
        return list(self._spaces)

    def is_connected(self, sid: str, namespace: str) -> bool:
        """Tell whether the client was accepted and is still there."""
        client = self.client(sid, namespace)
        return client is not None and client.live

    async def can_disconnect(self, sid: str, namespace: str) -> bool:
        """Tell whether there is such a client."""
        return self.client(sid, namespace) is not None

    def eio_sid_from_sid(self, sid: str, namespace: str) -> str | None:
        """Return the Engine.IO session's id."""
        client = self.client(sid, namespace)
        return client.session.sid if client is not None else None

    def sid_from_eio_sid(self, eio_sid: str, namespace: str) -> str | None:
        """Return the sid that an Engine.IO session has in the namespace."""
        sid: str | None = self.server.sid_of(eio_sid, namespace)
        return sid

    def get_participants(self, namespace: str, room: Any) -> Iterator[tuple[str, str]]:
        """Yield ``(sid, eio_sid)`` of everybody (room None), a client, a room, or several."""
        space = self._spaces.get(namespace)
        if space is not None:
            for sid in _named(space, room):
                yield sid, space.clients[sid].session.sid

    def get_rooms(self, sid: str, namespace: str) -> list[str]:
        """Return the rooms a client hears, its own sid among them as python-socketio has it."""
        client = self.client(sid, namespace)
        return [] if client is None else [sid, *(client.subscriptions or ())]

    async def enter_room(self, sid: str, namespace: str, room: str, eio_sid: str | None = None) -> None:
        """Let the client hear the room."""
        client = self.client(sid, namespace)
        if client is None:
            raise ValueError("sid is not connected to requested namespace")
        if not isinstance(room, str) or not room:
            raise ValueError("a room is a string that is not empty")
        if client.subscriptions is None:
            client.subscriptions = {}
        fanout = self._spaces[namespace].fanout
        client.subscriptions.setdefault(room, fanout.head)
        if client.live:
            fanout.subscribe(room, client)

    async def leave_room(self, sid: str, namespace: str, room: str) -> None:
        """Undo `enter_room`."""
        client = self.client(sid, namespace)
        if client is not None and client.subscriptions is not None:
            client.subscriptions.pop(room, None)
            self._spaces[namespace].fanout.unsubscribe(room, client)

    async def close_room(self, room: str, namespace: str) -> None:
        """Let nobody hear the room any more."""
        space = self._spaces.get(namespace)
        for sid in list(space.fanout.sids(room)) if space is not None else ():
            await self.leave_room(sid, namespace, room)

    async def disconnect(self, sid: str, namespace: str, **kwargs: Any) -> None:
        """Do nothing: the server's own ``disconnect`` is the way."""

    async def emit(
        self,
        event: str,
        data: Any,
        namespace: str,
        room: Any = None,
        skip_sid: Any = None,
        callback: Callable[..., Any] | None = None,
        to: Any = None,
        **kwargs: Any,
    ) -> None:
        """Send an event to a client, one or more rooms, or everybody in the namespace (room None)."""
        space = self._spaces.get(namespace)
        if space is None:
            return
        args = data if isinstance(data, tuple) else () if data is None else (data,)
        room = to if to is not None else room
        skip = (
            tuple(skip_sid) if isinstance(skip_sid, list | tuple | set) else (skip_sid,) if skip_sid else ()
        )
        if callback is None and (room is None or (isinstance(room, str) and not self._is_sid(space, room))):
            space.fanout.deliver(room, Message(event, *args), skip)
            return
        clients = [space.clients[sid] for sid in _named(space, room) if sid not in skip]
        if callback is None:
            space.fanout.send(Message(event, *args), clients, self._streams(space, room), skip)
            return
        for client in clients:
            client.session.send(client.format.event(event, args, self.expect(client, callback)))

    def _is_sid(self, space: Space, name: str) -> bool:
        return name in space.clients or (space is self._main and self._away.find(name) is not None)

    def _streams(self, space: Space, target: Any) -> list[Stream]:
        """Return where what goes to *target* is kept, for clients that can recover and for those that are away."""
        streams: list[Stream] = []
        for name in target if isinstance(target, list | tuple | set) else (target,):
            if not isinstance(name, str):
                continue
            client = space.clients.get(name)
            if client is None and not self._is_sid(space, name):
                streams.append(name)
            elif client is None or (client.live and client.format.offsets):
                streams.append((name,))
        return streams


def _named(space: Space, room: Any) -> list[str]:
    """Return whom *room* names, each once: a sid comes before a room of the same name."""
    if isinstance(room, list | tuple | set):
        return list(dict.fromkeys(sid for one in room for sid in _named(space, one) if one is not None))
    if room in space.clients:
        return [room]
    return [sid for sid in space.fanout.sids(room) if sid in space.clients]


def _call(client: Client, callback: Callable[..., Any], args: list[Any]) -> None:
    try:
        result = callback(*args)
    except Exception:
        client.log.exception("an acknowledgement's callback failed")
        return
    if inspect.isawaitable(result):
        task = asyncio.ensure_future(result)
        _tasks.add(task)
        task.add_done_callback(_tasks.discard)
