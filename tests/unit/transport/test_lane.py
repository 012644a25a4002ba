"""One flush per turn of the event loop."""

import logging

import pytest

from rtserver.transport.lane import LaneLimits, Turn
from tests.unit.transport.stand_ins import Clock


def test_the_first_write_of_a_turn_schedules_one_flush_of_all(clock: Clock) -> None:
    """However many lanes are written to, the loop is asked once, and they flush in the order of their first write."""
    turn, flushed = Turn(), []
    for name in ("b", "a", "c"):
        turn.add(lambda name=name: flushed.append(name))
    assert clock.pending == 1
    assert flushed == []
    clock.advance(0)
    assert flushed == ["b", "a", "c"]
    assert clock.pending == 0


def test_each_turn_flushes_its_own(clock: Clock) -> None:
    """Nothing is flushed twice."""
    turn, flushed = Turn(), []
    turn.add(lambda: flushed.append(1))
    clock.advance(0)
    turn.add(lambda: flushed.append(2))
    clock.advance(0)
    clock.advance(0)
    assert flushed == [1, 2]


def test_a_write_during_a_flush_belongs_to_the_next_turn(clock: Clock) -> None:
    """So a flush that causes a write cannot go round for ever."""
    turn, flushed = Turn(), []

    def first() -> None:
        flushed.append("first")
        turn.add(lambda: flushed.append("second"))

    turn.add(first)
    turn._run()
    assert flushed == ["first"]
    clock.advance(0)
    assert "second" in flushed


def test_a_flush_that_fails_does_not_stop_the_others(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """One broken lane is one broken lane: the rest of the turn's frames leave, and the failure is logged."""
    turn, flushed = Turn(), []

    def broken() -> None:
        raise RuntimeError("broken lane")

    turn.add(broken)
    turn.add(lambda: flushed.append("other"))
    with caplog.at_level(logging.ERROR):
        clock.advance(0)
    assert flushed == ["other"]
    assert "broken lane" in caplog.text
    turn.add(lambda: flushed.append("later"))
    clock.advance(0)
    assert flushed == ["other", "later"]


def test_the_shipped_limits() -> None:
    """4 MiB and ten seconds, and nothing counted yet."""
    assert LaneLimits() == LaneLimits(max_bytes=4 * 2**20, stall=10.0, evicted=0, dropped_volatile=0)
