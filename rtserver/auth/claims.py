"""Claims of a token → `Identity`. Every claim of the wrong type is a refusal, never an error of our own."""

import math
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from rtserver.protocol.errors import UNAUTHORIZED, RtError
from rtserver.protocol.names import normal_name


@dataclass(frozen=True, slots=True)
class Identity:
    """What a token says of its bearer. Times are Unix seconds; a claim that is not there is None or empty."""

    user: str
    name: str | None = None
    rooms: tuple[str, ...] | None = None
    publish: tuple[str, ...] | None = None
    roles: tuple[str, ...] = ()
    meta: Mapping[str, Any] = field(default_factory=dict)
    expires_at: float | None = None
    issued_at: float | None = None
    jti: str | None = None


def identity_of(claims: Mapping[str, Any]) -> Identity:
    """Return who a token with these `claims` names. Raises RtError (`unauthorized`) when they are unusable."""
    user = _name(claims, "sub")
    if user is None or user.startswith("guest:"):
        refuse("the token names no user")
    meta = claims.get("meta")
    if not isinstance(meta, dict | None):
        refuse("the claim meta must be an object")
    jti = claims.get("jti")
    if not isinstance(jti, str | None):
        refuse("the claim jti must be a string")
    return Identity(
        user=user,
        name=_name(claims, "name"),
        rooms=_texts(claims, "rooms"),
        publish=_texts(claims, "publish"),
        roles=_texts(claims, "roles") or (),
        meta=meta or {},
        expires_at=time_of(claims, "exp"),
        issued_at=time_of(claims, "iat"),
        jti=jti,
    )


def _name(claims: Mapping[str, Any], claim: str) -> str | None:
    value = claims.get(claim)
    if value is None:
        return None
    try:
        return normal_name(value)
    except (ValueError, TypeError, AttributeError):
        refuse(f"the claim {claim} must be a name")


def _texts(claims: Mapping[str, Any], claim: str) -> tuple[str, ...] | None:
    value = claims.get(claim)
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        refuse(f"the claim {claim} must be a list of strings")
    # Names are compared in NFC, so patterns over them have to be in it too.
    return tuple(unicodedata.normalize("NFC", item) for item in value)


def time_of(claims: Mapping[str, Any], claim: str) -> float | None:
    """Return a claim that is a time, in Unix seconds; None without it. Raises RtError."""
    value = claims.get(claim)
    if value is None:
        return None
    # Beyond 2**53 a float is no longer exact to the second, and no clock will get there.
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.fabs(value) < 2**53:
        refuse(f"the claim {claim} must be a time in seconds")
    return float(value)


def refuse(message: str) -> NoReturn:
    """Raise RtError (`unauthorized`) with a sentence that repeats nothing of the token."""
    raise RtError(UNAUTHORIZED, message)
