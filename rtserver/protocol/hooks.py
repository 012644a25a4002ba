"""What webhooks tell: a model for the data of each type of event."""

from __future__ import annotations

from typing import Any, Literal

from rtserver.protocol.shape import LEFT_OUT, Shape, Timestamp


class HookData(Shape):
    """What the data of every event has."""

    node: str
    """The server that tells."""
    epoch: int
    """Of the server's life; higher after a restart."""
    seq: int
    """Rises by one per node and epoch."""


class Who(HookData):
    """A client."""

    client_id: str
    """The name others address."""
    user_id: str | None
    """The user that a token vouches for; null for guests."""
    sid: str
    session_id: str
    """Stays the same when the client comes back within ``recovery.grace``."""


class ServerStatus(HookData):
    """The server runs, or is about to stop."""

    status: Literal["running", "stopping"]
    timestamp: Timestamp
    version: str
    uptime_s: float
    active_connections: int


class ClientConnected(Who):
    """A client was accepted, or came back."""

    client_number: int
    """Counts up for the life of the server."""
    total_connections: int
    name: str
    transport: str
    """``websocket`` or ``polling``."""
    ip: str
    recovered: bool
    """Whether it was given what it missed."""


class ClientDisconnected(Who):
    """A client is gone; once for every client-connected."""

    remaining_connections: int
    reason: str
    duration_s: float
    lost_node: str = LEFT_OUT
    """The server that died with it."""


class RoomMembership(Who):
    """A member entered a room, or left it."""

    room: str
    count: int
    """How many members the room has now."""
    reason: str = LEFT_OUT
    """Why it left."""


class RoomOccupancy(HookData):
    """The first came into a room, or the last left it."""

    room: str


class MessageBroadcast(HookData):
    """A chat or broadcast was published, by a client or a backend."""

    event: Literal["chat", "broadcast"]
    id: str
    room: str | None
    """Null for a message to everybody."""
    sender: str | None
    """The sender's client_id; null for a backend."""
    username: str
    message: str
    data: Any
    """Null without data."""
    timestamp: Timestamp
    offset: int


class NotificationRead(HookData):
    """A user read notifications."""

    user_id: str
    notification_ids: list[str]


class BroadcastStats(HookData):
    """How much there is to do."""

    active_connections: int
    total_messages: int
    """Since the server started."""
    rooms: int
    deliveries: int
    """Since the server started."""
    messages_per_s: float
    """Since the last time."""


HOOK_EVENTS: dict[str, type[HookData]] = {
    "server-status": ServerStatus,
    "client-connected": ClientConnected,
    "client-disconnected": ClientDisconnected,
    "client-resumed": ClientConnected,
    "room-joined": RoomMembership,
    "room-left": RoomMembership,
    "room-occupied": RoomOccupancy,
    "room-vacated": RoomOccupancy,
    "message-broadcast": MessageBroadcast,
    "notification-read": NotificationRead,
    "broadcast-stats": BroadcastStats,
}
"""The data by type."""
