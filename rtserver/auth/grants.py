"""What a client may do in a room: the first policy whose pattern matches decides."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache
from typing import Protocol

from rtserver.auth.claims import Identity
from rtserver.config.schema import RoomPolicy
from rtserver.protocol.errors import FORBIDDEN, NOT_A_MEMBER, RtError
from rtserver.protocol.names import RESERVED_PREFIXES
from rtserver.rooms.patterns import Patterns

# The name under which policies see the stream of messages to everybody; no room can have it.
EVERYBODY = ""

# How many room names remember their policy; rooms come and go, so this must be bounded.
_REMEMBERED = 4096

# What holds for a room that no policy names: the same as without any policies.
_DEFAULT = RoomPolicy(match="*")


class Applicant(Protocol):
    """What a decision needs to know of a client."""

    @property
    def identity(self) -> Identity | None:
        """Who a token says it is."""

    @property
    def rooms(self) -> Collection[str] | None:
        """The rooms it is a member of."""


class Grants:
    """Policies by room."""

    def __init__(self, policies: Sequence[RoomPolicy]) -> None:
        self._policies = [(Patterns([policy.match]), policy) for policy in policies]
        self.policy = lru_cache(maxsize=_REMEMBERED)(self._find)

    def check_join(self, client: Applicant, room: str) -> None:
        """Raise `RtError` when the client may not join."""
        _check_reserved(room)
        rule = self.policy(room).join
        claimed = client.identity.rooms if client.identity is not None else None
        if not _allowed(rule, client, claimed, room):
            raise RtError(FORBIDDEN, "room: you may not join this room")

    def check_publish(self, client: Applicant, room: str | None) -> None:
        """Raise `RtError` when the client may not publish to the room, or for None, to everybody.

        Everybody is ruled by the policy that matches the empty name, and all clients are its members.
        """
        rule = self.policy(room or EVERYBODY).publish
        claimed = client.identity.publish if client.identity is not None else None
        if room is None:
            if rule != "members" and not _allowed(rule, client, claimed, EVERYBODY):
                raise RtError(FORBIDDEN, "room: you may not publish to everybody")
            return
        _check_reserved(room)
        if rule == "members":
            if client.rooms is None or room not in client.rooms:
                raise RtError(NOT_A_MEMBER, "room: join the room before you publish to it")
        elif not _allowed(rule, client, claimed, room):
            raise RtError(FORBIDDEN, "room: you may not publish to this room")

    def check_subscribe(self, client: Applicant, stream: str) -> None:
        """Raise `RtError` when the client may not hear the topic whose stream that is: ``topic:`` and its name.

        The policies of rooms rule topics as well: their ``join``.
        """
        claimed = client.identity.rooms if client.identity is not None else None
        if not _allowed(self.policy(stream).join, client, claimed, stream):
            raise RtError(FORBIDDEN, "topic: you may not subscribe to this topic")

    def check_look(self, client: Applicant, room: str) -> None:
        """Raise `RtError` when the client may not see who is in the room, or what was said there."""
        if client.rooms is None or room not in client.rooms:
            self.check_join(client, room)

    def closed_by(self, before: Identity | None, after: Identity, rooms: Iterable[str]) -> list[str]:
        """Return those of *rooms* that the claims *before* opened, and those *after* do not.

        Who is in a room by the application's doing, whatever its claims, stays there.
        """
        old = before.rooms if before is not None else None
        return [
            room
            for room in rooms
            if self.policy(room).join == "claim" and _claimed(old, room) and not _claimed(after.rooms, room)
        ]

    def _find(self, room: str) -> RoomPolicy:
        return next((policy for patterns, policy in self._policies if patterns.match(room)), _DEFAULT)


def _check_reserved(room: str) -> None:
    if room.startswith(RESERVED_PREFIXES):
        raise RtError(FORBIDDEN, f"room: names that begin with {room.partition(':')[0]}: are reserved")


def _allowed(rule: str, client: Applicant, claimed: Sequence[str] | None, room: str) -> bool:
    if rule == "anyone":
        return True
    if rule == "authenticated":
        return client.identity is not None
    return rule == "claim" and _claimed(claimed, room)


def _claimed(claimed: Sequence[str] | None, room: str) -> bool:
    return claimed is not None and _patterns(tuple(claimed)).match(room)


@lru_cache(maxsize=_REMEMBERED)
def _patterns(claimed: tuple[str, ...]) -> Patterns:
    return Patterns(claimed)
