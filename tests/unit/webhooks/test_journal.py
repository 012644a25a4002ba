"""The journal: what is queued is committed in order, in few transactions, and nothing is lost silently."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from rtserver.store.base import (
    Batch,
    Changes,
    Delivery,
    LifeOver,
    Outcome,
    Session,
    SessionRoom,
    StoreError,
)
from rtserver.webhooks import journal as module
from rtserver.webhooks.journal import Effect, Entry, Journal, Receipt, Renewal
from tests.unit.webhooks.deliveries import NOW, delivery
from tests.unit.webhooks.ledger import Ledger

LIMIT = 20.0  # how long anything may take before that is a failure


class Desk:
    """A journal that runs, and what it said."""

    def __init__(self, max_events: int = 1000, *, drop_oldest: bool = False, **more: Any) -> None:
        self.ledger = Ledger()
        self.told: list[int] = []
        self.dropped = 0
        self.journal = Journal(
            self.ledger, max_events, drop_oldest, committed=self._committed, dropped=self._dropped, **more
        )

    def write(self, *positions: int, effect: Effect | None = None) -> Receipt:
        """Write one event with a delivery at each position."""
        return self.journal.write(tuple(delivery(position) for position in positions), effect)

    @contextlib.asynccontextmanager
    async def busy(self) -> AsyncIterator[None]:
        """A transaction is under way, until the end of this."""
        self.ledger.open.clear()
        self.write(0)
        async with asyncio.timeout(LIMIT):
            await self.ledger.entered()
        yield
        self.ledger.open.set()

    def _committed(self, deliveries: list[Delivery]) -> None:
        self.told.extend(one.position for one in deliveries)

    def _dropped(self, events: int) -> None:
        self.dropped += events


class Running:
    """Desks that run."""

    def __init__(self) -> None:
        self.tasks: list[asyncio.Task[None]] = []

    def __call__(self, max_events: int = 1000, **more: Any) -> Desk:
        """Make one, and run it."""
        desk = Desk(max_events, **more)
        self.tasks.append(asyncio.ensure_future(desk.journal.run()))
        return desk

    async def end(self) -> None:
        """End them; none must have ended by itself."""
        for task in self.tasks:
            assert not task.done(), task
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


@pytest.fixture
async def running(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Running]:
    """A maker of desks that run. After a failure they try again soon."""
    monkeypatch.setattr(module, "_BACK_OFF", (0.001, 0.002))
    made = Running()
    yield made
    await made.end()


async def known(receipt: Receipt) -> bool:
    """Whether it is committed, once that is known."""
    future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    receipt.then(future.set_result)
    async with asyncio.timeout(LIMIT):
        return await future


async def within(coroutine: Any) -> None:
    """Wait for it, with a limit."""
    async with asyncio.timeout(LIMIT):
        await coroutine


async def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds, with a limit."""
    async with asyncio.timeout(LIMIT):
        while not holds():
            await asyncio.sleep(0.001)


async def turns(count: int = 20) -> None:
    """Let everybody who can go on go on."""
    for _ in range(count):
        await asyncio.sleep(0)


def outcome(*positions: int, batch: str | None = None) -> Outcome:
    """Delivered."""
    return Outcome(positions, (0,) * len(positions), "delivered", 1, NOW, None, NOW, batch)


class TestCommits:
    """What goes into which transaction."""

    async def test_at_once(self, running: Running) -> None:
        """At rest an event is committed at once, and those who want to know are told."""
        desk = running()
        assert await known(desk.write(1, 2))
        assert (desk.ledger.positions, desk.told, desk.journal.queued) == ([[1, 2]], [1, 2], 0)

    async def test_together(self, running: Running) -> None:
        """What comes while a transaction is written goes into the next one, all of it, in order."""
        desk = running()
        async with desk.busy():
            receipts = [desk.write(position) for position in range(1, 200)]
        assert await known(receipts[-1])
        assert desk.ledger.positions == [[0], list(range(1, 200))]
        assert desk.told == list(range(200))
        assert all(receipt.committed for receipt in receipts)

    async def test_a_receipt_waits_for_its_own(self, running: Running) -> None:
        """The transaction under way says nothing about what came after it began."""
        desk = running()
        async with desk.busy():
            later = desk.write(1)
            await turns()
            assert later.committed is None
        assert await known(later)

    async def test_before_it_runs(self) -> None:
        """What is written before the journal runs waits for it, and is committed in order when it does."""
        desk = Desk()
        receipts = [desk.write(position) for position in (1, 2, 3)]
        assert [receipt.committed for receipt in receipts] == [None, None, None]
        assert (desk.journal.queued, desk.journal.busy) == (3, True)
        task = asyncio.ensure_future(desk.journal.run())
        assert await known(receipts[0])
        assert desk.ledger.positions == [[1, 2, 3]]
        task.cancel()

    async def test_outcomes_and_batches(self, running: Running) -> None:
        """Outcomes and batches are part of the same transactions, in the order they came."""
        desk = running()
        first, second = Batch("b1", "audit", (1, 2)), Batch("b2", "audit", (3,))
        async with desk.busy():
            desk.journal.record(outcome(7))
            saving = [asyncio.ensure_future(desk.journal.save(batch)) for batch in (first, second)]
            desk.journal.record(outcome(8))
            await turns()
            assert not any(task.done() for task in saving)
        await within(asyncio.gather(*saving))
        changes = desk.ledger.commits[1]
        assert changes.outcomes == [outcome(7), outcome(8)]
        assert changes.batches == [first, second]

    async def test_they_are_told_after_the_commit(self, running: Running) -> None:
        """Nobody is told of a delivery before it is in the outbox."""
        desk = running()
        async with desk.busy():
            await turns()
            assert desk.told == []
        await within(desk.journal.flush())
        assert desk.told == [0]


class TestLongQueues:
    """More events than one transaction takes."""

    async def test_in_parts(self, running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
        """They are written in several transactions, in order, and each event's receipt waits for its own."""
        monkeypatch.setattr(module, "MAX_TRANSACTION", 4)
        desk = running()
        told: list[tuple[int, int]] = []
        async with desk.busy():
            for position in range(1, 11):
                receipt = desk.write(position)
            receipt.then(lambda _: told.append((len(desk.told), len(desk.ledger.commits))))
            saving = asyncio.ensure_future(desk.journal.save(Batch("b1", "audit", (1,))))
            await turns()
        await within(saving)
        assert desk.ledger.positions == [[0], [1, 2, 3, 4], [5, 6, 7, 8], [9, 10]]
        assert told == [(9, 4)]
        assert receipt.committed is True
        assert desk.told == list(range(11))

    async def test_one_part_fails(self, running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
        """When one of them fails, the receipts of all that is not written say no; it is written later, in order."""
        monkeypatch.setattr(module, "MAX_TRANSACTION", 2)
        desk = running()
        async with desk.busy():
            first = [desk.write(position) for position in (1, 2)]
        await within(desk.journal.flush())
        async with desk.busy():
            later = [desk.write(position) for position in range(3, 8)]
            original = desk.ledger.commit

            async def failing(changes: Changes) -> None:
                if [one.position for one in changes.deliveries] == [5, 6] and desk.ledger.tried < 6:
                    desk.ledger.failures = 1
                await original(changes)

            monkeypatch.setattr(desk.ledger, "commit", failing)
        await within(desk.journal.flush())
        assert [receipt.committed for receipt in first] == [True, True]
        assert later[-1].committed is False
        assert desk.told == [0, 1, 2, 0, 3, 4, 5, 6, 7]

    @pytest.mark.parametrize("drop_oldest", [False, True])
    async def test_bytes(self, running: Running, monkeypatch: pytest.MonkeyPatch, drop_oldest: bool) -> None:
        """Bytes are bounded as well as events; when what was large is written there is room again."""
        monkeypatch.setattr(module, "MAX_BYTES", 1000)
        desk = running(drop_oldest=drop_oldest)
        async with desk.busy():
            receipts = [
                desk.journal.write((delivery(position, body=b"x" * 300),)) for position in range(1, 11)
            ]
            assert desk.journal.queued <= 6
            assert desk.dropped > 0
            assert desk.dropped + desk.journal.queued == 11
        await within(desk.journal.flush())
        assert len(desk.told) + desk.dropped == 11
        assert (1 in desk.told) is not drop_oldest
        assert receipts[-1].committed is drop_oldest
        assert desk.journal._bytes == 0
        assert await known(desk.write(20))

    @pytest.mark.parametrize("drop_oldest", [False, True])
    async def test_dropped_between_parts(
        self, running: Running, monkeypatch: pytest.MonkeyPatch, drop_oldest: bool
    ) -> None:
        """What is dropped while the queue is written in parts has a receipt that says no; a yes is never a lie."""
        monkeypatch.setattr(module, "MAX_TRANSACTION", 3)
        desk = running(8, drop_oldest=drop_oldest)
        async with desk.busy():
            receipts = {position: desk.write(position) for position in range(1, 8)}
        for position in range(8, 60):
            receipts[position] = desk.write(position)
            await turns(position % 3)
        await within(desk.journal.flush())
        for position, receipt in receipts.items():
            assert receipt.committed is not None
            assert position in desk.told or not receipt.committed
        assert len(desk.told) + desk.dropped == 60
        assert desk.told == sorted(desk.told)
        assert desk.journal._bytes == 0


class TestReceipts:
    """Receipts by themselves."""

    @pytest.mark.parametrize("committed", [True, False])
    def test_told_once(self, committed: bool) -> None:
        """Whoever asks is told once, whether before or after it is known; what is said first counts."""
        receipt = Receipt()
        told: list[bool] = []
        receipt.then(told.append)
        assert told == []
        receipt.settle(committed)
        receipt.settle(not committed)
        assert (told, receipt.committed) == ([committed], committed)
        receipt.then(told.append)
        assert told == [committed] * 2


class TestAFailingStore:
    """A store that does not take what it is given."""

    async def test_events_are_kept(self, running: Running) -> None:
        """Events that could not be written are written when the store works again, in order, each once."""
        desk = running()
        desk.ledger.failures = 3
        first = desk.write(1)
        assert not await known(first)
        assert not desk.journal.healthy
        desk.write(2)
        await within(desk.journal.flush())
        assert [position for positions in desk.ledger.positions for position in positions] == [1, 2]
        assert (desk.told, desk.journal.healthy, desk.journal.queued) == ([1, 2], True, 0)

    async def test_whatever_goes_wrong(self, running: Running) -> None:
        """Also an error that nobody foresaw stops nothing: events are kept and tried again."""
        desk = running()
        desk.ledger.error = ZeroDivisionError("nobody foresaw this")
        desk.ledger.failures = 2
        assert not await known(desk.write(1))
        await within(desk.journal.flush())
        assert (desk.told, desk.journal.healthy) == ([1], True)

    async def test_said_once(self, running: Running) -> None:
        """That the store fails is said once, and so is that it works again."""
        desk = running()
        with capture_logs() as logs:
            desk.ledger.failures = 5
            desk.write(1)
            await within(desk.journal.flush())
            await within(desk.journal.flush())
        assert [line["log_level"] for line in logs] == ["error", "warning"]
        assert logs[0]["why"] == "the disk is full"

    async def test_receipts(self, running: Running) -> None:
        """A receipt says no as soon as its transaction has failed, and those of later ones are their own."""
        desk = running()
        desk.ledger.broken = True
        assert [await known(desk.write(position)) for position in (1, 2)] == [False, False]
        desk.ledger.broken = False
        await until(lambda: desk.journal.healthy)
        assert await known(desk.write(3))
        assert [p for positions in desk.ledger.positions for p in positions] == [1, 2, 3]

    async def test_nobody_waits_for_the_next_try(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """While the store fails a receipt says no at once, and what came during the failing commit is told with it."""
        monkeypatch.setattr(module, "_BACK_OFF", (LIMIT, LIMIT))
        desk = Desk()
        desk.ledger.broken = True
        desk.ledger.open.clear()
        task = asyncio.ensure_future(desk.journal.run())
        first = desk.write(1)
        await within(desk.ledger.entered())
        second = desk.write(2)
        desk.ledger.open.set()
        assert [await known(first), await known(second)] == [False, False]
        assert desk.write(3).committed is False
        assert (desk.journal.queued, desk.ledger.tried) == (3, 1)
        task.cancel()

    async def test_a_store_that_hangs(self, running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nobody waits for a commit that takes too long; what was refused so is written by it all the same."""
        monkeypatch.setattr(module, "_PATIENCE", 0.001)
        desk = running()
        with capture_logs() as logs:
            async with desk.busy():
                saving = asyncio.ensure_future(desk.journal.save(Batch("b1", "audit", (1,))))
                assert not await known(desk.write(1))
                assert not desk.journal.healthy
                assert desk.write(2).committed is False
            await within(asyncio.gather(saving, desk.journal.flush()))
        assert desk.told == [0, 1, 2]
        assert desk.journal.healthy
        assert next(line["event"] for line in logs).startswith("the store takes too long")

    async def test_outcomes_are_kept(self, running: Running) -> None:
        """Outcomes wait for the store too, in front of later ones."""
        desk = running()
        desk.ledger.failures = 2
        desk.journal.record(outcome(1))
        await until(lambda: desk.ledger.tried >= 1)
        desk.journal.record(outcome(2))
        await within(desk.journal.flush())
        written = [one for changes in desk.ledger.commits for one in changes.outcomes]
        assert written == [outcome(1), outcome(2)]

    async def test_a_batch_is_saved(self, running: Running) -> None:
        """Saving a batch takes until it is written, however often that fails."""
        desk = running()
        desk.ledger.broken = True
        batch = Batch("b1", "audit", (1, 2))
        saving = asyncio.ensure_future(desk.journal.save(batch))
        await until(lambda: desk.ledger.tried >= 3)
        assert not saving.done()
        desk.ledger.broken = False
        await within(saving)
        assert {one for changes in desk.ledger.commits for one in changes.batches} == {batch}

    async def test_a_batch_that_came_during_a_failure(self, running: Running) -> None:
        """A batch that came while a transaction was failing is not forgotten with it."""
        desk = running()
        first, second = Batch("b1", "audit", (1,)), Batch("b2", "audit", (2,))
        desk.ledger.failures = 1
        desk.ledger.open.clear()
        saving = [asyncio.ensure_future(desk.journal.save(first))]
        await within(desk.ledger.entered())
        saving.append(asyncio.ensure_future(desk.journal.save(second)))
        await turns()
        desk.ledger.open.set()
        await within(asyncio.gather(*saving))
        assert {one for changes in desk.ledger.commits for one in changes.batches} == {first, second}

    async def test_a_saver_that_gives_up(self, running: Running) -> None:
        """A batch whose saver was cancelled harms nobody."""
        desk = running()
        desk.ledger.broken = True
        saving = asyncio.ensure_future(desk.journal.save(Batch("b1", "audit", (1,))))
        await until(lambda: desk.ledger.tried >= 1)
        saving.cancel()
        await asyncio.gather(saving, return_exceptions=True)
        desk.ledger.broken = False
        await until(lambda: not desk.journal.busy)
        assert await known(desk.write(1))

    async def test_flush_waits(self, running: Running) -> None:
        """A flush lasts until everything is written that was queued, failures in between included."""
        desk = running()
        desk.ledger.broken = True
        desk.write(1)
        flushing = asyncio.ensure_future(desk.journal.flush())
        await until(lambda: desk.ledger.tried >= 3)
        assert not flushing.done()
        desk.ledger.broken = False
        await within(flushing)
        assert desk.told == [1]

    async def test_congestion(self, running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
        """With too many outcomes waiting it is congested, until they are written."""
        monkeypatch.setattr(module, "MAX_OUTCOMES", 3)
        desk = running()
        desk.ledger.broken = True
        congested = []
        for position in range(3):
            desk.journal.record(outcome(position))
            congested.append(desk.journal.congested)
        assert congested == [False, False, True]
        desk.ledger.broken = False
        await within(desk.journal.flush())
        assert not desk.journal.congested


class TestASlowStore:
    """A commit that takes longer than anybody waits."""

    async def test_who_waits_is_told(self, running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
        """Who waits for it, or for the one behind it, is told that nothing is sure; it goes on, and is written once."""
        monkeypatch.setattr(module, "_PATIENCE", 0.01)
        desk = running()
        async with desk.busy():
            assert not await known(desk.write(1))
            assert not desk.journal.healthy
            assert not await known(desk.write(2))
        await within(desk.journal.flush())
        assert desk.ledger.positions == [[0], [1, 2]]
        assert desk.journal.healthy


class TestALifeThatIsOver:
    """Others took this node for dead."""

    async def test_another_one(self, running: Running) -> None:
        """What is queued is written in the new life, as it says, and only then comes what it does afterwards."""
        order: list[str] = []

        async def begin(queued: list[Entry]) -> Renewal:
            order.append(f"begins with {len(queued)}")
            desk.ledger.broken = False
            return Renewal(
                lambda entry: None if entry.deliveries[0].position == 2 else entry,
                lambda: order.append("then"),
            )

        desk = running(begin_again=begin)
        desk.ledger.error = LifeOver("over")
        desk.ledger.broken = True
        assert not await known(desk.write(1))
        desk.write(2)
        desk.write(3)
        await within(desk.journal.flush())
        assert [one for some in desk.ledger.positions for one in some] == [1, 3]
        assert order[0].startswith("begins with")
        assert order[1:] == ["then"]

    async def test_renumbered(self, running: Running) -> None:
        """What is queued may get other numbers, and keeps its order; what is being written keeps its own."""
        desk = running()
        async with desk.busy():
            desk.write(1)
            desk.journal.renumber(lambda one: one._replace(position=one.position + 100))
        await within(desk.journal.flush())
        assert desk.ledger.positions == [[0], [1]]
        desk.write(2)
        desk.write(3)
        desk.journal.renumber(lambda one: one._replace(position=one.position + 100))
        await within(desk.journal.flush())
        assert desk.told == [0, 1, 102, 103]

    async def test_what_became_of_attempts(self, running: Running) -> None:
        """What was delivered stays so; other outcomes are for who looks after the deliveries by now."""

        async def begin(queued: list[Entry]) -> Renewal:
            return Renewal(lambda entry: entry, lambda: None)

        desk = running(begin_again=begin)
        desk.journal.end_life()
        desk.journal.record(outcome(1))
        desk.journal.record(outcome(2)._replace(state="pending"))
        desk.journal.record(outcome(3)._replace(state="dead"))
        await within(desk.journal.flush())
        assert [one.positions for some in desk.ledger.commits for one in some.outcomes] == [(1,)]

    async def test_beginning_fails(self, running: Running) -> None:
        """When no new life can begin now it is tried again, and nothing is lost meanwhile."""
        tries = 0

        async def begin(queued: list[Entry]) -> Renewal:
            nonlocal tries
            tries += 1
            if tries < 3:
                raise StoreError("not now")
            return Renewal(lambda entry: entry, lambda: None)

        desk = running(begin_again=begin)
        desk.journal.end_life()
        desk.write(1)
        await until(lambda: desk.told == [1])
        assert tries == 3


class TestFlush:
    """Waiting for what is queued."""

    async def test_nothing(self, running: Running) -> None:
        """With nothing queued there is nothing to wait for, again and again, and nothing is written."""
        desk = running()
        for _ in range(3):
            await within(desk.journal.flush())
        assert desk.ledger.tried == 0

    async def test_several(self, running: Running) -> None:
        """Everybody who flushes is told, and what they waited for is committed."""
        desk = running()
        async with desk.busy():
            desk.write(1)
            flushing = [asyncio.ensure_future(desk.journal.flush()) for _ in range(3)]
            await turns()
            assert not any(task.done() for task in flushing)
        await within(asyncio.gather(*flushing))
        assert desk.told == [0, 1]

    async def test_what_is_being_written(self, running: Running) -> None:
        """A flush during a transaction waits at least for that transaction."""
        desk = running()
        async with desk.busy():
            flushing = asyncio.ensure_future(desk.journal.flush())
            await turns()
            assert not flushing.done()
        await within(flushing)
        assert desk.told == [0]


@pytest.mark.parametrize("drop_oldest", [False, True])
class TestAFullQueue:
    """More events than the queue may hold."""

    async def test_the_bound(self, running: Running, drop_oldest: bool) -> None:
        """So many wait and no more; every one above the bound is counted, and its receipt says no."""
        desk = running(5, drop_oldest=drop_oldest)
        async with desk.busy():
            receipts = {position: desk.write(position) for position in range(1, 9)}
            assert (desk.journal.queued, desk.dropped) == (5, 4)
            kept = [5, 6, 7, 8] if drop_oldest else [1, 2, 3, 4]
            gone = sorted({*range(1, 9)} - {*kept})
            assert [receipts[position].committed for position in gone] == [False] * 4
        await within(desk.journal.flush())
        assert desk.told == [0, *kept]
        assert receipts[kept[-1]].committed is True

    async def test_while_the_store_fails(self, running: Running, drop_oldest: bool) -> None:
        """Also while nothing can be written the bound holds; what is kept is written later, in order."""
        desk = running(3, drop_oldest=drop_oldest)
        desk.ledger.broken = True
        for position in range(1, 7):
            desk.write(position)
            tried = desk.ledger.tried
            await until(lambda tried=tried: desk.ledger.tried > tried)
        await until(lambda: desk.journal.queued <= 3)
        desk.ledger.broken = False
        await within(desk.journal.flush())
        assert desk.told == sorted(desk.told)
        assert len(desk.told) + desk.dropped == 6
        assert len(desk.told) == 3
        assert (1 in desk.told) is not drop_oldest
        assert (6 in desk.told) is drop_oldest

    async def test_what_is_being_written_stays(self, running: Running, drop_oldest: bool) -> None:
        """What is in the transaction under way is not dropped: when all of the queue is, the newest goes."""
        desk = running(1, drop_oldest=drop_oldest)
        async with desk.busy():
            assert desk.write(1).committed is False
            assert desk.dropped == 1
        await within(desk.journal.flush())
        assert desk.told == [0]

    async def test_told(self, running: Running, drop_oldest: bool) -> None:
        """That events are dropped is said when it begins; how many, when there is room again; and so the next time."""
        desk = running(2, drop_oldest=drop_oldest)
        with capture_logs() as logs:
            for dropped in (3, 1):
                async with desk.busy():
                    for position in range(1, dropped + 2):
                        desk.write(position)
                await within(desk.journal.flush())
                assert [line["log_level"] for line in logs] == ["error", "warning"]
                assert logs[1]["dropped"] == dropped
                logs.clear()
        assert desk.dropped == 4

    async def test_room_again(self, running: Running, drop_oldest: bool) -> None:
        """When there is room again events are kept again."""
        desk = running(1, drop_oldest=drop_oldest)
        async with desk.busy():
            desk.write(1)
        await within(desk.journal.flush())
        assert await known(desk.write(2))
        assert desk.told == [0, 2]
        assert desk.dropped == 1

    async def test_a_saver_is_not_dropped(self, running: Running, drop_oldest: bool) -> None:
        """A batch and a flush that share their transaction with a dropped event come to their end."""
        desk = running(2, drop_oldest=drop_oldest)
        batch = Batch("b1", "audit", (1,))
        async with desk.busy():
            desk.write(1)
            waiting = [
                asyncio.ensure_future(desk.journal.save(batch)),
                asyncio.ensure_future(desk.journal.flush()),
            ]
            await turns()
            desk.write(2)
            await turns()
        await within(asyncio.gather(*waiting))
        assert {one for changes in desk.ledger.commits for one in changes.batches} == {batch}

    async def test_what_the_outbox_holds(self, running: Running, drop_oldest: bool) -> None:
        """Deliveries that an outbox holds in memory share the bound."""
        held = 0
        desk = running(3, drop_oldest=drop_oldest, held=lambda: held)
        held = 3
        assert desk.write(1).committed is False
        held = 2
        assert await known(desk.write(2))
        assert (desk.told, desk.dropped) == ([2], 1)


class TestEffects:
    """Sessions and memberships, in the same transaction as the events that tell of them."""

    async def test_sessions(self, running: Running) -> None:
        """What events open, close, enter and leave is in their transaction."""
        desk = running()
        session = Session("s1", 1, {"client_id": "ann"})
        place = SessionRoom("s1", "a")
        async with desk.busy():
            desk.write(1, effect=Effect(opened=session))
            desk.write(2, effect=Effect(entered=place))
            desk.write(3, effect=Effect(closed="s0"))
        await within(desk.journal.flush())
        changes = desk.ledger.commits[1]
        assert (changes.opened, changes.entered, changes.closed) == ([session], [place], ["s0"])
        assert changes.left == []

    @pytest.mark.parametrize(
        "moves", ["e", "l", "el", "le", "ele", "lel", "elel", "elele"], ids=lambda moves: moves
    )
    async def test_the_last_counts(self, running: Running, moves: str) -> None:
        """Who enters and leaves within one transaction is in the end where the last move led."""
        desk = running()
        place, other = SessionRoom("s1", "a"), SessionRoom("s2", "a")
        async with desk.busy():
            desk.write(100, effect=Effect(entered=other))
            for number, move in enumerate(moves):
                effect = Effect(entered=place) if move == "e" else Effect(left=place)
                desk.write(number + 1, effect=effect)
        await within(desk.journal.flush())
        changes = desk.ledger.commits[1]
        inside = moves[-1] == "e"
        assert (place in changes.entered, place in changes.left) == (inside, not inside)
        assert other in changes.entered

    async def test_without_deliveries(self, running: Running) -> None:
        """An event that no target wants still has its effect."""
        desk = running()
        assert await known(desk.write(effect=Effect(closed="s1")))
        assert (desk.ledger.commits[0].closed, desk.told) == (["s1"], [])


class TestTheEnd:
    """When the journal is stopped."""

    async def test_cancelled_in_a_transaction(self) -> None:
        """Stopped in the middle of a transaction, it ends, and what was not committed is still counted as queued."""
        desk = Desk()
        task = asyncio.ensure_future(desk.journal.run())
        async with desk.busy():
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert desk.journal.queued == 1
