"""Every counter, declared once. Plain integers: counting must cost nothing where messages pass."""

from __future__ import annotations

from collections import Counter

WAYS_OUT = ("accept_rate", "application", "bad_handshake", "host", "malformed", "namespace", "origin")
"""What is refused for other reasons than those of the closed list, which clients never see by these names."""


class Metrics:
    """What this node did since it started."""

    __slots__ = (
        "deliveries",
        "dropped",
        "ingest_failures",
        "ingest_up",
        "ingested",
        "messages",
        "received",
        "refused",
        "webhook_deliveries",
    )

    def __init__(self) -> None:
        self.received: Counter[str] = Counter()
        """Events that clients sent, by name; those without a name of ours are ``other``."""
        self.messages: Counter[str] = Counter()
        """Publications and private messages by event."""
        self.deliveries = 0
        """Messages handed to clients."""
        self.refused: Counter[str] = Counter()
        """Connections, events and requests refused, by reason: each of them once."""
        self.dropped: Counter[str] = Counter()
        """What a bound threw away, by what it was."""
        self.webhook_deliveries: Counter[tuple[str, str]] = Counter()
        """Attempts to deliver webhook events, by target and outcome: delivered, failed, dead."""
        self.ingested: Counter[tuple[str, str, str]] = Counter()
        """Records by kind and name of their source, and outcome: published, bad, repeated (published before)."""
        self.ingest_failures: Counter[tuple[str, str]] = Counter()
        """How often a source, by kind and name, was lost or could not be reached."""
        self.ingest_up: dict[tuple[str, str], int] = {}
        """Whether a source, by kind and name, can be read: 1 or 0."""
