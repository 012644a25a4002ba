"""The rows of the table: what is measured, in what unit, and how good it has to be."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One line of the table. Limits are ratios; less is better everywhere."""

    name: str
    title: str
    unit: str
    at_most: float
    goal: float | None = None
    against: str = "node"
    """What rtserver's figure is divided by: Node's, or `itself` where it is a ratio already.

    `off` is a row that compares rtserver with itself without something, or with nothing: no other server is in it.
    """
    compared: str = ""
    """How such a row compares: `times` what it is without, so much `more`, or not at all."""
    about: str = "webhooks"
    """What such a row is without."""
    floor_at_most: float | None = None
    floor_goal: float | None = None
    flat_at_most: float | None = None
    """The most that one client may cost at the largest size, in units of what it costs at the smallest."""


def _times(name: str, title: str, unit: str, at_most: float) -> Row:
    return Row(name, title, unit, at_most, against="off", compared="times")


def _flood(name: str, title: str) -> Row:
    return Row(name, title, "p99 with ÷ without", 2.0, 1.5, against="itself")


US = "µs of server CPU"
ROWS = (
    Row("ack", "event + ack, 200 clients", f"{US} per event", 0.8, 0.5),
    Row(
        "chat-1",
        "chat to 1000 members, 1 in flight",
        f"{US} per delivery",
        0.70,
        0.50,
        floor_at_most=1.5,
        floor_goal=1.15,
    ),
    Row("chat-4", "chat to 1000 members, 4 in flight", f"{US} per delivery", 0.35, 0.2),
    Row("chat-32", "chat to 1000 members, 32 in flight", f"{US} per delivery", 0.10, 0.04),
    Row("rooms", "200 rooms of 5, all publishing", f"{US} per delivery", 0.9, 0.5),
    Row("memory", "memory per idle client at 5000", "KB", 0.5, 0.25),
    Row("leaving", "8000 clients leaving at once", f"{US} per client", 1.5, 1.0, flat_at_most=1.25),
    Row("steady", "300 broadcasts/s to 100 members", "ms, p99", 1.0, 0.5),
    Row(
        "stall",
        "200 members while 10 in the room stop reading",
        "p99 with ÷ without",
        2.0,
        1.2,
        against="itself",
    ),
    _flood("flood", "100 chatting beside a flood of 20 000/s"),
    _flood("flood-acks", "the same, every flooding event with an acknowledgement"),
    _flood("flood-room", "the same, from members of the room they chat in"),
    _flood("flood-back", "the same, by flooders that come back whenever they are cut"),
    Row(
        "plain",
        "chat to 1000 members, 1 in flight, plain WebSocket",
        "plain ÷ Socket.IO, CPU per delivery",
        1.0,
        against="itself",
    ),
)
HOOKS = (
    Row(
        "hooks-flow",
        "3000 broadcasts/s for 10 s, acknowledged and received",
        "s per 3000",
        1.0,
        against="off",
    ),
    Row("hooks-lost", "acknowledged of these, and never received or twice", "broadcasts", 0.0, against="off"),
    Row("hooks-late", "until all are received after the last acknowledgement", "ms", 500.0, against="off"),
    _times("hooks-cpu-1", "chat to 1000 members, 1 in flight", f"{US} per event", 1.15),
    _times("hooks-cpu", "chat to 1000 members, 32 in flight", f"{US} per event", 1.15),
    _times("hooks-p99", "300 chats/s to 100 members, delivery", "ms, p99", 1.3),
    Row("hooks-ack", "300 chats/s, acknowledgement", "ms, p99", 2.0, against="off", compared="more"),
    _times("hooks-down", "delivery beside a refusing and a hanging target", "ms, p99", 1.1),
    _times("hooks-down-hook", "webhook beside a refusing and a hanging target", "ms, p99", 1.1),
    Row("hooks-start", "start with a million deliveries pending", "s", 3.0, against="off"),
    _times("hooks-million", "a delivery of a million pending, or of 20 000", "µs", 1.1),
)
"""Webhooks: rtserver with them beside rtserver without."""


def _recovery(name: str, title: str, unit: str, at_most: float, compared: str = "times") -> Row:
    return Row(name, title, unit, at_most, against="off", compared=compared, about="history and recovery")


RECOVERY = (
    _recovery("recovery-1", "chat to 1000 members, 1 in flight", f"{US} per delivery", 1.1),
    _recovery("recovery-4", "chat to 1000 members, 4 in flight", f"{US} per delivery", 1.1),
    _recovery("recovery-32", "chat to 1000 members, 32 in flight", f"{US} per delivery", 1.1),
    _recovery("recovery-rooms", "200 rooms of 5, all publishing", f"{US} per delivery", 1.1),
    _recovery("recovery-back", "1000 clients back at once, 50 messages missed by each", "s", 5.0, ""),
    _recovery("recovery-stored", "memory per stored message, 100 000 of them", "bytes", 1000.0, ""),
)
"""History and recovery: rtserver with them beside rtserver without."""
API = (
    Row("http-one", "one per request", "s per 2000", 1.0, against="off", about="publications over HTTP"),
    Row("http-batch", "100 per request", "s per 20 000", 1.0, against="off", about="publications over HTTP"),
)
"""The HTTP API: how long so many publications take, on 8 connections that are kept."""
INGEST = (
    Row(
        "ingest-kafka",
        "records of Kafka, four partitions, to one member",
        "s per 10 000",
        1.0,
        against="off",
        about="streams",
    ),
    Row(
        "ingest-outbox",
        "rows of an outbox table, to one member",
        "s per 10 000",
        2.0,
        against="off",
        about="streams",
    ),
)
"""Streams: rtserver alone."""
BY_NAME = {row.name: row for row in (*ROWS, *HOOKS, *RECOVERY, *API, *INGEST)}
