"""What the server says of its own accord: welcome, who came and who went. Each kind can be switched off."""

from __future__ import annotations

from typing import Any

from rtserver.client import Client
from rtserver.config.schema import Announce
from rtserver.fanout import Fanout, Message
from rtserver.protocol.identifiers import Clock, iso_timestamp

SYSTEM = {"username": "SYSTEM", "is_system": True}


class Announcer:
    """Writes the announcements of CONTRACT section 5 to whom they concern."""

    def __init__(self, fanout: Fanout, announce: Announce, shows_members: Any, clock: Clock) -> None:
        self._fanout = fanout
        self._announce = announce
        self._shows_members = shows_members
        self._clock = clock

    def welcome(self, client: Client, total: int) -> None:
        """Greet an accepted client."""
        if not self._announce.welcome:
            return
        expires_at = client.identity.expires_at if client.identity is not None else None
        client.emit(
            "welcome",
            {
                "client_id": client.client_id,
                "sid": client.sid,
                "name": client.name,
                "verified": client.verified,
                "message": f"Welcome, {client.name}",
                "client_number": client.number,
                "total_connections": total,
                "timestamp": self._clock.timestamp(),
                "expires_at": iso_timestamp(expires_at) if expires_at is not None else None,
            },
        )

    def connected(self, client: Client, total: int) -> None:
        """Tell everybody that a client came."""
        self._connection("client_connected", client, total, "connected")

    def disconnected(self, client: Client, total: int) -> None:
        """Tell everybody that a client went."""
        self._connection("client_disconnected", client, total, "disconnected")

    def joined(self, client: Client, room: str, count: int) -> None:
        """Tell the others in the room that a member came."""
        self._membership("user_joined", client, room, count, f"{client.name} joined the room", {})

    def left(self, client: Client, room: str, count: int, reason: str | None) -> None:
        """Tell those who stay that a member went."""
        extra = {"reason": reason} if reason is not None else {}
        self._membership("user_left", client, room, count, f"{client.name} left the room", extra)

    def _connection(self, event: str, client: Client, total: int, verb: str) -> None:
        if not self._announce.connections:
            return
        body = {
            "client_id": client.client_id,
            "name": client.name,
            "total_connections": total,
            "message": f"{client.name} {verb}",
            **SYSTEM,
            "timestamp": self._clock.timestamp(),
        }
        self._fanout.deliver(None, Message(event, body))

    def _membership(
        self, event: str, client: Client, room: str, count: int, message: str, extra: dict[str, Any]
    ) -> None:
        if not (self._announce.joins and self._shows_members(room)):
            return
        body = {
            "room": room,
            "client_id": client.client_id,
            "name": client.name,
            "count": count,
            "message": message,
            **SYSTEM,
            "timestamp": self._clock.timestamp(),
            **extra,
        }
        self._fanout.deliver(room, Message(event, body), skip=(client.sid,))
