"""Who is in which room: a member is a client_id, and a member may have several connections.

Everything costs O(1) or O(the client's own rooms); nothing walks all rooms.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol


class Person(Protocol):
    """What the registry must know of a client."""

    @property
    def sid(self) -> str:
        """The connection."""

    @property
    def client_id(self) -> str:
        """The member that the connection belongs to."""


class Member:
    """One client_id in one room, with the connections that hold it there."""

    __slots__ = ("client_id", "joined_at", "name", "sids", "verified")

    def __init__(self, client_id: str, name: str, verified: bool, joined_at: float) -> None:
        self.client_id = client_id
        self.name = name
        self.verified = verified
        self.joined_at = joined_at
        self.sids: tuple[str, ...] = ()


class Change(NamedTuple):
    """What a join or a leave changed: did it happen, for the member, for the room; and the members now."""

    happened: bool
    member: bool
    room: bool
    total: int


class Registry:
    """The rooms of one node. ``join`` and ``leave`` tell what changed, so that callers can announce it."""

    __slots__ = ("_rooms", "memberships")

    def __init__(self) -> None:
        self.memberships = 0
        """The members of all rooms together."""
        self._rooms: dict[str, dict[str, Member]] = {}

    def __len__(self) -> int:
        return len(self._rooms)

    def __iter__(self) -> Iterator[str]:
        return iter(self._rooms)

    def join(self, room: str, client: Person, name: str, verified: bool, now: float) -> Change:
        """Add the connection to the room; *now* (seconds since the epoch) is kept as ``joined_at``."""
        members = self._rooms.setdefault(room, {})
        occupied = not members
        member = members.get(client.client_id)
        arrived = member is None
        if member is None:
            member = members[client.client_id] = Member(client.client_id, name, verified, now)
            self.memberships += 1
        if client.sid in member.sids:
            return Change(False, False, False, len(members))
        member.sids = (*member.sids, client.sid)
        return Change(True, arrived, occupied, len(members))

    def leave(self, room: str, client: Person) -> Change:
        """Take the connection out of the room; the member goes with its last connection."""
        members = self._rooms.get(room, {})
        member = members.get(client.client_id)
        if member is None or client.sid not in member.sids:
            return Change(False, False, False, len(members))
        member.sids = tuple(sid for sid in member.sids if sid != client.sid)
        if not member.sids:
            del members[client.client_id]
            self.memberships -= 1
        if not members:
            del self._rooms[room]
        return Change(True, not member.sids, not members, len(members))

    def count(self, room: str) -> int:
        """Return how many members the room has."""
        return len(self._rooms.get(room, ()))

    def member(self, room: str, client_id: str) -> Member | None:
        """Return one member of the room."""
        return self._rooms.get(room, {}).get(client_id)

    def members(self, room: str) -> list[Member]:
        """Return all members of the room in the order in which they came."""
        return list(self._rooms.get(room, {}).values())
