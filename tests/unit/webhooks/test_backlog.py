"""The backlog of one target: order per key, bundles, and what is due when."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from rtserver.store.base import Delivery
from rtserver.webhooks import backlog as module
from rtserver.webhooks.backlog import Backlog, Entry, Parcel
from rtserver.webhooks.targets import Bundling
from tests.unit.webhooks.deliveries import delivery

BUNDLES = Bundling(3, 10.0)
ROOMS = st.sampled_from([None, "a", "b"])
CLIENTS = st.sampled_from([None, "ann", "bob"])
TYPES = st.sampled_from(["room-joined", "message-broadcast"])


def backlog(*deliveries: Delivery, bundling: Bundling | None = None, now: float = 0.0) -> Backlog:
    """A large backlog with these in it."""
    made = Backlog(bundling, 1_000_000, 1_000_000_000)
    for one in deliveries:
        made.add(one, now)
    return made


def taken(from_: Backlog, now: float = 0.0) -> tuple[int, ...] | None:
    """The positions of the next parcel, which is forgotten."""
    parcel = from_.take(now)
    return parcel.positions if parcel is not None else None


def take(from_: Backlog, now: float = 0.0) -> Parcel:
    """The next parcel, which has to be there."""
    parcel = from_.take(now)
    assert parcel is not None
    return parcel


def keys(one: Delivery) -> set[str]:
    """What an event is ordered by, as the contract has it: its room and its client; else whatever is the node's own."""
    found = set()
    if one.room is not None:
        found.add(f"r:{one.room}")
    elif one.type == "message-broadcast":
        found.add("everybody")
    if one.client is not None:
        found.add(f"c:{one.client}")
    return found or {"node"}


class TestOrder:
    """Who waits for whom."""

    def test_one_room(self) -> None:
        """Of one room one delivery is out at a time, in order."""
        waiting = backlog(*(delivery(n, "a") for n in (1, 2, 3)))
        for n in (1, 2, 3):
            parcel = take(waiting)
            assert parcel.positions == (n,)
            assert waiting.take(1e9) is None
            waiting.done(parcel, 0.0)
        assert waiting.take(1e9) is None

    def test_one_client(self) -> None:
        """Of one client one delivery is out at a time, whatever the rooms."""
        waiting = backlog(delivery(1, "a", "ann"), delivery(2, "b", "ann"), delivery(3, None, "ann"))
        for n in (1, 2, 3):
            parcel = take(waiting)
            assert parcel.positions == (n,)
            assert waiting.take(0.0) is None
            waiting.done(parcel, 0.0)

    def test_others_pass(self) -> None:
        """Deliveries that share neither room nor client do not wait for one another."""
        waiting = backlog(delivery(1, "a", "ann"), delivery(2, "b", "bob"), delivery(3, "c", "cyd"))
        assert [taken(waiting) for _ in range(4)] == [(1,), (2,), (3,), None]

    def test_a_bridge(self) -> None:
        """Who shares the room with one and the client with another waits for both."""
        waiting = backlog(delivery(1, "a", "ann"), delivery(2, "b", "bob"), delivery(3, "a", "bob"))
        first, second = take(waiting), take(waiting)
        assert waiting.take(0.0) is None
        waiting.done(second, 0.0)
        assert waiting.take(0.0) is None
        waiting.done(first, 0.0)
        assert taken(waiting) == (3,)

    def test_a_room_is_no_client(self) -> None:
        """A room and a client of the same name are not in each other's way."""
        waiting = backlog(delivery(1, "ann"), delivery(2, None, "ann"), delivery(3))
        assert [taken(waiting) for _ in range(3)] == [(1,), (2,), (3,)]

    def test_messages_to_everybody(self) -> None:
        """Messages to everybody are a stream: of one sender or of several, they go in order."""
        everybody = {"type": "message-broadcast"}
        waiting = backlog(delivery(1, None, "ann", **everybody), delivery(2, None, "bob", **everybody))
        parcel = take(waiting)
        assert (parcel.positions, waiting.take(0.0)) == ((1,), None)
        waiting.done(parcel, 0.0)
        assert taken(waiting) == (2,)

    def test_a_failure_holds_its_followers(self) -> None:
        """What comes after a failed delivery waits for as long as that one does, and the rest goes on."""
        waiting = backlog(delivery(1, "a"), delivery(2, "a"), delivery(3, "b"))
        failed = take(waiting)
        waiting.again(failed, 50.0)
        assert taken(waiting, 1.0) == (3,)
        assert waiting.take(49.9) is None
        assert waiting.next_due() == 50.0
        assert waiting.take(50.0) is failed
        assert waiting.take(50.0) is None
        waiting.done(failed, 51.0)
        assert taken(waiting, 51.0) == (2,)

    def test_the_lowest_position_goes_first(self) -> None:
        """Among those that may go, the oldest goes first, also when it became free last."""
        waiting = backlog(delivery(1, "a"), delivery(2, "a"), delivery(3, "b"), delivery(4, "c"))
        waiting.done(take(waiting), 0.0)
        assert [taken(waiting) for _ in range(3)] == [(2,), (3,), (4,)]

    def test_wait(self) -> None:
        """One that is not due yet holds back those behind it, and nobody else."""
        waiting = backlog()
        waiting.add(delivery(1, "a"), 0.0, wait=5.0)
        waiting.add(delivery(2, "a"), 0.0)
        waiting.add(delivery(3, "b"), 0.0)
        assert taken(waiting) == (3,)
        assert waiting.take(4.9) is None
        assert waiting.next_due() == 5.0
        parcel = take(waiting, 5.0)
        waiting.done(parcel, 5.0)
        assert taken(waiting, 5.0) == (2,)

    def test_a_follower_that_waits_longer(self) -> None:
        """One that becomes free before it is due still waits until it is due."""
        waiting = backlog(delivery(1, "a"))
        waiting.add(delivery(2, "a"), 0.0, wait=9.0)
        waiting.done(take(waiting), 1.0)
        assert (waiting.take(8.9), waiting.next_due()) == (None, 9.0)
        assert taken(waiting, 9.0) == (2,)


class TestBundles:
    """Several in one request."""

    def test_company(self) -> None:
        """The first waits for company until its time is over; then all that are there go together, in order."""
        waiting = backlog(bundling=BUNDLES)
        waiting.add(delivery(1, "a"), 0.0)
        waiting.add(delivery(2, "a"), 9.0)
        assert (waiting.take(9.9), waiting.next_due()) == (None, 10.0)
        assert taken(waiting, 10.0) == (1, 2)

    def test_full(self) -> None:
        """A bundle that is full goes at once, and never has more than it may."""
        waiting = backlog(*(delivery(n, "a") for n in range(1, 8)), bundling=BUNDLES)
        parcel = take(waiting)
        assert (parcel.positions, parcel.batch) == ((1, 2, 3), None)
        assert waiting.take(1e9) is None
        waiting.done(parcel, 0.0)
        parcel = take(waiting)
        assert parcel.positions == (4, 5, 6)
        waiting.done(parcel, 0.0)
        assert (waiting.take(9.9), taken(waiting, 10.0)) == (None, (7,))

    def test_followers_of_what_is_out_stay(self) -> None:
        """A bundle takes along who stands behind its own members, and nobody who stands behind another's."""
        waiting = backlog(bundling=Bundling(10, 0.0))
        waiting.add(delivery(1, "a", "ann"), 0.0)
        out = take(waiting)
        for one in (
            delivery(2, "a", "bob"),
            delivery(3, "b", "cyd"),
            delivery(4, "b", "bob"),
            delivery(5, "b", "dan"),
        ):
            waiting.add(one, 0.0)
        inner = take(waiting)
        assert inner.positions == (3,)
        waiting.done(inner, 0.0)
        assert waiting.take(0.0) is None
        waiting.done(out, 0.0)
        assert taken(waiting) == (2, 4, 5)

    def test_bytes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A bundle takes no more once it has its bytes; one delivery above the limit goes alone."""
        monkeypatch.setattr(module, "MAX_BUNDLE_BYTES", 100)
        bodies = [b"x" * size for size in (99, 1, 50, 500, 10)]
        waiting = backlog(
            *(delivery(n, "a", body=body) for n, body in enumerate(bodies)), bundling=Bundling(100, 0.0)
        )
        seen = []
        while (parcel := waiting.take(0.0)) is not None:
            seen.append(parcel.positions)
            waiting.done(parcel, 0.0)
        assert seen == [(0, 1), (2, 3), (4,)]

    def test_again(self) -> None:
        """A bundle that failed comes back as it was, although others would find a place in it."""
        waiting = backlog(delivery(1, "a"), bundling=BUNDLES)
        failed = take(waiting, 10.0)
        failed.batch, failed.attempts = "batch", 1
        waiting.again(failed, 20.0)
        waiting.add(delivery(2, "a"), 10.0)
        waiting.add(delivery(3, "b"), 10.0)
        assert waiting.take(20.0) is failed
        assert (failed.positions, failed.batch, failed.attempts) == ((1,), "batch", 1)
        assert taken(waiting, 20.0) == (3,)

    def test_not_due_yet(self) -> None:
        """A follower that is not due yet is not taken along, and those behind it are not either."""
        waiting = backlog(delivery(1, "a"), bundling=Bundling(10, 0.0))
        waiting.add(delivery(2, "a"), 0.0, wait=7.0)
        waiting.add(delivery(3, "a"), 0.0)
        parcel = take(waiting)
        assert parcel.positions == (1,)
        waiting.done(parcel, 1.0)
        assert (waiting.take(6.9), taken(waiting, 7.0)) == (None, (2, 3))

    @pytest.mark.parametrize("rooms", [1, 7, 10_000])
    def test_many(self, rooms: int, monkeypatch: pytest.MonkeyPatch) -> None:
        """Ten thousand go in bundles with few comparisons for each, in however many rooms they are."""
        compared = itertools.count()
        original = Entry.__lt__

        def counting(one: Entry, other: Entry) -> bool:
            next(compared)
            return original(one, other)

        monkeypatch.setattr(Entry, "__lt__", counting)
        waiting = backlog(
            *(delivery(n, f"room {n % rooms}") for n in range(10_000)), bundling=Bundling(100, 0.0)
        )
        seen: list[int] = []
        while (parcel := waiting.take(0.0)) is not None:
            assert len(parcel.entries) == 100
            seen.extend(parcel.positions)
            waiting.done(parcel, 0.0)
        assert sorted(seen) == list(range(10_000))
        for room in range(min(rooms, 50)):
            assert [n for n in seen if n % rooms == room] == list(range(room, 10_000, rooms))
        assert next(compared) < 10_000 * 50
        assert len(waiting) == 0


class TestNews:
    """Whether somebody who waits for `next_due` has to look again."""

    def test_who_is_stuck_is_no_company(self) -> None:
        """The first that may go is news, also while others wait behind a parcel that failed."""
        waiting = backlog(delivery(1, "a"), bundling=BUNDLES)
        waiting.again(take(waiting, 10.0), 36_000.0)
        waiting.add(delivery(2, "a"), 11.0)
        assert waiting.next_due() == 36_000.0
        waiting.add(delivery(3, "b"), 12.0)
        assert waiting.next_due() == 22.0
        assert waiting.news

    @pytest.mark.parametrize("bundling", [None, BUNDLES])
    def test_who_changes_nothing(self, bundling: Bundling | None) -> None:
        """The first is news; one that stands behind it, or goes no sooner, is not."""
        waiting = backlog(bundling=bundling)
        news = []
        for n, room in ((1, "a"), (2, "a")):
            waiting.add(delivery(n, room), 0.0)
            news.append(waiting.news)
        assert news == [True, False]

    def test_the_last_of_a_bundle(self) -> None:
        """The delivery that makes a bundle full is news."""
        waiting = backlog(delivery(1, "a"), delivery(2, "b"), bundling=BUNDLES)
        waiting.add(delivery(3, "c"), 0.0)
        assert (waiting.news, waiting.next_due()) == (True, 0.0)


class TestBatchesPutBack:
    """Batches of a life that ended before they were delivered."""

    def test_as_it_was(self) -> None:
        """A batch that is put back keeps its id, its members and its attempts, and goes when its wait is over."""
        waiting = backlog(bundling=BUNDLES)
        members = [delivery(1, "a", attempts=2), delivery(2, "b", attempts=3), delivery(3, "a")]
        waiting.add_batch("batch", members, 0.0, 4.0)
        assert (waiting.take(3.9), waiting.next_due(), len(waiting)) == (None, 4.0, 3)
        parcel = take(waiting, 4.0)
        assert (parcel.batch, parcel.positions, parcel.attempts) == ("batch", (1, 2, 3), 3)

    def test_those_behind_it(self) -> None:
        """What is added later waits for the batch when it shares a key with any member."""
        waiting = backlog()
        waiting.add_batch("batch", [delivery(1, "a"), delivery(2, "b")], 0.0, 0.0)
        for n, room in ((3, "b"), (4, "c"), (5, "a")):
            waiting.add(delivery(n, room), 0.0)
        parcel = take(waiting)
        assert parcel.batch == "batch"
        assert (taken(waiting), taken(waiting)) == ((4,), None)
        waiting.done(parcel, 0.0)
        assert [taken(waiting) for _ in range(2)] == [(3,), (5,)]


class TestBounds:
    """What is counted."""

    def test_entries(self) -> None:
        """It is full with as many as it may hold, those that are out included, until one of them is done."""
        waiting = Backlog(None, 2, 1_000_000)
        waiting.add(delivery(1, "a"), 0.0)
        assert not waiting.full
        waiting.add(delivery(2, "b"), 0.0)
        assert waiting.full
        parcel = take(waiting)
        assert waiting.full
        waiting.again(parcel, 1.0)
        assert waiting.full
        waiting.done(take(waiting, 1.0), 1.0)
        assert (waiting.full, len(waiting)) == (False, 1)

    def test_bytes(self) -> None:
        """It is full with as many bytes as it may hold, and no longer when they are gone."""
        waiting = Backlog(None, 100, 10)
        waiting.add(delivery(1, body=b"x" * 10), 0.0)
        assert waiting.full
        waiting.done(take(waiting), 0.0)
        assert not waiting.full

    def test_clear(self) -> None:
        """After it was cleared nothing of before is left, in the counts or in the order."""
        waiting = backlog(*(delivery(n, "a") for n in range(5)), bundling=BUNDLES)
        take(waiting)
        waiting.clear()
        assert (len(waiting), waiting.full, waiting.next_due(), waiting.take(1e9)) == (0, False, None, None)
        waiting.add(delivery(9, "a"), 0.0)
        assert (waiting.take(9.9), taken(waiting, 10.0)) == (None, (9,))


class Machine(RuleBasedStateMachine):
    """Any order of what a courier does, beside a model that knows only the contract."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        self.positions = itertools.count(1)
        # In order of position: the undone ones, with when each may go; those out; those that failed.
        self.undone: dict[int, Delivery] = {}
        self.due: dict[int, float] = {}
        self.added: dict[int, float] = {}
        self.seen: set[int] = set()
        self.out: list[Parcel] = []
        self.failed: list[tuple[float, Parcel]] = []
        self.stored: list[tuple[float, str, tuple[int, ...]]] = []
        self.finished: list[Delivery] = []
        self.bytes_before = module.MAX_BUNDLE_BYTES
        module.MAX_BUNDLE_BYTES = 100  # type: ignore[misc]

    def teardown(self) -> None:
        """Let everything come to its end, and see that nothing is left."""
        try:
            for _ in range(10_000):
                if not self.undone:
                    break
                if self.out:
                    self._finish(0)
                elif not self._take():
                    due = self.backlog.next_due()
                    assert due is not None, "something is left and will never be due"
                    assert due > self.now, "it would be asked again and again"
                    self.now = due
            assert not self.undone, "it never ends"
            assert len(self.backlog) == self.backlog._bytes == self.backlog._untaken == 0
            assert not self.backlog._last
            assert self.backlog.next_due() is None
            by_key: dict[str, int] = {}
            for one in self.finished:
                for key in keys(one):
                    assert by_key.get(key, 0) < one.position
                    by_key[key] = one.position
        finally:
            module.MAX_BUNDLE_BYTES = self.bytes_before  # type: ignore[misc]

    @initialize(
        bundling=st.none()
        | st.builds(Bundling, max_events=st.integers(1, 6), max_wait=st.sampled_from([0.0, 1.0, 20.0])),
        batches=st.lists(st.tuples(st.integers(1, 4), st.floats(0, 30)), max_size=2),
    )
    def begin(self, bundling: Bundling | None, batches: list[tuple[int, float]]) -> None:
        """Begin, perhaps with batches of before: no two of them share a key, or they would not have been open."""
        self.bundling = bundling
        self.backlog = Backlog(bundling, 20, 1000)
        for number, (size, wait) in enumerate(batches):
            room = "ab"[number]
            members = [delivery(next(self.positions), room) for _ in range(size)]
            self.backlog.add_batch(f"old {number}", members, self.now, wait)
            for one in members:
                self._enter(one, self.now + wait)
                self.seen.add(one.position)
            self.stored.append((self.now + wait, f"old {number}", tuple(one.position for one in members)))

    @rule(
        room=ROOMS,
        client=CLIENTS,
        type_=TYPES,
        size=st.sampled_from([1, 20, 60, 150]),
        wait=st.sampled_from([0.0, 0.0, 0.0, 3.0, 15.0]),
    )
    def add(self, room: str | None, client: str | None, type_: str, size: int, wait: float) -> None:
        """Add one."""
        one = delivery(next(self.positions), room, client, type=type_, body=b"x" * size)
        before = self.backlog.next_due()
        self.backlog.add(one, self.now, wait)
        self._enter(one, self.now + wait)
        after = self.backlog.next_due()
        if after is not None and (before is None or after < before):
            assert self.backlog.news, "nobody is told that something goes sooner now"

    @rule(seconds=st.sampled_from([0.5, 1.0, 5.0, 30.0]))
    def pass_time(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds

    @rule()
    def take(self) -> None:
        """Take a parcel."""
        self._take()

    def _take(self) -> bool:
        """Take a parcel, and check that it may go; or that nothing has to go now."""
        parcel = self.backlog.take(self.now)
        if parcel is None:
            self._check_nothing_due()
            return False
        out = {position for one in self.out for position in one.positions}
        self.out.append(parcel)
        assert not out & {*parcel.positions}
        if any(parcel is one for _, one in self.failed):
            (due,) = [due for due, one in self.failed if one is parcel]
            assert due <= self.now
            self.failed = [(due, one) for due, one in self.failed if one is not parcel]
        elif parcel.batch is not None:
            stored = next(one for one in self.stored if one[1:] == (parcel.batch, parcel.positions))
            assert stored[0] <= self.now
            self.stored.remove(stored)
        else:
            self._check_new(parcel)
        return True

    @precondition(lambda self: self.out)
    @rule(which=st.integers(0, 100), wait=st.sampled_from([0.0, 1.0, 25.0]))
    def fail(self, which: int, wait: float) -> None:
        """Give one back."""
        parcel = self.out.pop(which % len(self.out))
        parcel.attempts += 1
        if self.bundling is not None and parcel.batch is None:
            parcel.batch = f"new {parcel.positions[0]}"
        self.backlog.again(parcel, self.now + wait)
        self.failed.append((self.now + wait, parcel))

    @precondition(lambda self: self.out)
    @rule(which=st.integers(0, 100))
    def finish(self, which: int) -> None:
        """Be done with one."""
        self._finish(which % len(self.out))

    @invariant()
    def counts(self) -> None:
        """What it counts is what there is."""
        if not hasattr(self, "backlog"):
            return
        size = sum(len(one.body) for one in self.undone.values())
        assert len(self.backlog) == len(self.undone)
        assert self.backlog._bytes == size
        assert self.backlog.full == (len(self.undone) >= 20 or size >= 1000)
        assert self.backlog._untaken == len([p for p in self.undone if p not in self.seen])

    @invariant()
    def due_in_time(self) -> None:
        """It never says that there is nothing to come, or that it comes later than it does."""
        if not hasattr(self, "backlog"):
            return
        known = [due for due, _ in self.failed] + [due for due, _, _ in self.stored]
        company = self.bundling.max_wait if self.bundling is not None else 0.0
        known += [max(self.due[p], self.added[p] + company) for p in self._free()]
        if known:
            due = self.backlog.next_due()
            assert due is not None
            assert due <= min(known)

    def _enter(self, one: Delivery, due: float) -> None:
        self.undone[one.position] = one
        self.due[one.position] = due
        self.added[one.position] = self.now

    def _finish(self, which: int) -> None:
        parcel = self.out.pop(which)
        self.backlog.done(parcel, self.now)
        for position in parcel.positions:
            self.finished.append(self.undone.pop(position))

    def _before(self, position: int) -> set[int]:
        mine = keys(self.undone[position])
        return {p for p, one in self.undone.items() if p < position and keys(one) & mine}

    def _free(self) -> list[int]:
        return [p for p in self.undone if p not in self.seen and not self._before(p)]

    def _check_new(self, parcel: Parcel) -> None:
        positions = parcel.positions
        assert list(positions) == sorted(set(positions))
        assert not self.seen & {*positions}, "taken twice"
        for number, position in enumerate(positions):
            assert self.due[position] <= self.now
            assert self._before(position) <= {*positions[:number]}, "before an earlier one of its key"
        sizes = [len(self.undone[position].body) for position in positions]
        assert len(positions) <= (self.bundling.max_events if self.bundling is not None else 1)
        assert sum(sizes) - max(sizes) < module.MAX_BUNDLE_BYTES
        if self.bundling is not None:
            untaken = len([p for p in self.undone if p not in self.seen])
            first = min(p for p in self._free() if self.due[p] <= self.now)
            waited = self.now >= self.added[first] + self.bundling.max_wait
            assert waited or untaken >= self.bundling.max_events, "it did not wait for company"
        self.seen |= {*positions}

    def _check_nothing_due(self) -> None:
        assert all(due > self.now for due, _ in self.failed)
        assert all(due > self.now for due, _, _ in self.stored)
        company = self.bundling.max_wait if self.bundling is not None else 0.0
        for position in self._free():
            assert max(self.due[position], self.added[position] + company) > self.now
        due = self.backlog.next_due()
        assert due is None or due > self.now


TestAnyOrder = Machine.TestCase
TestAnyOrder.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
