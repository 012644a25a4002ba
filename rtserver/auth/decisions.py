"""What a backend decided, and for how long that is remembered. Pure: times are arguments."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Any, NamedTuple

import orjson

from rtserver.auth.claims import Identity, identity_of
from rtserver.protocol.data import sound_data
from rtserver.protocol.errors import RtError

# Not given, which is not the same as null.
ABSENT: Any = object()

_FIELDS = frozenset({"allow", "reason", "client_id", "name", "rooms", "data"})
_LONGEST_REASON = 200


class Decision(NamedTuple):
    """Whether something may be done, and if not, *reason* in a sentence for a person.

    *identity* is who the backend says the client is, None when it does not say. *data* takes the place of a message's.
    """

    allow: bool
    reason: str | None = None
    identity: Identity | None = None
    data: Any = ABSENT


def read_decision(body: bytes) -> Decision:
    """Return what an answer says; raise `ValueError` when it cannot be read, or says what nobody can mean."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise ValueError("is not JSON") from None
    if not isinstance(found, dict) or not isinstance(found.get("allow"), bool):
        raise ValueError("does not say allow: true or false")
    if not found.keys() <= _FIELDS:
        raise ValueError(f"has an unknown field: {min(found.keys() - _FIELDS)[:50]!r}")
    reason = found.get("reason")
    if not isinstance(reason, str | None):
        raise ValueError("reason is not a string")
    data = sound_data(found["data"]) if "data" in found else ABSENT
    return Decision(found["allow"], reason[:_LONGEST_REASON] if reason else None, _identity(found), data)


def _identity(found: dict[str, Any]) -> Identity | None:
    said = {"sub": found.get("client_id"), "name": found.get("name"), "rooms": found.get("rooms")}
    if said["sub"] is None:
        if said["name"] is not None or said["rooms"] is not None:
            raise ValueError("names no client_id, but its name or rooms")
        return None
    try:
        return identity_of(said)
    except RtError as error:
        raise ValueError(f"has a client_id, name or rooms that cannot be used ({error.message})") from None


class Memory:
    """Decisions that hold for *ttl* seconds; the oldest go when there are too many."""

    __slots__ = ("_known", "_most", "_ttl")

    def __init__(self, ttl: float, most: int = 10_000) -> None:
        self._ttl = ttl
        self._most = most
        self._known: OrderedDict[Hashable, tuple[float, Decision]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def get(self, key: Hashable, now: float) -> Decision | None:
        """Return what was decided and still holds."""
        known = self._known.get(key)
        return known[1] if known is not None and now < known[0] else None

    def put(self, key: Hashable, decision: Decision, now: float) -> None:
        """Remember it."""
        if self._ttl <= 0:
            return
        self._known.pop(key, None)
        self._known[key] = (now + self._ttl, decision)
        # A fixed time to live: the first in is the first out.
        while self._known and (len(self._known) > self._most or next(iter(self._known.values()))[0] <= now):
            self._known.popitem(last=False)
