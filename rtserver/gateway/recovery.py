"""Socket.IO's connection state recovery: whose session a CONNECT asks for, and whether it can go on without a gap.

https://socket.io/docs/v4/connection-state-recovery: the CONNECT that accepts a client names a private id (``pid``), and
a client that comes back says it, with the offset it heard last. A pid is the sid, signed: nothing is stored for it,
nobody can make one up, and it is good for as long as this process knows the session.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from typing import Any, NamedTuple

from rtserver.auth.claims import Identity
from rtserver.away import Absent
from rtserver.client import Client
from rtserver.gateway.handshake import Introduction
from rtserver.gateway.members import MAIN, Members
from rtserver.handlers.base import Context, check_space
from rtserver.protocol.errors import RtError
from rtserver.protocol.names import TOPIC
from rtserver.transport.outbound import Outbound

_DIGEST = 18


class Claim(NamedTuple):
    """What a CONNECT asks for: the session of this sid, from this number on (0: it heard nothing)."""

    sid: str
    heard: int


class Returning(NamedTuple):
    """Somebody who may come back as the one of this sid, while a backend is asked."""

    sid: str
    client_id: str
    name: str
    identity: Identity | None


class Restored(NamedTuple):
    """A session that goes on: what it missed, and whether it heard its welcome."""

    absent: Absent
    missed: list[Outbound]
    welcomed: bool


class Recovery:
    """Decides. *most* is how many bytes a client may be given at once, a part of what may wait for it."""

    def __init__(self, context: Context, most: int) -> None:
        self.away = context.node.away
        self._context = context
        self._most = most
        self._secret = secrets.token_bytes(32)
        # Sessions of which the application is being told that they are gone.
        self._parting: dict[str, asyncio.Event] = {}

    @property
    def offered(self) -> bool:
        """Tell whether sessions can be recovered at all."""
        return self.away.tape is not None

    def pid(self, sid: str) -> str:
        """Return the private id of a session."""
        digest = hmac.digest(self._secret, sid.encode(), hashlib.sha256)[:_DIGEST]
        return f"{sid}.{digest.hex()}"

    def claim(self, auth: Mapping[str, Any]) -> Claim | None:
        """Return which session is asked for; None when none is, or by a pid or an offset that we never gave."""
        pid, tape = auth.get("pid"), self.away.tape
        if tape is None or not isinstance(pid, str) or not pid.isascii():
            return None
        sid = pid.rpartition(".")[0]
        heard = tape.parse(auth.get("offset"))
        if heard is None or not hmac.compare_digest(pid, self.pid(sid)):
            return None
        return Claim(sid, heard)

    def session(self, claim: Claim, members: Members) -> Client | Absent | None:
        """Return the session as it is: away, or not known to be."""
        return self.away.find(claim.sid) or members.client(claim.sid, MAIN)

    def restore(self, client: Client, claim: Claim) -> Restored | None:
        """Return what *client* goes on with; None when it is not waited for, or anything is missing."""
        absent, tape = self.away.find(claim.sid), self.away.tape
        if absent is None or tape is None or not self._may_return(client, absent):
            return None
        # An offset from before this session was heard on another one.
        heard = max(claim.heard, absent.since)
        missed = tape.missed(heard, absent.streams(), absent.sid, self._most)
        if missed is None:
            return None
        return Restored(
            absent, [Outbound.again(kept) for kept in missed], welcomed=claim.heard >= absent.since
        )

    def doubtful(self, session: Client | Absent, who: Introduction) -> list[str]:
        """Return the rooms that the operator's backend has to be asked about before *who* is in them again.

        One whose time of grace is over joins them again; one that comes with other claims may not be who it was.
        """
        hooks = self._context.hooks
        if hooks is None or hooks.settings.join is None or not belongs_to(session, who):
            return []
        still_there = isinstance(session, Client) or session.client is not None
        unchanged = _rooms(session.identity) == _rooms(who.identity)
        return [] if still_there and unchanged else list(session.rooms or ())

    async def allowed(self, session: Client | Absent, who: Introduction) -> bool:
        """Tell whether the operator's backend lets *who* into all of these rooms."""
        hooks = self._context.hooks
        assert hooks is not None
        returning = Returning(session.sid, *who)
        try:
            await asyncio.gather(*(hooks.join(returning, room) for room in self.doubtful(session, who)))
        except RtError:
            return False
        return True

    def data(self, sid: str) -> dict[str, Any] | None:
        """Return what the application keeps for a session that is away."""
        absent = self.away.find(sid)
        return absent.data if absent is not None else None

    def _may_return(self, client: Client, absent: Absent) -> bool:
        """Tell whether the client may be in the rooms it was in. One that a backend put there need not be asked."""
        same_claims = _rooms(client.identity) == _rooms(absent.identity)
        try:
            for room in absent.rooms:
                if not same_claims:
                    self._context.grants.check_join(client, room)
                check_space(self._context, client, room)
            for stream in absent.subscriptions:
                if stream.startswith(TOPIC) and not same_claims:
                    self._context.grants.check_subscribe(client, stream)
        except RtError:
            return False
        return True

    # The application is told that a session is gone before it is asked whether it may come back.

    def parting(self, sid: str) -> None:
        """Learn that the application is about to be told."""
        self._parting[sid] = asyncio.Event()

    def parted(self, sid: str) -> None:
        """Learn that it was told."""
        event = self._parting.pop(sid, None)
        if event is not None:
            event.set()

    async def settled(self, sid: str) -> None:
        """Wait until the application knows that the session's last connection is gone."""
        event = self._parting.get(sid)
        if event is not None:
            await event.wait()


def belongs_to(session: Client | Absent, who: Introduction) -> bool:
    """Tell whether it is the same somebody: a name is as good as what vouches for it."""
    return session.client_id == who.client_id and session.verified == (who.identity is not None)


def _rooms(identity: Identity | None) -> object:
    return identity.rooms if identity is not None else None
