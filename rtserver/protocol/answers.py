"""What the HTTP API answers."""

from __future__ import annotations

from typing import Literal

from rtserver.protocol.events import ErrorBody, Member, Recorded, UserNotification
from rtserver.protocol.shape import Shape, Timestamp


class Error(Shape):
    """A refusal."""

    error: ErrorBody


class Accepted(Shape):
    """A publication that was delivered to who is there."""

    id: str
    """Unique, and later ones compare greater."""
    offset: int
    """Rises by one with every publication of a room, of all, or to a user or connection."""
    recipients: int
    """How many clients got it."""


class Results(Shape):
    """What became of each publication, in order."""

    results: list[Accepted | Error]


class Sent(Shape):
    """A topic was told."""

    sent: int
    """How many clients heard it."""


class Inbox(Shape):
    """A page of a user's inbox, the newest first."""

    notifications: list[UserNotification]


class Marked(Shape):
    """Notifications were marked as read."""

    status: Literal["ok"]
    marked: int
    """How many were not read before."""


class Rooms(Shape):
    """Rooms with somebody in them, by name."""

    rooms: list[str]
    counts: dict[str, int]
    """How many members each of them has."""
    next: str | None
    """The cursor of the next page; null on the last."""


class Room(Shape):
    """A room. There is nothing to create: one without members has nobody in it, and perhaps a history."""

    room: str
    count: int
    """How many members it has."""
    offset: int
    """Of its latest publication."""


class Members(Shape):
    """Who is in a room, in the order in which they came."""

    members: list[Member]
    count: int
    """How many there are in all."""
    next: str | None
    """The cursor of the next page; null on the last."""


class RoomHistory(Shape):
    """What was said in a room, oldest first."""

    messages: list[Recorded]
    offset: int
    """Of the room's latest publication."""
    complete: bool
    """False when something after ``since`` is missing here."""
    next: str | None
    """The cursor of the page with older publications; null when there are none."""


class ConnectedClient(Shape):
    """A connection."""

    sid: str
    client_id: str
    """The name others address."""
    user_id: str | None
    """The user that a token vouches for."""
    name: str
    verified: bool
    """Whether a token vouches for the client_id."""
    session_id: str
    """Stays the same over a blink; webhooks have it."""
    namespace: str
    transport: str
    """``websocket`` or ``polling``."""
    ip: str
    connected_at: Timestamp
    rooms: list[str]


class Clients(Shape):
    """Connections, ordered by sid."""

    clients: list[ConnectedClient]
    count: int
    """How many there are in all."""
    next: str | None
    """The cursor of the next page; null on the last."""


class User(Shape):
    """What is known of a user, or of another client_id."""

    user: str
    connected: bool
    clients: list[ConnectedClient]
    rooms: list[str]
    """The rooms of all of them."""


class Disconnected(Shape):
    """Connections were ended."""

    disconnected: int


class Joined(Shape):
    """The client is in the room."""

    room: str
    joined: bool
    """Whether it was not before."""
    count: int
    """How many members the room has now."""


class Left(Shape):
    """The client is not in the room."""

    room: str
    left: bool
    """Whether it was before."""
    count: int
    """How many members the room has now."""


class Revoked(Shape):
    """Tokens are refused from now on."""

    revoked: int
    """How many clients were sent away for it."""


class DeliveryShown(Shape):
    """One webhook event on its way to one target."""

    id: str
    """The event's id, a slash, and the target's name."""
    event_id: str
    """What the target gets as webhook-id, outside of batches."""
    target: str
    type: str
    state: Literal["pending", "delivered", "dead"]
    attempts: int
    created_at: Timestamp
    due_at: Timestamp | None
    """When it is tried next, while it is pending."""
    error: str | None
    room: str | None
    client_id: str | None


class Deliveries(Shape):
    """Deliveries, the newest first."""

    deliveries: list[DeliveryShown]
    next: str | None
    """The cursor of the next page; null on the last."""


class Retried(Shape):
    """Deliveries are due now, with a fresh schedule."""

    retried: int


class Health(Shape):
    """How the process is."""

    status: Literal["ok", "ready"]
