"""Keys of an issuer, and tokens signed with them."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

import jwt as pyjwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import get_default_algorithms

NOW = 1_000_000.0
GOOD: dict[str, Any] = {"sub": "ada", "exp": NOW + 60}


def private_key(algorithm: str, number: int = 0) -> Any:
    """A private key, the same for the same arguments."""
    return _made(algorithm, number)


@lru_cache
def _made(algorithm: str, number: int) -> Any:
    if algorithm.startswith("RS"):
        return rsa.generate_private_key(65537, 2048)
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    curves = {"ES256": ec.SECP256R1, "ES384": ec.SECP384R1, "ES512": ec.SECP521R1}
    return ec.generate_private_key(curves[algorithm]())


def jwk(algorithm: str, kid: str | None = None, number: int = 0, **more: Any) -> dict[str, Any]:
    """The public half as an issuer publishes it."""
    public = private_key(algorithm, number).public_key()
    written = get_default_algorithms()[algorithm].to_jwk(public, as_dict=True)
    return {**written, **({"kid": kid} if kid is not None else {}), **more}


def document(*keys: dict[str, Any]) -> bytes:
    """What an issuer answers."""
    return json.dumps({"keys": list(keys)}).encode()


def signed(algorithm: str, kid: Any = None, number: int = 0, **claims: Any) -> str:
    """A token signed with the private half; `kid` in its header."""
    headers = {"kid": kid} if kid is not None else {}
    payload = json.dumps(GOOD | claims).encode()
    return pyjwt.PyJWS().encode(payload, private_key(algorithm, number), algorithm, headers)


class Log:
    """Keeps what is logged, whatever another test has configured."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def warning(self, event: str, **fields: Any) -> None:
        """Keep it."""
        self.lines.append(f"{event} {fields}")

    info = warning
