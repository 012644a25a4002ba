"""What backends are told of clients, rooms and messages: the data of every webhook event (CONTRACT section 7)."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from typing import Any

from rtserver.client import Client
from rtserver.store.base import Session, SessionRoom
from rtserver.webhooks.emitter import Emitter
from rtserver.webhooks.journal import Effect, Receipt

# An inbox without a limit must not become one event without a limit.
_IDS = 1000


class Reporter:
    """Writes the events. Each method does nothing when no target wants what it would say."""

    def __init__(self, emitter: Emitter) -> None:
        self._emitter = emitter
        # Sessions and their rooms are only kept for the last events of a node that dies.
        self._keeps_sessions = emitter.wants("client-disconnected")
        self._keeps_rooms = self._keeps_sessions and emitter.wants("room-left")
        self._tells_messages = emitter.wants("message-broadcast")

    def connected(self, client: Client, total: int) -> None:
        """A client was accepted."""
        opened = None
        if self._keeps_sessions:
            about = {**_who(client), "connected_at": client.session_since}
            opened = Session(client.session_id, self._emitter.life.epoch, about)
        self._emitter.emit(
            "client-connected",
            _connection(client, total),
            client=client.client_id,
            effect=Effect(opened=opened) if opened is not None else None,
        )

    def resumed(self, client: Client, total: int) -> None:
        """A client came back within its time of grace."""
        effect = Effect(of=client.session_id) if self._keeps_sessions else None
        self._emitter.emit(
            "client-resumed", _connection(client, total), client=client.client_id, effect=effect
        )

    def disconnected(self, client: Client, remaining: int, reason: str) -> None:
        """A client is gone for good."""
        data = {
            "remaining_connections": remaining,
            **_who(client),
            "session_id": client.session_id,
            "reason": reason,
            "duration_s": round(max(time.time() - client.session_since, 0.0), 3),
        }
        effect = Effect(closed=client.session_id) if self._keeps_sessions else None
        self._emitter.emit("client-disconnected", data, client=client.client_id, effect=effect)

    def joined(self, client: Client, room: str, count: int, *, first: bool) -> None:
        """A member entered a room."""
        if first:
            self._room("room-occupied", client, room)
        self._membership("room-joined", client, room, {"count": count}, entered=True)

    def left(self, client: Client, room: str, count: int, reason: str | None, *, last: bool) -> None:
        """A member left a room."""
        extra = {"reason": reason} if reason is not None else {}
        self._membership("room-left", client, room, {"count": count, **extra}, entered=False)
        if last:
            self._room("room-vacated", client, room)

    def entered(self, client: Client, room: str) -> None:
        """One more connection of a member entered a room: nobody is told, but should the node die, it was there."""
        self._note(Effect(entered=SessionRoom(client.session_id, room)))

    def exited(self, client: Client, room: str) -> None:
        """Undo `entered`."""
        self._note(Effect(left=SessionRoom(client.session_id, room)))

    def _note(self, effect: Effect) -> None:
        if self._keeps_rooms:
            self._emitter.note(effect)

    def introduce(
        self, clients: Sequence[Client], known: Collection[str], identifier: Callable[[], str]
    ) -> None:
        """Tell of clients as if they came now: another node has said that all are gone, but for *known* sessions.

        Those that are held for an heir come after it.
        """
        inside: dict[str, set[str]] = {}
        strangers = [client for client in clients if client.session_id not in known]
        for client in clients:
            if client.session_id in known:
                for room in client.rooms or ():
                    inside.setdefault(room, set()).add(client.client_id)
        for client in strangers:
            if client.heir is not None:
                client.session_id, client.session_since = client.heir.session_id, client.heir.session_since
            else:
                client.session_id, client.session_since = identifier(), time.time()
                self.connected(client, len(clients))
            for room in client.rooms or ():
                self._introduce(client, room, inside.setdefault(room, set()))

    def _introduce(self, client: Client, room: str, inside: set[str]) -> None:
        if client.client_id in inside:
            self.entered(client, room)
        else:
            inside.add(client.client_id)
            self.joined(client, room, len(inside), first=len(inside) == 1)

    def said(self, event: str, publication: dict[str, Any]) -> Receipt | None:
        """Something was published under ``chat`` or ``broadcast``; return the receipt to wait for, if any."""
        if not self._tells_messages:
            return None
        return self._emitter.emit(
            "message-broadcast",
            {"data": None, **publication, "event": event},
            room=publication["room"],
            client=publication["sender"],
        )

    def read(self, user: str, notification_ids: Sequence[str]) -> None:
        """A user read notifications."""
        for start in range(0, len(notification_ids), _IDS):
            some = list(notification_ids[start : start + _IDS])
            self._emitter.emit("notification-read", {"user_id": user, "notification_ids": some}, client=user)

    def _room(self, type_: str, client: Client, room: str) -> None:
        effect = Effect(of=client.session_id) if self._keeps_rooms else None
        self._emitter.emit(type_, {"room": room}, room=room, client=client.client_id, effect=effect)

    def _membership(
        self, type_: str, client: Client, room: str, extra: dict[str, Any], *, entered: bool
    ) -> None:
        place = SessionRoom(client.session_id, room)
        effect = Effect(entered=place) if entered else Effect(left=place)
        self._emitter.emit(
            type_,
            {"room": room, **_who(client), "session_id": client.session_id, **extra},
            room=room,
            client=client.client_id,
            effect=effect if self._keeps_rooms else None,
        )


def _who(client: Client) -> dict[str, Any]:
    return {"client_id": client.client_id, "user_id": client.user, "sid": client.sid}


def _connection(client: Client, total: int) -> dict[str, Any]:
    return {
        "client_number": client.number,
        "total_connections": total,
        **_who(client),
        "session_id": client.session_id,
        "name": client.name,
        "transport": client.session.lane.name,
        "ip": client.ip,
        # The client was given what it missed.
        "recovered": client.recovered,
    }
