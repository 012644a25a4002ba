"""The verbs every entrance shares: connect, join, leave, publish, send, disconnect. No second path.

A verb checks nothing that depends on who asks by which way; it changes state, delivers, and announces.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from typing import Any

from rtserver.announcements import Announcer
from rtserver.away import Absent, Away
from rtserver.client import Client
from rtserver.credentials import Credentials
from rtserver.holding import Holding
from rtserver.protocol.errors import (
    BAD_REQUEST,
    KICKED,
    SERVER_DRAINING,
    SERVER_ERROR,
    TOKEN_REVOKED,
    RtError,
)
from rtserver.protocol.identifiers import iso_timestamp
from rtserver.protocol.names import normal_name
from rtserver.publisher import Publisher
from rtserver.reports import Reporter
from rtserver.rooms.registry import Member, Registry
from rtserver.store.base import RevocationStore, StoreError
from rtserver.transport.outbound import Outbound


class Node(Publisher):
    """This server's clients and rooms. Everything public here may be called by embedding code (``app.node``)."""

    def __init__(
        self,
        *args: Any,
        announcer: Announcer,
        reporter: Reporter,
        grace: float,
        credentials: Credentials,
        revocations: RevocationStore,
        away: Away | None = None,
    ) -> None:
        super().__init__(*args, reporter=reporter, away=away if away is not None else Away(None, 0.0))
        self.credentials = credentials
        self._revocations = revocations
        self.registry = Registry()
        self._announcer = announcer
        self._holding = Holding(grace, self._release)
        self._numbers = 0

    # Connections.

    @property
    def accepted(self) -> int:
        """How many clients were accepted since the start."""
        return self._numbers

    @property
    def users(self) -> int:
        """How many different client_ids are connected."""
        return self._roster.users

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._roster)

    def is_connected(self, client_id: str) -> bool:
        """Tell whether the client_id has at least one live connection."""
        return self._roster.has(client_id)

    def connected(self) -> list[str]:
        """Return the client_ids that are connected."""
        return self._roster.client_ids()

    def connections_of(self, client_id: str) -> list[Client]:
        """Return the live connections of a client_id."""
        return self._roster.of(client_id)

    def find(self, sid: str) -> Client | None:
        """Return the connection of a sid; one that was cut a moment ago still counts."""
        client = self._roster.get(sid)
        if client is None:
            absent = self.away.find(sid)
            client = absent.client if absent is not None and absent.present else None
        return client

    def everybody(self) -> list[Client]:
        """Return all live connections."""
        return self._roster.everybody()

    def introduce(self, known: Collection[str]) -> None:
        """Tell the backends of everybody here as of somebody new, but for those whose sessions are *known*."""
        everybody = [*self._roster.everybody(), *self._holding.everybody()]
        self._reporter.introduce(everybody, known, self.clock.identifier)

    async def connect(self, client: Client) -> None:
        """Let an accepted client in, welcome it, and announce it unless it merely came back."""
        self._count(client)
        self._admit(client)
        if client.tape is not None:
            client.since = client.tape.skip_number()
        predecessor = self._holding.succeed(client)
        total = len(self._roster)
        self._announcer.welcome(client, total)
        if predecessor is not None:
            client.session_id, client.session_since = predecessor.session_id, predecessor.session_since
            self._reporter.resumed(client, total)
        else:
            self._begin(client, total)
        self.credentials.watch(client)
        client.log.info("client connected", ip=client.ip)

    async def recover(
        self, client: Client, absent: Absent, missed: Iterable[Outbound], *, greet: bool
    ) -> None:
        """Let an accepted client go on as the one that was cut: told what it missed, in its rooms, and with no news.

        When the others heard that it left, they hear that it is back. *greet* one that never heard its welcome.
        """
        held = self._holding.take_back(client)
        rooms, client.subscriptions = absent.rooms, absent.subscriptions
        client.recovered, client.since = True, absent.since
        client.rooms = rooms if held is not None else None
        self.away.take(absent)
        self._count(client)
        if greet:
            self._announcer.welcome(client, len(self._roster) + 1)
        for out in missed:
            client.session.send(client.format.again(out))
            self.metrics.deliveries += 1
        self._admit(client)
        if held is not None and held.heir is None:
            client.session_id, client.session_since = held.session_id, held.session_since
            self._reporter.resumed(client, len(self._roster))
        else:
            self._begin(client, len(self._roster))
        if held is None:
            for room in rooms:
                await self.join(client, room)
        elif held.heir is not None:
            # Another tab goes on with the session that both were; this one is in its rooms by a new one.
            for room in rooms:
                self._reporter.entered(client, room)
                if room not in (held.heir.rooms or ()):
                    self._reporter.exited(held.heir, room)
        self.credentials.watch(client)
        client.log.info("client recovered", ip=client.ip)

    def _count(self, client: Client) -> None:
        self._numbers += 1
        client.number = self._numbers
        client.connected_at = time.time()

    def _admit(self, client: Client) -> None:
        client.live = True
        self._roster.add(client)
        self._fanout.admit(client)
        for room in client.subscriptions or ():
            self._fanout.subscribe(room, client)

    def _begin(self, client: Client, total: int) -> None:
        client.session_id, client.session_since = self.clock.identifier(), client.connected_at
        self._announcer.connected(client, total)
        self._reporter.connected(client, total)

    async def part(self, client: Client, reason: str) -> None:
        """Let a client go that said goodbye, or that was sent away: it leaves at once."""
        if self._drop(client):
            self.away.forget(client.sid)
            for held in self._holding.take_predecessors(client):
                # It leaves with its heir; but that may have been another tab, and it comes back itself.
                self._release(held)
            self._depart(client, client.gone_because or reason)

    async def lose(self, client: Client, reason: str) -> None:
        """Let a client go whose line was cut: it leaves when nothing is heard of it for the time of grace."""
        if not self._drop(client):
            return
        client.gone_because = client.gone_because or reason
        self.away.keep(client)
        if self._holding.grace > 0:
            self._holding.hold(client)
            client.log.debug("client lost", reason=reason)
        else:
            self._release(client)

    async def disconnect(self, client_id: str, message: str = "disconnected by the server") -> int:
        """Disconnect every connection of a client_id for good; return how many there were."""
        clients = self.connections_of(client_id)
        for client in clients:
            client.gateway.dismiss(client, RtError(KICKED, message))
        for held in self._holding.take_all(client_id):
            self._release(held)
        self.away.forget_all(client_id)
        return len(clients)

    async def disconnect_sid(self, sid: str, message: str = "disconnected by the server") -> bool:
        """Disconnect one connection for good; tell whether there was one."""
        client = self.find(sid)
        if client is None:
            return False
        if client.live:
            client.gateway.dismiss(client, RtError(KICKED, message))
        elif self._holding.take_back(client) is not None:
            self._release(client)
        self.away.forget(sid)
        return True

    async def revoke(
        self, user: str | None = None, jti: str | None = None, issued_before: float | None = None
    ) -> int:
        """Refuse tokens from now on: a user's, the one with a jti, or all, issued up to then (Unix time) or now.

        Clients that came with one are disconnected for good; return how many those are. Raises `RtError` when nothing
        is named, and when it could not be stored: then it holds until the next restart.
        """
        if user is None and jti is None and issued_before is None:
            raise RtError(BAD_REQUEST, "user, jti or issued_before: one of them is required")
        try:
            revoked = self.credentials.revoke(user, jti, issued_before)
            self._give_up_revoked(user)
            await self.credentials.save(self._revocations)
        except ValueError as error:
            raise RtError(BAD_REQUEST, f"user: {error}") from None
        except StoreError as error:
            raise RtError(
                SERVER_ERROR, "the tokens are refused from now on, but only until a restart: the store fails"
            ) from error
        return revoked

    def _give_up_revoked(self, user: str | None) -> None:
        """Wait no more for who came with a token that is revoked: a new one begins a new session, as for the others."""
        for absent in self.away.of(normal_name(user)) if user is not None else self.away.everybody():
            if absent.identity is None or not self.credentials.revocations.covers(absent.identity):
                continue
            held = absent.client
            if held is not None and self._holding.take(held):
                held.gone_because = TOKEN_REVOKED.reason
                self._release(held)
            self.away.forget(absent.sid)

    def _drop(self, client: Client) -> bool:
        if not self._roster.remove(client):
            return False
        client.live = False
        self.credentials.forget(client)
        self._fanout.expel(client, client.subscriptions or ())
        return True

    def _release(self, client: Client) -> None:
        """End the time of grace of a client that did not come back, or whose successor is there."""
        self.away.depart(client)
        self._depart(client, client.gone_because)

    def _depart(self, client: Client, reason: str) -> None:
        for room in list(client.rooms or ()):
            self._quit(client, room, reason)
        if client.heir is None:
            self._announcer.disconnected(client, len(self._roster))
            self._reporter.disconnected(client, len(self._roster), reason)
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
            self._reporter.joined(client, room, change.total, first=change.room)
        elif change.happened:
            self._reporter.entered(client, room)
        client.log.info("room joined", room=room)
        return change.total

    async def leave(self, client: Client, room: str, reason: str | None = None) -> None:
        """Take the client out of the room, and with it what it left there before its line was cut."""
        self.unsubscribe(client, room)
        for held in self._holding.predecessors(client):
            self.unsubscribe(held, room)
            self._quit(held, room, reason)
        self._quit(client, room, reason)
        client.log.info("room left", room=room)

    def subscribe(self, client: Client, room: str) -> None:
        """Let the client hear a room without being a member of it."""
        if client.subscriptions is None:
            client.subscriptions = {}
        client.subscriptions.setdefault(room, self._fanout.head)
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
        live = sum(sid in self._roster for sid in member.sids)
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
            self._reporter.left(client, room, change.total, reason, last=change.room)
        elif change.happened and (client.heir is None or room not in (client.heir.rooms or ())):
            # The heir has the same session, which is still in the room when the heir is.
            self._reporter.exited(client, room)

    def occupancy(self, room: str) -> int:
        """Return how many members the room has."""
        return self.registry.count(room)

    def close(self) -> None:
        """Let everybody go: nobody could come back to this node."""
        for client in self._roster.everybody():
            if self._drop(client):
                self._depart(client, SERVER_DRAINING.reason)
        for held in self._holding.take_everybody():
            self._release(held)
        self._holding.close()
        self.credentials.close()
        self.away.close()
