"""The store's contract: the outbox of webhook deliveries, and the lives of the nodes that fill it.

A *position* is a delivery's place in the order of all: microseconds, and below them the slot of the life that wrote it,
so that two lives at a time never take the same. A *life* is one run of one node, named by its epoch.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

SLOT_BITS = 10

State = Literal["pending", "delivered", "dead"]


class StoreError(Exception):
    """The store cannot be read or written now: the disk is full or read-only, the database is gone or broken."""


class LifeOver(StoreError):
    """Our life was taken for dead, and what it looked after is others' by now: a new one has to begin."""


class Delivery(NamedTuple):
    """One event on its way to one target. Times are Unix seconds, *body* is the event's JSON."""

    position: int
    event_id: str
    target: str
    type: str
    room: str | None
    client: str | None
    body: bytes
    life: int
    created_at: float
    state: State = "pending"
    attempts: int = 0
    due_at: float = 0.0
    error: str | None = None

    @property
    def id(self) -> str:
        """What commands and lists call it."""
        return f"{self.event_id}/{self.target}"


class Batch(NamedTuple):
    """Deliveries that go out in one request, the same ones in every attempt."""

    id: str
    target: str
    positions: tuple[int, ...]


class Outcome(NamedTuple):
    """What became of an attempt, for each delivery in it. One that is pending again is due at *due_at*.

    *before* says how many attempts each had before: one that a command gave a fresh start meanwhile is left alone.
    """

    positions: tuple[int, ...]
    before: tuple[int, ...]
    state: State
    attempts: int
    due_at: float
    error: str | None
    at: float
    batch: str | None = None


class Session(NamedTuple):
    """A connected client's session, with what its last event will say of it."""

    id: str
    life: int
    about: dict[str, Any]


class SessionRoom(NamedTuple):
    """A session's membership of a room."""

    session: str
    room: str


@dataclass(slots=True)
class Changes:
    """What one transaction writes, all of it or nothing."""

    deliveries: list[Delivery] = field(default_factory=list)
    batches: list[Batch] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    opened: list[Session] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    entered: list[SessionRoom] = field(default_factory=list)
    left: list[SessionRoom] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(
            self.deliveries
            or self.batches
            or self.outcomes
            or self.opened
            or self.closed
            or self.entered
            or self.left
        )


class Life(NamedTuple):
    """One run of a node. No other life that is known has its slot; 0 is for one that began without the store."""

    epoch: int
    slot: int


class TargetState(NamedTuple):
    """How a target stands. *revision* rises when a command changed deliveries behind the server's back.

    *released* rises as well when the command wants something delivered: a pause is over then.
    """

    name: str
    revision: int
    disabled: str | None
    released: int = 0


class Lost(NamedTuple):
    """What a life that ended without a goodbye left behind. *seen_at* is when it was last known to be alive."""

    life: int
    node: str
    seen_at: float
    sessions: list[Session]
    rooms: dict[str, list[str]]
    """Rooms by session."""


class Estate(NamedTuple):
    """What was taken over: *deliveries* tells whether any are in our care that were not, beside what lives left.

    *latest* is the highest position there is.
    """

    lost: list[Lost]
    deliveries: bool
    latest: int = 0


class Revoked(NamedTuple):
    """Tokens that were called back: a user's, one, or all, issued up to then (Unix seconds, perhaps infinite)."""

    user: str | None
    jti: str | None
    issued_before: float
    recorded_at: float


class RevocationStore(Protocol):
    """Every method raises `StoreError` when the store fails."""

    shared: bool
    """Whether other nodes may keep rules here at any time."""

    async def keep(self, rule: Revoked) -> None:
        """Keep the rule, in the place of one for the same user and jti, unless that goes further."""

    async def load(self, after: int = -1) -> tuple[list[Revoked], int]:
        """Return the rules that were kept after that number, and the number of the last one."""


class Outbox(Protocol):
    """Every method raises `StoreError` when the store fails."""

    durable: bool
    """Whether what is committed survives the process."""
    life: int
    """Our life's epoch, to be set when it begins: the care that deliveries are in."""

    async def commit(self, changes: Changes) -> None:
        """Write all of *changes* or nothing. Writing the same again changes nothing.

        Raises `LifeOver` when others took us for dead.
        """

    async def written(self, event_ids: Collection[str]) -> set[str]:
        """Return which of these events are in the outbox, whoever looks after them."""

    async def page(self, target: str, after: int, limit: int) -> list[Delivery]:
        """Return pending deliveries in our care with positions above *after*, in order."""

    async def batches(self, target: str) -> list[tuple[str, list[Delivery]]]:
        """Return the open batches in our care: id and deliveries.

        One of which something is not pending any more is none: what is left of it goes into others.
        """

    async def pending(self) -> dict[str, int]:
        """Return how many deliveries in our care are pending, by target."""

    async def bury(self, target: str, error: str, at: float) -> int:
        """Make every pending delivery in our care dead; return how many there were."""

    async def targets(self) -> dict[str, TargetState]:
        """Return how the targets stand, by name."""

    async def disable(self, target: str, reason: str) -> None:
        """Remember that the target wants nothing any more."""

    async def prune(self, target: str, keep_delivered: int, dead_before: float) -> int:
        """Forget finished deliveries: delivered ones but for the newest, and dead ones of events before that time.

        Return how many went: a few thousand at most, so that others get their turn; 0 when there are no more.
        """


class Lives(Protocol):
    """Which nodes write here, and which of them are dead. Every method raises `StoreError`."""

    async def begin(self, node: str, targets: Collection[str], now: float, early: Life | None = None) -> Life:
        """Begin a life that looks after its own deliveries to *targets*; *early* is one that has begun without us.

        Its epoch is higher than any before, and so are the positions of microseconds from its epoch on.
        """

    async def seen(self, now: float) -> None:
        """Say that we live; raise `LifeOver` when others took us for dead."""

    async def take_over(self) -> Estate:
        """Take over what dead lives that had a target of ours were looking after, and what they left unsaid."""

    async def abandoned(self, targets: Collection[str]) -> dict[str, int]:
        """Return how many deliveries are pending in nobody's care, by target, beside those to *targets*."""

    async def end(self) -> None:
        """End our life in good order."""


class Steering(Protocol):
    """What commands do to the outbox, while a server runs on it or not. Every method raises `StoreError`."""

    async def listed(
        self,
        state: State | None = None,
        target: str | None = None,
        limit: int = 100,
        before: int | None = None,
    ) -> Sequence[Delivery]:
        """Return deliveries, the newest first, those before position *before* if given."""

    async def find(self, delivery_id: str) -> Sequence[Delivery]:
        """Return the delivery, or all deliveries of the event, with that id."""

    async def retry(self, deliveries: Collection[Delivery], now: float) -> int:
        """Make deliveries of any state due now, with a fresh schedule; return how many."""

    async def retry_dead(self, target: str | None, now: float) -> int:
        """Make every dead delivery of the target, or of all, due now; return how many."""

    async def drop(self, deliveries: Collection[Delivery]) -> int:
        """Forget deliveries; return how many."""

    async def disabled(self) -> set[str]:
        """Return the targets that are disabled."""

    async def enable(self, target: str) -> bool:
        """Let a disabled target be delivered to again; tell whether it was disabled."""
