"""The public keys of an issuer (RFC 7517), and which of them a token asks for. Pure."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any

import jwt as pyjwt
import orjson
from cryptography.exceptions import UnsupportedAlgorithm

from rtserver.protocol.errors import UNAUTHORIZED, Reason, RtError

MAX_KEYS = 64
"""Most keys that an issuer is believed to have."""

_FAMILIES = {"RS": "RSA", "ES": "EC", "Ed": "OKP"}
_CURVES = {"ES256": ("P-256",), "ES384": ("P-384",), "ES512": ("P-521",), "EdDSA": ("Ed25519", "Ed448")}


class UnknownKeyError(RtError):
    """A token is signed with a key that is not known. *wait* returns when the issuer was asked again."""

    def __init__(self, wait: Callable[[], Awaitable[None]], reason: Reason | None = None) -> None:
        super().__init__(reason or UNAUTHORIZED, "the token is signed with an unknown key")
        self.wait = wait


class KeySet:
    """The keys that fit the configured algorithms, by algorithm and `kid`."""

    __slots__ = ("_keys",)

    def __init__(self, keys: Sequence[Mapping[str, Any]] = (), algorithms: Sequence[str] = ()) -> None:
        jws = pyjwt.PyJWS(algorithms=list(algorithms))
        self._keys: dict[str, dict[str | None, Any]] = {name: {} for name in algorithms}
        for name in algorithms:
            for kid, key in _fitting(jws.get_algorithm_by_name(name), name, keys):
                self._keys[name].setdefault(kid, key)

    def __len__(self) -> int:
        return sum(map(len, self._keys.values()))

    def find(self, algorithm: str, kid: str | None) -> Any:
        """Return the key of that name for that algorithm, without a name the only one; None when there is none."""
        keys = self._keys.get(algorithm, {})
        if kid is None:
            return next(iter(keys.values())) if len(keys) == 1 else None
        return keys.get(kid)


def read_keys(document: bytes, algorithms: Sequence[str]) -> KeySet:
    """Return the keys in an issuer's *document*; raise `ValueError` when it has none that can be used."""
    try:
        found = orjson.loads(document)
    except orjson.JSONDecodeError:
        raise ValueError("is not JSON") from None
    keys = found.get("keys") if isinstance(found, dict) else None
    if not isinstance(keys, list) or not all(isinstance(key, dict) for key in keys):
        raise ValueError("has no list of keys")
    if len(keys) > MAX_KEYS:
        raise ValueError(f"has more than {MAX_KEYS} keys")
    result = KeySet(keys, algorithms)
    if not len(result):
        raise ValueError("has no key for the algorithms in auth.jwt.algorithms")
    return result


def _fitting(
    algorithm: Any, name: str, keys: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[str | None, Any]]:
    for key in keys:
        if not _is_meant(name, key):
            continue
        try:
            ready = algorithm.prepare_key(algorithm.from_jwk(dict(key)))
            weak = algorithm.check_key_length(ready)
        except (pyjwt.PyJWTError, ValueError, TypeError, KeyError, AttributeError, UnsupportedAlgorithm):
            continue
        if weak is None and not hasattr(ready, "private_bytes"):
            kid = key.get("kid")
            yield (kid if isinstance(kid, str) else None), ready


def _is_meant(name: str, key: Mapping[str, Any]) -> bool:
    """Tell whether a key may verify signatures of the algorithm: its type, curve, use and algorithm must agree."""
    operations = key.get("key_ops")
    return (
        key.get("kty") == _FAMILIES.get(name[:2])
        and (name not in _CURVES or key.get("crv") in _CURVES[name])
        and key.get("alg") in (None, name)
        and key.get("use") in (None, "sig")
        and (operations is None or (isinstance(operations, list) and "verify" in operations))
    )
