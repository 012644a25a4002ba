"""JSON Web Tokens: verified into an `Identity`, and signed for the command line.

Signature and shape are PyJWS's; the claims are judged here, because the time is an argument and because a
claim of the wrong type has to be a refusal, not an error. No message repeats the token or anything in it.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import jwt as pyjwt
import orjson
from cryptography.exceptions import UnsupportedAlgorithm
from jwt.algorithms import HMACAlgorithm

from rtserver.auth.claims import Identity, identity_of, refuse, time_of
from rtserver.config.problem import ConfigError, Problem
from rtserver.config.schema import Jwt
from rtserver.protocol.errors import TOKEN_EXPIRED, RtError

__all__ = ["MAX_TOKEN", "Identity", "TokenVerifier", "sign"]

MAX_TOKEN = 8192
"""Longest token that is looked at, in bytes."""
_HASHES = {"HS256": HMACAlgorithm.SHA256, "HS384": HMACAlgorithm.SHA384, "HS512": HMACAlgorithm.SHA512}


class Keys(Protocol):
    """The keys of an issuer that may change them."""

    def find(self, algorithm: str, kid: str | None) -> Any:
        """Return the key; raise `UnknownKeyError` when it is not known."""


class TokenVerifier:
    """Verifies tokens by `auth.jwt`, with the configured key or, given any, one of *keys*.

    Raises ConfigError when the key does not fit the algorithms.
    """

    def __init__(self, config: Jwt, keys: Keys | None = None) -> None:
        self._config = config
        self._algorithms = list(config.algorithms)
        self._jws = _signatures(config)
        self._keys = keys
        self._key = _key(config, self._jws) if config.jwks_url is None else None

    def verify(self, token: str, now: float) -> Identity:
        """Return who the bearer of `token` is at `now` (Unix seconds).

        Raises RtError: `token_expired` for a token that was good once, `unauthorized` for any other bad one. One that
        is signed with a key not known yet is an UnknownKeyError, and may be good when its wait is over.
        """
        claims = self._claims(token)
        identity = identity_of(claims)
        self._check_issuer(claims)
        self._check_times(claims, identity, now)
        return identity

    def _claims(self, token: str) -> Mapping[str, Any]:
        if not isinstance(token, str) or not token:
            refuse("the token must be a string")
        if len(token) > MAX_TOKEN:
            refuse("the token is too long")
        try:
            found = self._jws.decode_complete(token, self._key_for(token), algorithms=self._algorithms)
            claims = orjson.loads(found["payload"])
        except (pyjwt.PyJWTError, ValueError, TypeError, RecursionError):
            refuse("the token is not valid")
        if not isinstance(claims, dict):
            refuse("the token is not valid")
        return claims

    def _key_for(self, token: str) -> Any:
        if self._keys is None:
            return self._key
        header = self._jws.get_unverified_header(token)
        algorithm = header.get("alg")
        if algorithm not in self._algorithms:
            refuse("the token is not valid")
        return self._keys.find(algorithm, header.get("kid"))

    def _check_issuer(self, claims: Mapping[str, Any]) -> None:
        audience = claims.get("aud")
        if audience is not None or self._config.audience:
            given = [audience] if isinstance(audience, str) else audience
            # RFC 7519, 4.1.3: a token meant for others must not be taken, even when no audience is
            # configured.
            if not isinstance(given, list) or not any(aud in given for aud in self._config.audience):
                refuse("the token is for another audience")
        if self._config.issuer and claims.get("iss") not in self._config.issuer:
            refuse("the token is from another issuer")

    def _check_times(self, claims: Mapping[str, Any], identity: Identity, now: float) -> None:
        not_before = time_of(claims, "nbf")
        if not_before is not None and now < not_before - self._config.leeway:
            refuse("the token is not valid yet")
        if identity.expires_at is None:
            if self._config.require_exp:
                refuse("the token has no expiry")
        elif now >= identity.expires_at + self._config.leeway:
            raise RtError(TOKEN_EXPIRED, "the token has expired")


def sign(claims: Mapping[str, Any], config: Jwt, now: float) -> str:
    """Sign `claims` with the configured secret, adding `iat` and the configured issuer and audience.

    Raises ConfigError when there is no secret to sign with.
    """
    if config.secret is None:
        raise ConfigError([Problem("auth.jwt.secret", "is required to sign tokens")])
    if not config.symmetric:
        raise ConfigError([Problem("auth.jwt.algorithms", "must be HS algorithms to sign with a secret")])
    full: dict[str, Any] = {"iat": int(now)}
    full |= {"iss": config.issuer[0]} if config.issuer else {}
    full |= {"aud": config.audience[0]} if config.audience else {}
    jws = _signatures(config)
    payload = orjson.dumps(full | dict(claims))
    return jws.encode(payload, _key(config, jws), config.algorithms[0])


class _Hmac(HMACAlgorithm):
    """HMAC whose key was looked at once, at the start, and not again with every token."""

    def prepare_key(self, key: str | bytes) -> bytes:
        return key if isinstance(key, bytes) else super().prepare_key(key)

    def check_key_length(self, key: bytes) -> str | None:
        # A short secret is the operator's to hear about at the start (`check.advice`), not with every token.
        return None


def _signatures(config: Jwt) -> pyjwt.PyJWS:
    jws = pyjwt.PyJWS(algorithms=[name for name in config.algorithms if name not in _HASHES])
    for name in dict.fromkeys(config.algorithms):
        if name in _HASHES:
            jws.register_algorithm(name, _Hmac(_HASHES[name]))
    return jws


def _key(config: Jwt, jws: pyjwt.PyJWS) -> Any:
    place = "auth.jwt.secret" if config.symmetric else "auth.jwt.public_key"
    given = config.secret.get_secret_value() if config.symmetric and config.secret else config.public_key
    if given is None or (config.symmetric and config.secret is None):
        raise ConfigError([Problem(place, "is required to verify tokens")])
    key: Any = None
    for name in config.algorithms:
        algorithm = jws.get_algorithm_by_name(name)
        try:
            key = algorithm.prepare_key(given)
            complaint = algorithm.check_key_length(key)
        except (pyjwt.PyJWTError, ValueError, TypeError, UnsupportedAlgorithm):
            raise ConfigError([Problem(place, f"is not a key for {name}")]) from None
        if complaint is not None or hasattr(key, "private_bytes"):
            raise ConfigError([Problem(place, complaint or "is a private key")])
    return key
