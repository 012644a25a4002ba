"""The tokens of live clients: verified at the door, renewed while connected, and never outlived."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

from rtserver.auth.claims import Identity
from rtserver.auth.expiry import Expiries
from rtserver.auth.keyset import UnknownKeyError
from rtserver.auth.revocation import Revocations
from rtserver.client import Client
from rtserver.protocol.errors import BAD_REQUEST, FORBIDDEN, TOKEN_EXPIRED, TOKEN_REVOKED, RtError
from rtserver.protocol.identifiers import iso_timestamp
from rtserver.protocol.names import normal_name
from rtserver.store.base import RevocationStore, Revoked, StoreError
from rtserver.telemetry.log import logger

# How many clients are told, or sent away, in one turn of the event loop: tokens of one moment expire in one moment.
_BATCH = 200
# How far ahead a revocation may reach, in seconds: clocks differ.
_FORESIGHT = 60.0
# The longest sleep: the clock that tokens go by may be set meanwhile.
_NAP = 60.0
# How often other nodes' revocations are looked for, in seconds.
_LOOK = 1.0

_log = logger("auth")


class Verifier(Protocol):
    """What turns a token into an identity."""

    def verify(self, token: str, now: float) -> Identity:
        """Return who the bearer is; raise `RtError`."""


class Credentials:
    """One timer for all clients. *grace* is how long ahead they are warned, *leeway* how long after they stay."""

    def __init__(
        self, verifier: Verifier | None, grace: float, leeway: float, clock: Callable[[], float] = time.time
    ) -> None:
        self.revocations = Revocations()
        # What the store does not know yet.
        self.unsaved: list[Revoked] = []
        self._loaded = -1
        self._verifier = verifier
        self._leeway = leeway
        self._clock = clock
        self._expiries: Expiries[Client] = Expiries(grace + leeway)
        self._bearers: dict[str, dict[Client, None]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._handle: asyncio.TimerHandle | None = None
        self._wakes_at = 0.0

    def verify(self, token: str, now: float) -> Identity:
        """Return who the bearer of *token* is; raise `RtError`, also when it was revoked."""
        if self._verifier is None:
            raise RtError(FORBIDDEN, "token: this server does not look at tokens")
        identity = self._verifier.verify(token, now)
        if self.revocations.covers(identity):
            raise RtError(TOKEN_REVOKED, "the token was revoked")
        return identity

    def watch(self, client: Client) -> None:
        """From now on see to it that the client does not outlive its token."""
        identity = client.identity
        if identity is None:
            return
        self._bearers.setdefault(identity.user, {})[client] = None
        now = self._clock()
        if self.revocations.covers(identity):
            # Revoked between the door and here.
            self._expiries.watch(client, now, now)
        elif identity.expires_at is not None:
            self._expiries.watch(client, identity.expires_at + self._leeway, now)
        else:
            self._expiries.forget(client)
        self._arm()

    def forget(self, client: Client) -> None:
        """Let go of a client that left."""
        if client.identity is None:
            return
        self._expiries.forget(client)
        theirs = self._bearers.get(client.identity.user)
        if theirs is not None:
            theirs.pop(client, None)
            if not theirs:
                del self._bearers[client.identity.user]

    async def renew(self, client: Client, token: str) -> Identity:
        """Put *token* in the place of the client's; raise `RtError` when it is not good, or not of the same user.

        It holds for every namespace that this user joined on the same connection.
        """
        if client.identity is None:
            raise RtError(FORBIDDEN, "token: you came without one; connect again to use it")
        try:
            identity = self.verify(token, self._clock())
        except UnknownKeyError as unknown:
            await unknown.wait()
            identity = self.verify(token, self._clock())
        if identity.user != client.identity.user:
            raise RtError(FORBIDDEN, "token: must be of the same user")
        for bearer in list(self._bearers.get(identity.user, ())):
            if bearer.session is client.session:
                bearer.identity = identity
                self.watch(bearer)
        return identity

    def revoke(
        self, user: str | None = None, jti: str | None = None, issued_before: float | None = None
    ) -> int:
        """Revoke tokens, see `Revoked`; send away the clients that came with them and return how many those are.

        Raises `ValueError` for a user that can be none, and `RtError` for a time that lies ahead: everybody would be
        refused until then, and nothing takes it back.
        """
        user = normal_name(user) if user is not None else None
        if issued_before is not None and issued_before > self._clock() + _FORESIGHT:
            raise RtError(
                BAD_REQUEST, "issued_before: lies in the future; it is in Unix seconds, or ISO 8601"
            )
        self.unsaved.append(
            self.revocations.add(self._clock(), user=user, jti=jti, issued_before=issued_before)
        )
        return self._send_away(user)

    async def save(self, store: RevocationStore) -> None:
        """Let the store keep what was revoked; raise `StoreError`, and what is left is saved the next time."""
        while self.unsaved:
            await store.keep(self.unsaved[0])
            del self.unsaved[0]

    async def load(self, store: RevocationStore) -> None:
        """Take in what was revoked in earlier lives, and since the last time on other nodes; raise `StoreError`."""
        rules, self._loaded = await store.load(self._loaded)
        for rule in rules:
            self.revocations.restore(rule)
        for user in {rule.user for rule in rules}:
            self._send_away(user)

    async def follow(self, store: RevocationStore) -> None:
        """Take in what other nodes revoke within a second, until cancelled."""
        while True:
            await asyncio.sleep(_LOOK)
            try:
                await self.load(store)
            except StoreError as error:
                _log.debug("revocations cannot be read", why=str(error))

    def close(self) -> None:
        """Stop the timer."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _send_away(self, user: str | None) -> int:
        """Send away the user's clients, or anybody's, whose tokens are revoked; return how many those are."""
        groups = list(self._bearers.values()) if user is None else [self._bearers.get(user, {})]
        bearers = [client for group in groups for client in group]
        hit = [client for client in bearers if client.identity and self.revocations.covers(client.identity)]
        for client in hit:
            self._end(client)
        return len(hit)

    def _arm(self) -> None:
        due = self._expiries.next_due()
        if due is None or (self._handle is not None and due >= self._wakes_at):
            return
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        self.close()
        now = self._clock()
        self._wakes_at = min(due, now + _NAP)
        self._handle = self._loop.call_at(self._loop.time() + max(0.0, self._wakes_at - now), self._tick)

    def _tick(self) -> None:
        self._handle = None
        try:
            for client, over in self._expiries.due(self._clock(), _BATCH):
                if over:
                    self._end(client)
                elif client.identity is not None and client.identity.expires_at is not None:
                    client.emit("token_expiring", {"expires_at": iso_timestamp(client.identity.expires_at)})
        finally:
            self._arm()

    def _end(self, client: Client) -> None:
        assert client.identity is not None
        revoked = self.revocations.covers(client.identity)
        error = (
            RtError(TOKEN_REVOKED, "the token was revoked")
            if revoked
            else RtError(TOKEN_EXPIRED, "the token has expired")
        )
        client.log.info("client sent away", reason=error.reason.reason)
        client.gateway.dismiss(client, error)
