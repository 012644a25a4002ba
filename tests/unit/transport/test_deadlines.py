"""Things that fall due a fixed time after they were put in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtserver.transport.deadlines import Deadlines, Timer
from tests.unit.transport.stand_ins import Clock


def test_due_after_the_delay_and_not_before() -> None:
    """At exactly the delay it is due, and once only."""
    queue: Deadlines[str] = Deadlines(10)
    queue.add("a", now=5)
    assert queue.next_due() == 15
    assert list(queue.due(14.9)) == []
    assert list(queue.due(15)) == ["a"]
    assert list(queue.due(15)) == []
    assert queue.next_due() is None
    assert len(queue) == 0


def test_slack_takes_along_what_is_almost_due() -> None:
    """Within the slack, early; beyond it, not."""
    queue: Deadlines[str] = Deadlines(10, slack=0.5)
    for number, now in enumerate([0.0, 0.4, 0.6]):
        queue.add(str(number), now)
    assert list(queue.due(10)) == ["0", "1"]
    assert len(queue) == 1


def test_what_is_not_taken_stays() -> None:
    """An iteration that stops half-way loses nothing but what it yielded."""
    queue: Deadlines[int] = Deadlines(1)
    for number in range(3):
        queue.add(number, 0)
    assert next(iter(queue.due(5))) == 0
    assert list(queue.due(5)) == [1, 2]


def test_added_while_falling_due() -> None:
    """Something put in during the iteration waits its own delay."""
    queue: Deadlines[str] = Deadlines(1)
    queue.add("a", 0)
    seen = []
    for item in queue.due(2):
        seen.append(item)
        queue.add("b", 2)
    assert seen == ["a"]
    assert queue.next_due() == 3


@given(st.floats(0, 10), st.lists(st.tuples(st.booleans(), st.floats(0, 3)), max_size=40))
def test_in_order_and_in_time(delay: float, steps: list[tuple[bool, float]]) -> None:
    """With time that only rises, every item comes out once, in the order put in, in the first call at its time."""
    queue: Deadlines[int] = Deadlines(delay)
    now, added, taken = 0.0, [], []
    for add, pause in steps:
        now += pause
        if add:
            queue.add(len(added), now)
            added.append(now + delay)
        taken += list(queue.due(now))
        assert taken == [number for number, due in enumerate(added) if due <= now]


def test_a_timer_wakes_when_the_first_is_due(clock: Clock) -> None:
    """One call of the loop serves all; each item expires at its time, within the slack."""
    expired: list[tuple[str, float]] = []
    timer: Timer[str] = Timer(1.0, lambda item: expired.append((item, clock.now)))
    assert clock.pending == 0
    timer.add("a")
    clock.advance(0.4)
    timer.add("b")
    timer.add("c")
    assert clock.pending == 1
    clock.advance(0.5)
    assert expired == []
    clock.advance(0.1)
    assert expired == [("a", 1001.0)]
    clock.advance(1)
    assert [item for item, _ in expired] == ["a", "b", "c"]
    assert all(at == pytest.approx(1001.4, abs=0.02) for _, at in expired[1:])
    assert clock.pending == 0


def test_an_expiry_may_add_again(clock: Clock) -> None:
    """This is how a heartbeat goes on."""
    beats: list[float] = []

    def beat(item: str) -> None:
        beats.append(clock.now)
        timer.add(item)

    timer: Timer[str] = Timer(2.0, beat)
    timer.add("a")
    clock.advance(7)
    assert beats == [1002, 1004, 1006]


def test_an_expiry_that_fails_does_not_stop_the_timer(clock: Clock) -> None:
    """The error is the loop's to report; the others still expire."""
    expired: list[str] = []

    def expire(item: str) -> None:
        if item == "bad":
            raise RuntimeError(item)
        expired.append(item)

    timer: Timer[str] = Timer(1.0, expire)
    for item in ("bad", "good"):
        timer.add(item)
    with pytest.raises(RuntimeError, match="bad"):
        clock.advance(1)
    clock.advance(1)
    assert expired == ["good"]


def test_a_closed_timer_is_silent(clock: Clock) -> None:
    """Nothing expires after close, and closing twice is nothing."""
    expired: list[str] = []
    timer: Timer[str] = Timer(1.0, expired.append)
    timer.add("a")
    timer.close()
    timer.close()
    clock.advance(10)
    assert expired == []


def test_a_timer_that_was_never_used_can_be_closed() -> None:
    """Without a loop, too."""
    Timer(1.0, print).close()
