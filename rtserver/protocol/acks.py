"""What events of clients are answered: a model per acknowledgement, without the ``ok: true`` that all begin with."""

from __future__ import annotations

from typing import Literal, NamedTuple

from rtserver.protocol import messages, notices
from rtserver.protocol.events import Member, Recorded, UserNotification
from rtserver.protocol.shape import LEFT_OUT, Shape, Timestamp


class Done(Shape):
    """It was done."""


class RoomEntered(Shape):
    """The client is in the room."""

    room: str
    members: list[Member]
    """At most 100 of them; ``count`` is exact."""
    count: int
    offset: int
    """Of the room's latest publication."""
    history: list[Recorded]
    recovered: bool
    """Whether ``history`` is everything since the offset asked for."""


class RoomLeft(Shape):
    """The client left the room."""

    room: str


class Published(Shape):
    """The message was recorded and delivered."""

    id: str
    offset: int
    timestamp: Timestamp


class Broadcasted(Published):
    """The message was recorded and delivered."""

    recipients: int
    """How many clients got it."""


class Delivered(Shape):
    """The private message was delivered."""

    id: str
    timestamp: Timestamp
    delivered: int
    """To how many clients."""


class Ponged(Shape):
    """The server is there."""

    pong: Literal[True]
    timestamp: Timestamp


class MembersPage(Shape):
    """A page of a room's members."""

    members: list[Member]
    count: int
    """How many there are in all."""
    next: str = LEFT_OUT
    """The cursor of the next page; left out on the last one."""


class HistoryPage(Shape):
    """What was said in a room, oldest first."""

    messages: list[Recorded]
    offset: int
    """Of the room's latest publication."""
    complete: bool
    """False when something after ``since`` is missing."""


class RoomNames(Shape):
    """The rooms that this connection joined."""

    rooms: list[str]


class TopicName(Shape):
    """The topic, as it is compared with others."""

    topic: str


class InboxPage(Shape):
    """A page of the user's inbox, the newest first."""

    notifications: list[UserNotification]
    unread: int
    """How many are unread in all of the inbox."""


class MarkedRead(Shape):
    """Notifications were marked as read."""

    marked: int
    """How many were not before."""


class Refreshed(Shape):
    """The new token is in the place of the old one."""

    expires_at: Timestamp | None
    """When it expires; null for never."""
    left: list[str] = LEFT_OUT
    """Rooms that only the old token opened."""


class Exchange(NamedTuple):
    """What an event takes, None for anything, and what it is answered."""

    payload: type[messages.Message] | None
    ack: type[Shape]


CLIENT_EVENTS: dict[str, Exchange] = {
    "join": Exchange(messages.Join, RoomEntered),
    "leave": Exchange(messages.Leave, RoomLeft),
    "chat": Exchange(messages.Chat, Published),
    "broadcast": Exchange(messages.Broadcast, Broadcasted),
    "private": Exchange(messages.Private, Delivered),
    "typing": Exchange(messages.Typing, Done),
    "ping": Exchange(None, Ponged),
    "presence": Exchange(messages.Presence, MembersPage),
    "history": Exchange(messages.History, HistoryPage),
    "rooms": Exchange(messages.Rooms, RoomNames),
    "subscribe": Exchange(notices.Subscribe, TopicName),
    "unsubscribe": Exchange(notices.Subscribe, TopicName),
    "notifications": Exchange(notices.Notifications, InboxPage),
    "mark_read": Exchange(notices.MarkRead, MarkedRead),
    "mark_all_read": Exchange(notices.MarkAllRead, MarkedRead),
    "refresh_token": Exchange(messages.RefreshToken, Refreshed),
}
"""The events by name, but for ``message``, the envelope around another one."""
