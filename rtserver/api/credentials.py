"""Who asks: a backend with one of our keys, or a user with a token."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable, Iterable

from starlette.requests import Request

from rtserver.auth.claims import Identity
from rtserver.protocol.errors import BAD_REQUEST, UNAUTHORIZED, RtError
from rtserver.protocol.names import normal_name

Verify = Callable[[str, float], Identity]
"""Returns who the bearer of a token is at a time (Unix seconds), or raises `RtError`."""


class Keys:
    """The keys of backends. *open_to_all* asks for none, as ``auth.mode: none`` does."""

    def __init__(self, keys: Iterable[str], *, open_to_all: bool) -> None:
        # Digests have one length: how long a comparison takes tells nothing of how long a key is.
        self._digests = [_digest(key) for key in keys]
        self._open = open_to_all

    async def check(self, request: Request) -> None:
        """Raise `RtError` unless the request carries one of the keys."""
        if self._open:
            return
        if not self._digests:
            raise RtError(UNAUTHORIZED, "api.keys is empty: nobody may use the HTTP API")
        given = _digest(_bearer(request) or "")
        # All are compared, whichever is right.
        if not sum(hmac.compare_digest(given, digest) for digest in self._digests):
            raise RtError(UNAUTHORIZED, "Authorization: must be Bearer and a key of api.keys")


class Owners:
    """Whose inbox is asked for. Without *verify* there are no tokens: the query's ``client_id`` is believed."""

    def __init__(self, verify: Verify | None) -> None:
        self._verify = verify
        self.parameters = ("client_id",) if verify is None else ()

    def of(self, request: Request) -> str:
        """Return the user's id; raise `RtError` when it is not known."""
        if self._verify is not None:
            token = _bearer(request)
            if token is None:
                raise RtError(UNAUTHORIZED, "Authorization: must be Bearer and the user's token")
            return self._verify(token, time.time()).user
        try:
            return normal_name(request.query_params["client_id"])
        except KeyError:
            raise RtError(
                UNAUTHORIZED, "client_id: is required in the query where there are no tokens"
            ) from None
        except ValueError as error:
            raise RtError(BAD_REQUEST, f"client_id: {error}") from None


def _bearer(request: Request) -> str | None:
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    return value.strip() or None if scheme.lower() == "bearer" else None


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
