"""The verbs every entrance shares: connect, join, leave, publish, send, disconnect. No second path.

A verb checks nothing that depends on who asks by which way; it changes state, delivers, and announces.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

from rtserver.announcements import Announcer
from rtserver.broker.base import Broker, Draft, Retention
from rtserver.client import Client
from rtserver.fanout import Fanout, Message
from rtserver.holding import Holding
from rtserver.protocol.data import sound_data
from rtserver.protocol.errors import BAD_REQUEST, KICKED, RtError
from rtserver.protocol.identifiers import Clock, iso_timestamp
from rtserver.protocol.names import normal_name, publishable_event
from rtserver.rooms.registry import Member, Registry
from rtserver.rooms.stream import Page
from rtserver.telemetry.metrics import Metrics

SYSTEM = "SYSTEM"

# Not given, which is not the same as null.
ABSENT: Any = object()


class Published(NamedTuple):
    """What became of a publication."""

    id: str
    offset: int
    timestamp: str
    recipients: int


class Node:
    """This server's clients and rooms. Everything public here may be called by embedding code (``app.node``)."""

    def __init__(
        self,
        *,
        fanout: Fanout,
        broker: Broker,
        retention: Callable[[str | None], Retention],
        announcer: Announcer,
        grace: float,
        metrics: Metrics,
        clock: Clock | None = None,
    ) -> None:
        self.metrics = metrics
        self.clock = clock or Clock()
        self.registry = Registry()
        self._fanout = fanout
        self._broker = broker
        self._retention = retention
        self._announcer = announcer
        self._clients: dict[str, Client] = {}
        self._by_id: dict[str, dict[str, Client]] = {}
        self._holding = Holding(grace, self._release)
        self._numbers = 0

    # Connections.

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._clients)

    def is_connected(self, client_id: str) -> bool:
        """Tell whether the client_id has at least one live connection."""
        return client_id in self._by_id

    def connected(self) -> list[str]:
        """Return the client_ids that are connected."""
        return list(self._by_id)

    def connections_of(self, client_id: str) -> list[Client]:
        """Return the live connections of a client_id."""
        return list(self._by_id.get(client_id, {}).values())

    async def connect(self, client: Client) -> None:
        """Let an accepted client in, welcome it, and announce it unless it merely came back."""
        self._numbers += 1
        client.number = self._numbers
        client.connected_at = time.time()
        client.live = True
        self._clients[client.sid] = client
        self._by_id.setdefault(client.client_id, {})[client.sid] = client
        self._fanout.admit(client)
        returned = self._holding.succeed(client)
        self._announcer.welcome(client, len(self._clients))
        if not returned:
            self._announcer.connected(client, len(self._clients))
        client.log.info("client connected", ip=client.ip)

    async def part(self, client: Client, reason: str) -> None:
        """Let a client go that said goodbye, or that was sent away: it leaves at once."""
        if self._drop(client):
            for held in self._holding.take_predecessors(client):
                self._release(held)
            self._depart(client, reason)

    async def lose(self, client: Client, reason: str) -> None:
        """Let a client go whose line was cut: it leaves when nothing is heard of it for the time of grace."""
        if not self._drop(client):
            return
        if self._holding.grace > 0:
            self._holding.hold(client)
            client.log.debug("client lost", reason=reason)
        else:
            self._depart(client, reason)

    async def disconnect(self, client_id: str, message: str = "disconnected by the server") -> int:
        """Disconnect every connection of a client_id for good; return how many there were."""
        clients = self.connections_of(client_id)
        for client in clients:
            client.gateway.dismiss(client, RtError(KICKED, message))
        return len(clients)

    def _drop(self, client: Client) -> bool:
        if self._clients.pop(client.sid, None) is None:
            return False
        client.live = False
        theirs = self._by_id[client.client_id]
        del theirs[client.sid]
        if not theirs:
            del self._by_id[client.client_id]
        self._fanout.expel(client, client.subscriptions or ())
        return True

    def _release(self, client: Client) -> None:
        """End the time of grace of a client that did not come back, or whose successor is there."""
        self._depart(client, "transport close")

    def _depart(self, client: Client, reason: str) -> None:
        for room in list(client.rooms or ()):
            self._quit(client, room, reason)
        if client.heir is None:
            self._announcer.disconnected(client, len(self._clients))
        client.log.info("client disconnected", reason=reason)

    # Rooms.

    async def join(self, client: Client, room: str) -> int:
        """Make the client a member; return the room's members now.

        Joining twice changes nothing, and nor does joining when gone: nobody would ever take that member out.
        """
        if not client.live and not self._holding.holds(client):
            return self.registry.count(room)
        if client.rooms is None:
            client.rooms = {}
        if room in client.rooms:
            return self.registry.count(room)
        client.rooms[room] = None
        self.subscribe(client, room)
        change = self.registry.join(room, client, client.name, client.verified, time.time())
        if change.member:
            self._announcer.joined(client, room, change.total)
        client.log.info("room joined", room=room)
        return change.total

    async def leave(self, client: Client, room: str, reason: str | None = None) -> None:
        """Take the client out of the room, and with it what it left there before its line was cut."""
        self.unsubscribe(client, room)
        for held in self._holding.predecessors(client):
            self._quit(held, room, reason)
        self._quit(client, room, reason)
        client.log.info("room left", room=room)

    def subscribe(self, client: Client, room: str) -> None:
        """Let the client hear a room without being a member of it."""
        if client.subscriptions is None:
            client.subscriptions = {}
        client.subscriptions[room] = None
        if client.live:
            self._fanout.subscribe(room, client)

    def unsubscribe(self, client: Client, room: str) -> None:
        """Undo `subscribe`."""
        if client.subscriptions is not None:
            client.subscriptions.pop(room, None)
        self._fanout.unsubscribe(room, client)

    def members(self, room: str) -> list[dict[str, Any]]:
        """Return the room's members as ``{client_id, name, verified, connections, joined_at}``."""
        return [self._shown(member) for member in self.registry.members(room)]

    def _shown(self, member: Member) -> dict[str, Any]:
        # One that is held after its line was cut counts as present, but not beside its successor.
        live = sum(sid in self._clients for sid in member.sids)
        return {
            "client_id": member.client_id,
            "name": member.name,
            "verified": member.verified,
            "connections": live or 1,
            "joined_at": iso_timestamp(member.joined_at),
        }

    def _quit(self, client: Client, room: str, reason: str | None) -> None:
        if client.rooms is None or room not in client.rooms:
            return
        del client.rooms[room]
        change = self.registry.leave(room, client)
        if change.member:
            self._announcer.left(client, room, change.total, reason)

    # Messages.

    async def publish(
        self, room: str, event: str = "broadcast", message: str | None = None, data: Any = ABSENT
    ) -> Published:
        """Record a publication in the room and deliver it to who hears it.

        ``chat`` and ``broadcast`` carry the contract's object; any other event carries exactly *data*, or *message*
        without data. Raises `RtError` for a bad room, a reserved event, or data that JSON cannot hold.
        """
        _check_target("room", room)
        _check_event(event)
        _check_data(data)
        return await self.say(room, event, message, data)

    async def broadcast(
        self, event: str = "broadcast", message: str | None = None, data: Any = ABSENT
    ) -> Published:
        """Publish to every client; see `publish`."""
        _check_event(event)
        _check_data(data)
        return await self.say(None, event, message, data)

    async def say(
        self,
        room: str | None,
        event: str,
        message: str | None,
        data: Any = ABSENT,
        *,
        sender: Client | None = None,
        skip: Collection[str] = (),
    ) -> Published:
        """Publish what is checked already: in a room, or with None in the stream of messages to everybody.

        *skip* names sids that do not get it.
        """
        now = time.time()
        event_id = self.clock.identifier(now)
        timestamp = self.clock.timestamp(now)
        stamped = event in ("chat", "broadcast")
        payload = message if data is ABSENT else data
        if stamped:
            payload = {
                "id": event_id,
                "room": room,
                "sender": sender.client_id if sender is not None else None,
                "username": sender.name if sender is not None else SYSTEM,
                "message": message if message is not None else "",
                **({} if data is ABSENT else {"data": data}),
                "timestamp": timestamp,
            }
        draft = Draft(event, payload, event_id, now, stamped)
        try:
            published, recipients = await self._broker.publish(room, draft, self._retention(room), skip)
        except (TypeError, ValueError) as error:
            raise RtError(BAD_REQUEST, f"data: cannot be sent as JSON ({error})") from error
        self.metrics.messages[event if stamped else "other"] += 1
        return Published(event_id, published.offset, timestamp, recipients)

    async def send(self, client_id: str, event: str, data: Any = None) -> int:
        """Send an event to every connection of a client_id; return how many there are. Raises as `publish`."""
        _check_target("client_id", client_id)
        _check_event(event)
        _check_data(data)
        try:
            return self.emit_to(client_id, Message(event, data))
        except (TypeError, ValueError) as error:
            raise RtError(BAD_REQUEST, f"data: cannot be sent as JSON ({error})") from error

    def emit_to(self, client_id: str, message: Message) -> int:
        """Deliver to every connection of a client_id; return how many there are."""
        clients = self._by_id.get(client_id, {})
        for client in clients.values():
            client.session.send(message.encoded(client.format))
        self.metrics.deliveries += len(clients)
        return len(clients)

    def signal(self, room: str, message: Message, skip: Collection[str] = ()) -> None:
        """Deliver to the room's members what is not worth keeping; it is the first to go under pressure."""
        self._fanout.deliver(room, message, skip, volatile=True)

    async def latest(self, room: str | None, limit: int, before: int | None = None) -> Page:
        """Return the last *limit* publications of the room."""
        return await self._broker.latest(room, limit, time.time(), before)

    async def after(self, room: str | None, since: int, limit: int, before: int | None = None) -> Page:
        """Return what was published after offset *since*, at most *limit*."""
        return await self._broker.after(room, since, limit, time.time(), before)

    def close(self) -> None:
        """Stop the timers."""
        self._holding.close()


def _check_target(what: str, name: Any) -> None:
    # An empty target must never come to mean everybody.
    if not isinstance(name, str):
        raise RtError(BAD_REQUEST, f"{what}: must be a string")
    try:
        normal_name(name)
    except ValueError as error:
        raise RtError(BAD_REQUEST, f"{what}: {error}") from None


def _check_data(data: Any) -> None:
    try:
        sound_data(data if data is not ABSENT else None)
    except ValueError as error:
        raise RtError(BAD_REQUEST, f"data: {error}") from None


def _check_event(event: str) -> None:
    try:
        publishable_event(event)
    except ValueError as error:
        raise RtError(BAD_REQUEST, f"event: {error}") from None
