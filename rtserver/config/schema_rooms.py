"""Sections about what clients do: `rooms`, `limits`, `announce`, `recovery`, `notifications`."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from rtserver.config.section import Section
from rtserver.config.types import Count, CountOrZero, Duration, PerSecond, PositiveDuration, Size, Text


class History(Section):
    """What a room remembers."""

    size: CountOrZero = 100
    """Latest publications kept per room; 0 keeps none."""
    ttl: PositiveDuration = 86400.0
    """Age at which a publication is forgotten."""


class RoomPolicy(Section):
    """Rules for the rooms whose name matches; the first policy that matches wins."""

    match: Text
    """Name of the room; `*` stands for any characters, `?` for one."""
    join: Literal["anyone", "authenticated", "claim", "nobody"] = "anyone"
    """Who may join."""
    publish: Literal["anyone", "authenticated", "members", "claim", "nobody"] = "members"
    """Who may publish."""
    presence: bool = True
    """Whether members see who else is there, comes and goes."""
    history: History = History()
    max_members: Count | None = None
    """Most members, counted by client_id; null is no limit."""


def _as_many_as_messages(rate: dict[str, Any]) -> int:
    return int(rate["messages"])


class Rate(Section):
    """A token bucket: `messages` per `per`, and up to `burst` at once."""

    messages: Count
    """Messages allowed per `per`, in the long run."""
    per: PositiveDuration = 1.0
    burst: Count = Field(default_factory=_as_many_as_messages)
    """Messages allowed at once after a pause; the same as `messages` when left out."""


class ConnectionLimits(Section):
    """Limits on connections; null is no limit."""

    total: Count | None = None
    """Connections to this node."""
    per_user: Count | None = None
    """Connections of one client_id."""
    per_ip: Count | None = None
    """Connections from one address."""
    accept_rate: PerSecond | None = None
    """New connections per second; one too many is answered 503 and tries again."""


class Limits(Section):
    """What one client, and all together, may use up."""

    connections: ConnectionLimits = ConnectionLimits()
    rooms_per_client: Count | None = 100
    """Rooms one client may be in, and topics it may hear; null is no limit."""
    message_size: Size = 64_000
    """Largest message and data of one event together, and title, message and data of a notification."""
    rate: Rate | None = Rate(messages=100, per=1.0, burst=200)
    """Events of one client; null is no limit."""
    events: Mapping[str, Rate] = Field(default_factory=dict)
    """Rates of one client for single events, besides `rate`, by the event's name."""


class Announce(Section):
    """What clients are told unasked."""

    welcome: bool = True
    """`welcome` to a client that was accepted."""
    connections: bool = False
    """`client_connected` and `client_disconnected` to everybody."""
    joins: bool = True
    """`user_joined` and `user_left` to the room."""


class Recovery(Section):
    """Clients whose line was cut."""

    enabled: bool = True
    """Whether a cut client is held for `grace`, and can be recovered with the messages it missed."""
    grace: Duration = 5.0
    """A client back within this time was never gone for the others."""
    window: Duration = 120.0
    """A client back within this time gets what it missed; 0 recovers nothing."""
    max_messages: Count = 1000
    """Most messages kept for that per room, and per client for what is sent to it alone."""


class Retention(Section):
    """How long a user's inbox keeps notifications."""

    max_age: PositiveDuration | None = 30 * 86400.0
    """Age at which a notification is deleted; null is never."""
    max_count: Count | None = 1000
    """Notifications kept per user, the newest; null is all."""


class Notifications(Section):
    """Users' inboxes."""

    retention: Retention = Retention()
