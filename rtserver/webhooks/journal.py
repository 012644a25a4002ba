"""From memory into the outbox: what comes while one transaction is written goes into the next, all of it.

At a low rate an event is committed at once, at a high rate hundreds share a commit, and nothing waits for a timer. The
queue before it is bounded; what finds no place in it is counted and logged.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import islice
from typing import NamedTuple

from rtserver.store.base import (
    Batch,
    Changes,
    Delivery,
    LifeOver,
    Outbox,
    Outcome,
    Session,
    SessionRoom,
    StoreError,
)
from rtserver.telemetry.log import logger

_log = logger("webhooks")

# How long after a failed commit the next is tried, at first and at most, in seconds.
_BACK_OFF = 0.1, 1.0
# After how long those who wait for a commit are told that it is not sure, in seconds. It goes on.
_PATIENCE = 1.0
_LATE = "it takes too long"
# How many attempts' outcomes may wait for a store that fails before no more attempts are made.
MAX_OUTCOMES = 10_000
# How many events one transaction takes, and how many bytes of them may wait besides their number.
MAX_TRANSACTION, MAX_BYTES = 5_000, 256_000_000


class Receipt:
    """Whether what was written is committed. *committed* is None until that is known."""

    __slots__ = ("_callbacks", "committed")

    def __init__(self, committed: bool | None = None) -> None:
        self.committed = committed
        self._callbacks: list[Callable[[bool], None]] = []

    def then(self, callback: Callable[[bool], None]) -> None:
        """Call *callback* when it is known whether it is committed; now, if it is known already."""
        if self.committed is None:
            self._callbacks.append(callback)
        else:
            callback(self.committed)

    def settle(self, committed: bool) -> None:
        """Say so, once."""
        if self.committed is None:
            self.committed = committed
            callbacks, self._callbacks = self._callbacks, []
            for callback in callbacks:
                callback(committed)


DROPPED = Receipt(committed=False)
UNSURE = Receipt(committed=False)
"""Of what is queued for a store that fails: it may be written later, and nobody should wait for that."""


class Effect(NamedTuple):
    """What an event changes in the list of sessions, in the same transaction; at least, whose it is."""

    opened: Session | None = None
    closed: str | None = None
    entered: SessionRoom | None = None
    left: SessionRoom | None = None
    of: str | None = None

    @property
    def session(self) -> str | None:
        """Whose session it is about."""
        place = self.entered or self.left
        return place.session if place is not None else self.closed or self.of


class Entry(NamedTuple):
    """One event's deliveries and its effect."""

    deliveries: tuple[Delivery, ...]
    effect: Effect | None

    @property
    def size(self) -> int:
        """About how many bytes it takes."""
        return len(self.deliveries[0].body) if self.deliveries else 0


class Renewal(NamedTuple):
    """A new life: what becomes of an entry that was queued, None for one that has been said, and what comes then."""

    entry: Callable[[Entry], Entry | None]
    then: Callable[[], None]


class Journal:
    """The queue and the one who empties it. *committed* is given deliveries once they are in the outbox.

    *held* counts what an outbox holds that is itself in memory: it shares the queue's bound. *begin_again* begins
    another life when ours is over, for the entries that are queued then.
    """

    def __init__(
        self,
        outbox: Outbox,
        max_events: int,
        drop_oldest: bool,
        *,
        committed: Callable[[list[Delivery]], None],
        dropped: Callable[[int], None],
        held: Callable[[], int] = lambda: 0,
        begin_again: Callable[[list[Entry]], Awaitable[Renewal]] | None = None,
    ) -> None:
        self._outbox = outbox
        self._max_events = max_events
        self._drop_oldest = drop_oldest
        self._committed = committed
        self._dropped = dropped
        self._held = held
        self._begin_again = begin_again
        self._over = False
        self._entries: deque[Entry] = deque()
        self._bytes = 0
        self._outcomes: list[Outcome] = []
        self._batches: list[Batch] = []
        # The receipt of what is not in a transaction yet, and those of what did not fit into one: how many entries
        # have to be written until each is settled.
        self._receipt = Receipt()
        self._unsettled: deque[tuple[Receipt, int]] = deque()
        self._wake = asyncio.Event()
        self._writing = 0
        self._lost = 0
        self.healthy = True
        # What the store said last when it failed.
        self.why = ""

    @property
    def congested(self) -> bool:
        """Tell whether so many outcomes wait that no more attempts should be made."""
        return len(self._outcomes) >= MAX_OUTCOMES

    @property
    def busy(self) -> bool:
        """Tell whether anything is not in the outbox yet."""
        return bool(self._entries or self._outcomes or self._batches)

    @property
    def queued(self) -> int:
        """How many events are not in the outbox yet."""
        return len(self._entries)

    def write(self, deliveries: tuple[Delivery, ...], effect: Effect | None = None) -> Receipt:
        """Queue an event's deliveries; return the receipt that they share with others of the same transaction.

        While the store fails the receipt says no at once: the event waits, its sender does not.
        """
        if self._full and not self._make_room():
            return DROPPED
        # The first after nothing was left to try is what the store is tried with.
        hopeful = self.healthy or not self.busy
        entry = Entry(deliveries, effect)
        self._entries.append(entry)
        self._bytes += entry.size
        self._wake.set()
        return self._receipt if hopeful else UNSURE

    def record(self, outcome: Outcome) -> None:
        """Queue what became of an attempt."""
        self._outcomes.append(outcome)
        self._wake.set()

    async def save(self, batch: Batch) -> None:
        """Write a batch down. Once this returns, the batch is the same one in every attempt."""
        while True:
            self._batches.append(batch)
            if await self._settled():
                return

    async def flush(self) -> None:
        """Wait until all that is queued now is committed."""
        while not await self._settled():
            pass

    async def run(self) -> None:
        """Commit what is queued, until cancelled."""
        wait = _BACK_OFF[0]
        while True:
            await self._wake.wait()
            self._wake.clear()
            # What the event's members get is written in this turn of the loop. A commit that began now would take the
            # processor from that; in the next turn it takes it from nobody.
            await asyncio.sleep(0)
            while self.busy or self._over:
                if await self._go_on():
                    wait = _BACK_OFF[0]
                else:
                    await asyncio.sleep(wait)
                    wait = min(wait * 2, _BACK_OFF[1])
            # Nothing is queued: who waits for the next transaction waits for nothing.
            receipt, self._receipt = self._receipt, Receipt()
            receipt.settle(committed=True)

    async def _settled(self) -> bool:
        """Wait until what is queued now is committed, or was tried."""
        settled: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._receipt.then(partial(_resolve, settled))
        self._wake.set()
        return await settled

    def end_life(self) -> None:
        """Begin another life before anything more is written: ours is over."""
        self._over = True
        self._wake.set()

    def renumber(self, renewed: Callable[[Delivery], Delivery]) -> None:
        """Put other deliveries in the place of those that are queued, unless they are being written."""
        if not self._writing:
            self._entries = deque(
                Entry(tuple(map(renewed, entry.deliveries)), entry.effect) for entry in self._entries
            )

    async def _go_on(self) -> bool:
        """Commit what is queued now, in a life that goes on; tell whether that worked."""
        if self._over and not await self._renew():
            return False
        return await self._commit() if self.busy else True

    async def _renew(self) -> bool:
        assert self._begin_again is not None
        try:
            renewal = await self._begin_again(list(self._entries))
        except StoreError as error:
            self._fail(error)
            return False
        # In one go: what is emitted before this is renewed, and what comes after is of the new life.
        renewed = [entry for entry in map(renewal.entry, self._entries) if entry is not None]
        self._entries = deque(renewed)
        self._bytes = sum(entry.size for entry in renewed)
        # Who has these deliveries by now counts their attempts; what is delivered stays so.
        self._outcomes = [outcome for outcome in self._outcomes if outcome.state == "delivered"]
        self._refuse()
        self._over = False
        renewal.then()
        return True

    async def _commit(self) -> bool:
        """Commit what is queued now; tell whether that worked. What fails stays queued, and its receipts say so."""
        entries = list(islice(self._entries, MAX_TRANSACTION))
        outcomes, batches = list(self._outcomes), list(self._batches)
        self._unsettled.append((self._receipt, len(self._entries)))
        self._receipt = Receipt()
        self._writing = len(entries)
        self._wait()
        try:
            await self._outbox.commit(_changes(entries, outcomes, batches))
        except Exception as error:
            self._over |= isinstance(error, LifeOver) and self._begin_again is not None
            self._fail(error)
            self._batches = self._batches[len(batches) :]
            return False
        finally:
            self._timer.cancel()
            self._writing = 0
        if not self.healthy:
            self.healthy = True
            _log.warning("the store works again", events=len(self._entries))
        for _ in entries:
            self._bytes -= self._entries.popleft().size
        del self._outcomes[: len(outcomes)], self._batches[: len(batches)]
        self._tell_dropped()
        self._settle(len(entries))
        self._committed([delivery for entry in entries for delivery in entry.deliveries])
        return True

    def _settle(self, written: int) -> None:
        self._unsettled = deque((receipt, left - written) for receipt, left in self._unsettled)
        while self._unsettled and self._unsettled[0][1] <= 0:
            self._unsettled.popleft()[0].settle(committed=True)

    def _fail(self, error: Exception) -> None:
        # That it took too long says nothing of the reason.
        told, self.healthy = not self.healthy and self.why != _LATE, False
        self.why = str(error)
        if not isinstance(error, StoreError):
            _log.exception("events could not be committed, for a reason nobody foresaw")
        elif not told:
            _log.error("the store fails: events wait, and their senders are told so", why=str(error))
        self._refuse()

    def _late(self) -> None:
        """Tell those who wait that nothing is sure: the store takes too long, as when another holds its lock."""
        if self.healthy:
            _log.error("the store takes too long: events wait, and their senders are told so")
            self.why = _LATE
        self.healthy = False
        self._refuse()
        self._wait()

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(_PATIENCE, self._late)

    def _refuse(self) -> None:
        """Settle every receipt, also those of what came meanwhile: who waits for them has waited enough."""
        while self._unsettled:
            self._unsettled.popleft()[0].settle(committed=False)
        receipt, self._receipt = self._receipt, Receipt()
        receipt.settle(committed=False)

    @property
    def _full(self) -> bool:
        return len(self._entries) + self._held() >= self._max_events or self._bytes >= MAX_BYTES

    def _tell_dropped(self) -> None:
        # Not at every place that becomes free: the next event takes it.
        if self._lost and len(self._entries) + self._held() <= self._max_events / 2:
            _log.warning("the queue of webhook events has room again", dropped=self._lost)
            self._lost = 0

    def _make_room(self) -> bool:
        """Drop the oldest that is not being written, or tell that the newest has to go."""
        self._dropped(1)
        self._lost += 1
        if self._lost == 1:
            _log.error(
                "the queue of webhook events is full: events are dropped and counted",
                events=len(self._entries),
            )
        if not self._drop_oldest or self._writing >= len(self._entries):
            return False
        self._bytes -= self._entries[self._writing].size
        del self._entries[self._writing]
        # Whose receipt the dropped one had is not worth knowing: none of those is sure any more.
        written = [(receipt, left) for receipt, left in self._unsettled if left <= self._writing]
        for receipt, left in self._unsettled:
            if left > self._writing:
                receipt.settle(committed=False)
        self._unsettled = deque(written)
        self._receipt.settle(committed=False)
        self._receipt = Receipt()
        return True


def _resolve(future: asyncio.Future[bool], committed: bool) -> None:
    if not future.done():
        future.set_result(committed)


def _changes(entries: list[Entry], outcomes: list[Outcome], batches: list[Batch]) -> Changes:
    changes = Changes(outcomes=outcomes, batches=batches)
    # Who enters, leaves and enters again within one transaction is in: the last counts.
    rooms: dict[SessionRoom, bool] = {}
    for deliveries, effect in entries:
        changes.deliveries.extend(deliveries)
        if effect is None:
            continue
        if effect.opened is not None:
            changes.opened.append(effect.opened)
        if effect.entered is not None:
            rooms[effect.entered] = True
        if effect.left is not None:
            rooms[effect.left] = False
        if effect.closed is not None:
            changes.closed.append(effect.closed)
    changes.entered.extend(place for place, inside in rooms.items() if inside)
    changes.left.extend(place for place, inside in rooms.items() if not inside)
    return changes
