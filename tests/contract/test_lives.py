"""What every store must know of the nodes that write to it: which live, which are dead, who looks after what."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from rtserver.store.base import SLOT_BITS, Batch, Changes, Life, Session, SessionRoom, StoreError
from tests.acceptance.harness.postgres import execute
from tests.contract.conftest import Place
from tests.contract.stores import NOW, SHARED, STORES, Store, opened

ROOT = Path(__file__).resolve().parents[2]
ABOUT = {"client_id": "ann", "user_id": None, "sid": "x", "connected_at": NOW}

# A node of its own: it begins, writes, says so, and does nothing more until it is killed.
OTHER = """
import asyncio, sys
from rtserver.store.base import Changes, Session, SessionRoom
from tests.contract.stores import Store

async def main(url, targets):
    store = Store(url)
    await store.database.open()
    life = await store.begin(targets, 1_700_000_001.0, "other")
    about = {"client_id": "bob", "user_id": "bob", "sid": "y", "connected_at": 1_700_000_000.0}
    await store.outbox.commit(Changes(
        deliveries=[store.delivery(50 + n, target) for n, target in enumerate(targets)],
        opened=[Session("theirs", life.epoch, about)],
        entered=[SessionRoom("theirs", "a")],
    ))
    await store.lives.seen(1_700_000_009.0)
    print(life.epoch, flush=True)
    await asyncio.Event().wait()

asyncio.run(main(sys.argv[1], sys.argv[2].split(",")))
"""


@pytest.fixture(params=SHARED)
def url(request: pytest.FixtureRequest, place: Place) -> str:
    """The URL of a database that several nodes may open."""
    return place(request.param)


class Other:
    """A node in a process of its own."""

    def __init__(self, url: str, *targets: str) -> None:
        self._url = url
        self._process = subprocess.Popen(
            [sys.executable, "-c", OTHER, url, ",".join(targets)], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.epoch = int(self._process.stdout.readline())

    async def die(self) -> None:
        """Kill it as nothing else does, and let its lease run out, where there is one."""
        self.kill()
        if self._url.startswith("postgresql:"):
            await execute(
                self._url, ("UPDATE rtserver.lives SET expires_at = 1 WHERE epoch = $1", self.epoch)
            )

    def kill(self) -> None:
        """Kill it, and that is all."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(20)
        assert self._process.stdout is not None
        self._process.stdout.close()


@pytest.fixture
def others() -> Iterator[list[Other]]:
    """Processes that end with the test."""
    made: list[Other] = []
    yield made
    for one in made:
        with contextlib.suppress(ProcessLookupError):
            one.kill()


def locks(directory: Path) -> list[int]:
    """The lives of which there are files of locks."""
    return [int(path.name.rpartition("-")[2]) for path in directory.glob("outbox.db-life-*")]


@contextlib.asynccontextmanager
async def living(url: str, *targets: str, now: float = NOW) -> AsyncIterator[Store]:
    """A node with a life; it dies at the end of this."""
    async with opened(url) as store:
        await store.begin(targets or ("audit",), now)
        yield store


class TestBeginning:
    """Epochs and slots."""

    @pytest.mark.parametrize("kind", STORES)
    async def test_the_first(self, kind: str, place: Place) -> None:
        """An epoch is about the time in microseconds; no slot is 0, which is for lives that began without a store."""
        async with opened(place(kind)) as store:
            life = await store.begin()
        assert abs(life.epoch - NOW * 1_000_000) < 1_000_000
        assert 0 < life.slot < 1 << SLOT_BITS

    @pytest.mark.parametrize("setback", [0.0, 1e-6, 5.0, 3600.0, 86400.0 * 400])
    @pytest.mark.parametrize("end", ["dies", "ends", "ends and leaves deliveries"])
    async def test_epochs_rise(self, url: str, end: str, setback: float) -> None:
        """Every life's epoch is higher than any before, although the clock was set back, and however those ended."""
        epochs = []
        for number in range(3):
            async with living(url, now=NOW - number * setback) as store:
                epochs.append(store.life.epoch)
                if end != "dies":
                    if end != "ends":
                        await store.write(store.life.epoch + 1 << SLOT_BITS)
                    await store.lives.end()
        assert epochs == sorted(set(epochs))

    async def test_positions_rise(self, url: str) -> None:
        """The positions of a new life are above all that are there, although the clock was set back."""
        async with living(url) as store:
            far = (store.life.epoch + 5_000_000) << SLOT_BITS | 1023
            await store.write(far)
            await store.lives.end()
        async with living(url, now=NOW - 1000) as store:
            assert store.life.epoch << SLOT_BITS > far

    async def test_slots(self, url: str) -> None:
        """Lives that exist at the same time have slots of their own, also beside one that is dead."""
        async with contextlib.AsyncExitStack() as stack:
            stores = [await stack.enter_async_context(living(url)) for _ in range(5)]
            await stores[2].close()
            stores.append(await stack.enter_async_context(living(url)))
            assert len({store.life.slot for store in stores}) == 6
            assert len({store.life.epoch for store in stores}) == 6

    async def test_slots_come_back(self, url: str) -> None:
        """The slot of a life that is over may be another's: a thousand restarts use up nothing."""
        for _ in range(3):
            async with living(url) as store:
                await store.lives.end()
                slot = store.life.slot
        assert slot == 1

    async def test_no_slot_left(self, url: str) -> None:
        """With every slot taken a life cannot begin, which is an error of the store like any other."""
        async with living(url) as store, store.database.writing() as connection:
            for number in range(1, 1 << SLOT_BITS):
                await connection.execute(
                    text(
                        "INSERT INTO lives (epoch, slot, node, seen_at) VALUES (:epoch, :slot, 'x', 0)"
                        " ON CONFLICT DO NOTHING"
                    ),
                    {"epoch": number, "slot": number},
                )
        async with opened(url) as store:
            with pytest.raises(StoreError):
                await store.begin()

    async def test_at_the_same_time(self, url: str) -> None:
        """Nodes that start at the same moment get epochs and slots of their own."""
        async with contextlib.AsyncExitStack() as stack:
            stores = [await stack.enter_async_context(opened(url)) for _ in range(6)]
            found = await asyncio.gather(*(store.begin() for store in stores))
        assert len({life.epoch for life in found}) == len({life.slot for life in found}) == 6

    async def test_early(self, url: str) -> None:
        """A life that began without the store is entered as it is, and what it wrote is in its care."""
        early = Life(int(NOW * 1_000_000) + 7, 0)
        async with opened(url) as store:
            assert (await store.begin(early=early)).epoch == early.epoch
            await store.write(1)
            assert await store.pending() == [1]
        async with living(url) as store:
            assert store.life.epoch > early.epoch

    async def test_early_of_two_nodes(self, url: str) -> None:
        """Two nodes that began without the store, and write at the same microsecond, lose nothing."""
        async with opened(url) as one, opened(url) as two:
            first = await one.begin(early=Life(int(NOW * 1_000_000) + 1, 0))
            second = await two.begin(early=Life(int(NOW * 1_000_000) + 2, 0))
            tick = int(NOW * 1_000_000) + 100
            await one.write(tick << SLOT_BITS | first.slot, event_id="one")
            await two.write(tick << SLOT_BITS | second.slot, event_id="two")
            assert {one.event_id for one in (await one.all()).values()} == {"one", "two"}

    async def test_tried_again(self, url: str, tmp_path: Path) -> None:
        """A beginning that failed can be tried again, and leaves no life behind that somebody takes for alive."""
        async with opened(url) as store:
            with pytest.raises(StoreError):
                await store.begin(targets=("audit", None))  # type: ignore[arg-type]
            await store.begin()
            async with living(url, "audit") as other:
                estate = await other.lives.take_over()
                assert estate.lost == []
            await store.lives.end()
        if url.startswith("sqlite:"):
            assert locks(tmp_path) == [other.life.epoch]

    async def test_a_restart_enables(self, url: str) -> None:
        """A beginning enables the targets it has, and no others."""
        async with living(url, "audit", "copy") as store:
            for target in ("audit", "copy"):
                await store.outbox.disable(target, "target_disabled")
            await store.lives.end()
        async with living(url, "audit") as store:
            targets = await store.outbox.targets()
        assert (targets["audit"].disabled, targets["copy"].disabled) == (None, "target_disabled")


class TestCare:
    """Who looks after which deliveries."""

    async def test_one_s_own(self, url: str) -> None:
        """Two nodes that live deliver what they wrote themselves, and count only that."""
        async with living(url) as one, living(url) as two:
            await one.write(1, 3)
            await two.write(2)
            for store, positions in ((one, [1, 3]), (two, [2])):
                assert await store.pending() == positions
                assert await store.outbox.pending() == {"audit": len(positions)}

    async def test_bury_one_s_own(self, url: str) -> None:
        """What another node that lives looks after is not made dead by this one, and its batches stay."""
        async with living(url) as one, living(url) as two:
            await one.write(1)
            await two.write(2, 3)
            await two.outbox.commit(Changes(batches=[Batch("b1", "audit", (2, 3))]))
            assert await one.outbox.bury("audit", "target_disabled", NOW) == 1
            assert await two.pending() == [2, 3]
            assert [batch for batch, _ in await two.outbox.batches("audit")] == ["b1"]

    async def test_after_an_end(self, url: str) -> None:
        """What a life left that ended in good order is its successor's, and it is told; nobody was lost."""
        async with living(url) as one:
            await one.write(1, 2)
            await one.settle(1)
            await one.lives.end()
        async with living(url) as two:
            assert await two.pending() == []
            estate = await two.lives.take_over()
            assert (estate.lost, estate.deliveries) == ([], True)
            assert await two.pending() == [2]
            again = await two.lives.take_over()
            assert (again.lost, again.deliveries) == ([], False)

    async def test_after_many(self, url: str) -> None:
        """What lives left one after the other comes to the last, in one order, with their batches."""
        for number in range(1, 5):
            async with living(url) as store:
                await store.write(number * 10, number * 10 + 1)
                if number == 2:
                    await store.outbox.commit(Changes(batches=[Batch("b1", "audit", (20, 21))]))
                if number % 2:
                    await store.lives.take_over()
                    await store.lives.end()
        async with living(url) as store:
            await store.lives.take_over()
            assert await store.pending() == [10, 11, 20, 21, 30, 31, 40, 41]
            ((batch, members),) = await store.outbox.batches("audit")
            assert (batch, [one.position for one in members]) == ("b1", [20, 21])
            assert await store.outbox.pending() == {"audit": 8}

    async def test_one_takes_it(self, url: str) -> None:
        """Of several that live, one takes over what a dead one left, and only one."""
        async with living(url) as dead, living(url) as one, living(url) as two:
            await dead.write(1)
            await dead.outbox.commit(Changes(opened=[Session("s1", dead.life.epoch, ABOUT)]))
            await dead.close()
            estates = await asyncio.gather(one.lives.take_over(), two.lives.take_over())
            assert sorted(len(estate.lost) for estate in estates) == [0, 1]
            assert sorted([await one.pending(), await two.pending()]) == [[], [1]]

    @pytest.mark.parametrize("targets", [("audit", "copy"), ("copy", "audit")])
    async def test_by_target(self, url: str, targets: tuple[str, str]) -> None:
        """A successor takes over the targets it has; another one takes the rest."""
        ours, theirs = targets
        async with living(url, ours, theirs) as dead:
            await dead.write(1, target=ours)
            await dead.write(2, target=theirs)
        async with living(url, ours) as one:
            await one.lives.take_over()
            assert (await one.pending(ours), await one.pending(theirs)) == ([1], [])
            async with living(url, theirs) as two:
                await two.lives.take_over()
                assert (await two.pending(ours), await two.pending(theirs)) == ([], [2])
            assert await one.pending(ours) == [1]


class TestLost:
    """Lives that ended without a goodbye."""

    async def test_in_this_process(self, url: str) -> None:
        """What a dead life left is told once: its node, when it was last seen, its sessions and their rooms."""
        async with living(url) as dead:
            await dead.outbox.commit(
                Changes(
                    opened=[Session("s1", dead.life.epoch, ABOUT), Session("s2", dead.life.epoch, ABOUT)],
                    entered=[SessionRoom("s1", "a"), SessionRoom("s1", "b")],
                )
            )
            await dead.lives.seen(NOW + 40)
        async with living(url, now=NOW + 60) as heir:
            (lost,) = (await heir.lives.take_over()).lost
            assert (lost.life, lost.node, lost.seen_at) == (dead.life.epoch, "one", NOW + 40)
            assert sorted((session.id, session.about) for session in lost.sessions) == [
                ("s1", ABOUT),
                ("s2", ABOUT),
            ]
            assert {session: sorted(rooms) for session, rooms in lost.rooms.items()} == {"s1": ["a", "b"]}
            assert (await heir.lives.take_over()).lost == []

    async def test_a_process_that_was_killed(self, url: str, others: list[Other]) -> None:
        """A node that is killed with SIGKILL is dead at once, and what it looked after is ours; before, it lives."""
        other = Other(url, "audit")
        others.append(other)
        async with living(url, now=NOW + 1e6) as store:
            assert (await store.lives.take_over()).lost == []
            assert await store.pending() == []
            await other.die()
            estate = await store.lives.take_over()
            (lost,) = estate.lost
            assert (lost.life, lost.node, lost.seen_at) == (other.epoch, "other", NOW + 9)
            assert [session.id for session in lost.sessions] == ["theirs"]
            assert lost.rooms == {"theirs": ["a"]}
            assert estate.deliveries
            assert await store.pending() == [50]

    async def test_a_living_one_is_left_alone(self, url: str) -> None:
        """Who lives keeps what it looks after, however long ago it was last seen."""
        async with living(url) as one, living(url, now=NOW + 1e7) as two:
            await one.write(1)
            await one.outbox.commit(Changes(opened=[Session("s1", one.life.epoch, ABOUT)]))
            for _ in range(3):
                estate = await two.lives.take_over()
                assert (estate.lost, estate.deliveries) == ([], False)
            assert await one.pending() == [1]
            assert (await one.lives.take_over()).lost == []

    async def test_no_target_in_common(self, url: str, others: list[Other]) -> None:
        """A dead life that had none of our targets is left to somebody who has one of them."""
        other = Other(url, "audit")
        others.append(other)
        await other.die()
        async with living(url, "copy") as store:
            estate = await store.lives.take_over()
            assert (estate.lost, estate.deliveries) == ([], False)
        async with living(url, "audit") as store:
            estate = await store.lives.take_over()
            assert [lost.life for lost in estate.lost] == [other.epoch]
            assert estate.deliveries

    async def test_an_heir_that_dies(self, url: str) -> None:
        """When the heir dies before it has said the last words, the next one is told of the same sessions."""
        async with living(url) as first:
            await first.outbox.commit(
                Changes(opened=[Session("s1", first.life.epoch, ABOUT)], entered=[SessionRoom("s1", "a")])
            )
        async with living(url) as second:
            assert len((await second.lives.take_over()).lost) == 1
        async with living(url) as third:
            lost = (await third.lives.take_over()).lost
            assert [session.id for one in lost for session in one.sessions] == ["s1"]
            assert [one.rooms for one in lost if one.rooms] == [{"s1": ["a"]}]
            await third.outbox.commit(Changes(closed=["s1"]))
        async with living(url) as fourth:
            lost = (await fourth.lives.take_over()).lost
            assert [session.id for one in lost for session in one.sessions] == []

    async def test_an_end_with_open_sessions(self, url: str) -> None:
        """A life that ends before all its last events are written is told of, so that somebody writes them."""
        async with living(url) as store:
            await store.outbox.commit(Changes(opened=[Session("s1", store.life.epoch, ABOUT)]))
            await store.lives.end()
        async with living(url) as heir:
            (lost,) = (await heir.lives.take_over()).lost
            assert [session.id for session in lost.sessions] == ["s1"]

    async def test_files_of_locks(self, place: Place, tmp_path: Path) -> None:
        """Lives that are over leave no files behind: each removes its own, or its heir does."""
        url = place("file")
        async with living(url) as one:
            assert locks(tmp_path) == [one.life.epoch]
            await one.lives.end()
            assert locks(tmp_path) == []
        async with living(url):
            pass
        async with living(url) as heir:
            await heir.lives.take_over()
            assert locks(tmp_path) == [heir.life.epoch]

    async def test_ended_twice(self, url: str) -> None:
        """An end may be said twice, and without a beginning."""
        async with opened(url) as store:
            await store.lives.end()
            await store.begin()
            await store.lives.end()
            await store.lives.end()


class TestInMemory:
    """A life in memory is always the only one."""

    async def test_nobody_is_lost(self) -> None:
        """There is nobody else, and one's own deliveries are in one's care."""
        async with opened("memory://") as store:
            await store.begin()
            await store.write(1)
            estate = await store.lives.take_over()
            assert (estate.lost, estate.deliveries) == ([], False)
            assert await store.pending() == [1]
            await store.lives.end()
