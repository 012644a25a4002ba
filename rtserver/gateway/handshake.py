"""Who is connecting? The token, or the name a client gives itself, out of the handshake. Pure but for the verifier."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from rtserver.auth.tokens import Identity
from rtserver.hooks import Hooks
from rtserver.protocol.errors import BAD_REQUEST, UNAUTHORIZED, RtError
from rtserver.protocol.names import normal_name

_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"


class Verifier(Protocol):
    """What turns a token into an identity."""

    def verify(self, token: str, now: float) -> Identity:
        """Return who the bearer is; raise `RtError`."""


class Introduction(NamedTuple):
    """Who a client is to the others."""

    client_id: str
    name: str
    identity: Identity | None


class Handshake:
    """Judges the handshake's ``auth`` payload and query by ``auth.mode``."""

    def __init__(self, mode: str, verifier: Verifier | None, hooks: Hooks | None = None) -> None:
        self._mode = mode
        self._verifier = verifier
        self._hooks = hooks
        self.asks = hooks is not None and hooks.settings.connect is not None
        """Whether the operator's backend has a say."""

    async def ask(self, who: Introduction, auth: Mapping[str, Any], ip: str) -> Introduction:
        """Return who connects in the eyes of the backend; raise `RtError` when it says no."""
        assert self._hooks is not None
        identity = await self._hooks.connect(who.client_id, who.name, who.identity, auth, ip)
        if identity is None or identity is who.identity:
            return who
        return Introduction(identity.user, identity.name or identity.user, identity)

    def introduce(
        self, auth: Mapping[str, Any], query: Mapping[str, str], now: float, known_as: str | None = None
    ) -> Introduction:
        """Return who connects; *now* is Unix time. Raise `RtError` when it may not.

        *known_as* is what we called a guest without a name that comes back.
        """
        given = {key: auth.get(key, query.get(key)) for key in ("token", "client_id", "name")}
        token = given["token"]
        if self._mode == "none" or self._verifier is None:
            return self._unverified(given, "guest-", known_as)
        if token in (None, ""):
            if self._mode == "required":
                raise RtError(UNAUTHORIZED, "a token is required")
            # A guest may not choose its client_id: it could take a user's.
            return self._unverified({"name": given["name"]}, "guest:", known_as)
        if not isinstance(token, str):
            raise RtError(UNAUTHORIZED, "token: must be a string")
        identity = self._verifier.verify(token, now)
        return Introduction(identity.user, identity.name or identity.user, identity)

    def _unverified(self, given: Mapping[str, Any], prefix: str, known_as: str | None) -> Introduction:
        client_id = _name(given, "client_id") or known_as
        if client_id is None:
            client_id = prefix + "".join(secrets.choice(_ALPHABET) for _ in range(8))
        return Introduction(client_id, _name(given, "name") or client_id, None)


def _name(given: Mapping[str, Any], field: str) -> str | None:
    value = given.get(field)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise RtError(BAD_REQUEST, f"{field}: must be a string")
    try:
        return normal_name(value)
    except ValueError as error:
        raise RtError(BAD_REQUEST, f"{field}: {error}") from None
