"""What the server says to clients: a model per event, and the values they share."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import WithJsonSchema

from rtserver.protocol.errors import REASONS
from rtserver.protocol.shape import LEFT_OUT, Shape, Timestamp

Reason = Annotated[str, WithJsonSchema({"enum": [reason.reason for reason in REASONS]})]
Code = Annotated[int, WithJsonSchema({"enum": [reason.code for reason in REASONS]})]
Level = Literal["info", "warning", "error", "success"]


class ErrorBody(Shape):
    """Why something was refused: a row of the closed list of errors."""

    code: Code
    reason: Reason
    message: str
    """A sentence for a person."""
    retry_after: float = LEFT_OUT
    """Seconds to wait before the next try."""


class Goodbye(Shape):
    """Why a connection was refused or is about to end, and whether coming back can help."""

    code: Code
    reason: Reason
    message: str
    """A sentence for a person."""
    reconnect: bool
    retry_after: float = LEFT_OUT
    """Seconds to wait before the next try."""


class EventError(Shape):
    """An event was refused that wanted no acknowledgement."""

    code: Code
    reason: Reason
    message: str
    """A sentence for a person."""
    event: Any
    """The name of the event, as it was sent."""
    retry_after: float = LEFT_OUT
    """Seconds to wait before the next try."""


class Member(Shape):
    """A client_id in a room."""

    client_id: str
    name: str
    verified: bool
    """Whether a token vouches for the client_id."""
    connections: int
    """How many connections (tabs, devices) this member has in the room."""
    joined_at: Timestamp


class Publication(Shape):
    """A message that was recorded and delivered to a room, or to everybody when ``room`` is null."""

    id: str
    room: str | None
    sender: str | None
    """The sender's client_id; null for what a backend says, as SYSTEM."""
    username: str
    message: str
    data: Any = LEFT_OUT
    timestamp: Timestamp
    offset: int


class RecordedMessage(Publication):
    """A message in a room's history, with the event it was sent as."""

    event: Literal["chat", "broadcast"]


class RecordedEvent(Shape):
    """An event of its own name that a backend published: ``data`` is what clients got."""

    event: str
    id: str
    room: str | None
    data: Any
    timestamp: Timestamp
    offset: int


Recorded = RecordedMessage | RecordedEvent


class PrivateMessage(Shape):
    """A message to every connection of one client_id. It is not kept."""

    id: str
    sender: str
    username: str
    to: str
    message: str
    data: Any = LEFT_OUT
    timestamp: Timestamp


class RoomChange(Shape):
    """A member came into a room, or went."""

    room: str
    client_id: str
    name: str
    count: int
    """How many members the room has now."""
    message: str
    username: Literal["SYSTEM"]
    is_system: Literal[True]
    timestamp: Timestamp
    reason: str = LEFT_OUT
    """Why it went."""


class ConnectionChange(Shape):
    """A client connected, or disconnected."""

    client_id: str
    name: str
    total_connections: int
    message: str
    username: Literal["SYSTEM"]
    is_system: Literal[True]
    timestamp: Timestamp


class UserTyping(Shape):
    """Somebody types, or stopped."""

    room: str
    client_id: str
    username: str
    is_typing: bool


class TopicNotification(Shape):
    """What a backend told everybody who is subscribed to a topic. It is not kept."""

    id: str
    topic: str
    type: Level
    level: Level
    """The same as ``type``."""
    title: str
    message: str
    data: Any = LEFT_OUT
    timestamp: Timestamp


class UserNotification(Shape):
    """What a backend told one user. It is in the user's inbox."""

    id: str
    user: str
    type: Level
    level: Level
    """The same as ``type``."""
    title: str
    message: str
    data: Any = LEFT_OUT
    timestamp: Timestamp
    read_at: Timestamp = LEFT_OUT
    """When it was read; left out while it is not."""


class NotificationsRead(Shape):
    """Notifications of the user were read, in whatever tab."""

    notification_ids: list[str]


class AllRead(Shape):
    """All notifications of the user were read."""


class Welcome(Shape):
    """The first event of every session."""

    client_id: str
    sid: str
    name: str
    verified: bool
    """Whether a token vouches for the client_id."""
    message: str
    client_number: int
    """Counts up while the server runs."""
    total_connections: int
    timestamp: Timestamp
    expires_at: Timestamp | None
    """When the token expires; null without a token."""


class TokenExpiring(Shape):
    """The token expires soon: send ``refresh_token``."""

    expires_at: Timestamp


class Pong(Shape):
    """The answer to a ``ping`` that wanted no acknowledgement."""

    timestamp: Timestamp


SERVER_EVENTS: dict[str, type[Shape]] = {
    "welcome": Welcome,
    "chat": Publication,
    "broadcast": Publication,
    "private": PrivateMessage,
    "user_joined": RoomChange,
    "user_left": RoomChange,
    "user_typing": UserTyping,
    "client_connected": ConnectionChange,
    "client_disconnected": ConnectionChange,
    "notification": TopicNotification,
    "new_notification": UserNotification,
    "notification_read": NotificationsRead,
    "all_read": AllRead,
    "token_expiring": TokenExpiring,
    "disconnecting_by_server": Goodbye,
    "pong": Pong,
    "error": EventError,
}
"""The events by name. Backends may publish others."""
