"""Section `webhooks`: what rtserver tells other services, and how hard it tries."""

import difflib
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from rtserver.config.section import Section
from rtserver.config.types import (
    Count,
    Duration,
    HeaderName,
    HeaderValue,
    HttpUrl,
    PositiveDuration,
    SigningSecrets,
    TargetName,
    Text,
)
from rtserver.config.units import at_most
from rtserver.config.values import listed, number

EVENT_TYPES = (
    "server-status",
    "client-connected",
    "client-disconnected",
    "client-resumed",
    "room-joined",
    "room-left",
    "room-occupied",
    "room-vacated",
    "message-broadcast",
    "notification-read",
    "broadcast-stats",
)
"""Every type of webhook event."""


def _event_pattern(value: str) -> str:
    if any(fnmatchcase(event, value) for event in EVENT_TYPES):
        return value
    nearest = difflib.get_close_matches(value, EVENT_TYPES, n=1)
    raise ValueError("matches no webhook event" + (f"; did you mean '{nearest[0]}'?" if nearest else ""))


EventPatterns = Annotated[tuple[Annotated[str, AfterValidator(_event_pattern)], ...], BeforeValidator(listed)]
Patterns = Annotated[tuple[Text, ...], BeforeValidator(listed)]


class Batch(Section):
    """Several events in one POST."""

    max_events: Count = 100
    """Most events in one POST."""
    max_wait: Annotated[Duration, AfterValidator(at_most(60.0))] = 0.05
    """Longest time an event waits for others, at most 1m."""


class Retry(Section):
    """When a delivery that failed is tried again."""

    schedule: tuple[Annotated[Duration, AfterValidator(at_most(30 * 86400.0))], ...] = (
        1.0,
        5.0,
        30.0,
        300.0,
        1800.0,
        7200.0,
        18000.0,
        36000.0,
    )
    """Waiting times between the attempts, each at most 30d; after the last the delivery is dead."""
    jitter: Annotated[float, BeforeValidator(number), Field(ge=0, le=1)] = 0.1
    """Random share added to or taken from each waiting time, 0 to 1."""


class Target(Section):
    """One receiver of webhooks."""

    name: TargetName
    """Name in commands, logs and metrics."""
    url: HttpUrl
    """Where the events are POSTed to."""
    secrets: SigningSecrets = ()
    """Signing secrets: the first signs first, all sign."""
    secrets_file: Path | None = None
    """File to read `secrets` from, one per line."""
    events: EventPatterns = ("*",)
    """Patterns of the event types it wants."""
    rooms: Patterns = ("*",)
    """Patterns of the rooms it wants, for events that have a room."""
    batch: Batch | None = None
    """Batching; null sends one event per POST."""
    timeout: Annotated[PositiveDuration, AfterValidator(at_most(600.0))] = 10.0
    """Longest time one attempt may take, at most 10m."""
    concurrency: Count = 4
    """Requests at the same time."""
    retry: Retry = Retry()
    headers: Mapping[HeaderName, HeaderValue] = Field(default_factory=dict, repr=False)
    """Headers added to every request."""


class Queue(Section):
    """Events on their way to the outbox, in memory."""

    max_events: Count = 100_000
    """Most events waiting to be committed."""
    overflow: Literal["drop_newest", "drop_oldest"] = "drop_newest"
    """Which events are dropped, counted and logged when the queue is full."""


class Webhooks(Section):
    """Receivers of events, and what all of them share."""

    ack: Literal["committed", "queued"] = "committed"
    """When the sender of a message that a target wants is acknowledged."""
    stats_interval: PositiveDuration | None = 30.0
    """Time between `broadcast-stats`; null sends none."""
    status_interval: PositiveDuration | None = 60.0
    """Time between `server-status`; null sends it only at start and stop."""
    queue: Queue = Queue()
    targets: tuple[Target, ...] = ()
