"""The rows of the table: what is measured, in what unit, and how good it has to be."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One line of the table. Limits are ratios; less is better everywhere."""

    name: str
    title: str
    unit: str
    at_most: float
    goal: float
    against: str = "node"
    """What rtserver's figure is divided by: Node's, or `itself` where it is a ratio already."""
    floor_at_most: float | None = None
    floor_goal: float | None = None
    flat_at_most: float | None = None
    """The most that one client may cost at the largest size, in units of what it costs at the smallest."""


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
)
BY_NAME = {row.name: row for row in ROWS}
