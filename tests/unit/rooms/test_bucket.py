"""The token bucket."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtserver.rooms.bucket import Bucket, Rate

RATES = st.builds(
    Rate,
    messages=st.floats(0.1, 1000),
    per=st.floats(0.1, 100),
    burst=st.floats(0, 500),
)


def test_a_bucket_starts_full() -> None:
    """The whole burst can be taken at once, and not one more."""
    bucket = Bucket(Rate(10, 1, 3), now=0)
    assert [bucket.take(0) for _ in range(3)] == [0.0, 0.0, 0.0]
    assert bucket.take(0) == pytest.approx(0.1)


def test_it_says_how_long_to_wait() -> None:
    """The time it names is the time at which the next token is there, and asking earlier does not push it away."""
    bucket = Bucket(Rate(4, 2, 1), now=100)
    assert bucket.take(100) == 0
    assert bucket.take(100) == pytest.approx(0.5)
    assert bucket.take(100.2) == pytest.approx(0.3)
    assert bucket.take(100.4) == pytest.approx(0.1)
    assert bucket.take(100.5) == 0


def test_it_never_holds_more_than_the_burst() -> None:
    """A long silence saves no more than the burst."""
    bucket = Bucket(Rate(10, 1, 2), now=0)
    assert [bucket.take(3600) > 0 for _ in range(3)] == [False, False, True]


def test_a_burst_is_at_least_one() -> None:
    """A rate without a burst still lets single messages through."""
    bucket = Bucket(Rate(1, 1, 0), now=0)
    assert bucket.take(0) == 0
    assert bucket.take(0) == pytest.approx(1)


def test_a_clock_that_stands_still_or_steps_back_gives_nothing() -> None:
    """Time that does not go forward makes no tokens, and takes none away."""
    bucket = Bucket(Rate(1, 1, 2), now=10)
    assert bucket.take(10) == 0
    assert bucket.take(5) == 0
    assert bucket.take(5) > 0


def test_buckets_of_one_rate_are_independent() -> None:
    """What one client takes is not missed by another."""
    rate = Rate(1, 1, 1)
    first, second = Bucket(rate, 0), Bucket(rate, 0)
    assert first.take(0) == 0
    assert second.take(0) == 0


def test_a_costly_message_takes_more() -> None:
    """What costs three takes three, and waits until three are there."""
    bucket = Bucket(Rate(2, 1, 5), now=0)
    assert bucket.take(0, 3) == 0
    assert bucket.take(0, 3) == pytest.approx(0.5)
    assert bucket.take(0, 2) == 0
    assert bucket.take(1.5, 3) == 0


def test_what_costs_more_than_the_bucket_holds_costs_all_of_it() -> None:
    """A message that no bucket could ever pay for is let through by a full one, and by no other."""
    bucket = Bucket(Rate(1, 1, 2), now=0)
    assert bucket.take(0, 100) == 0
    assert bucket.take(1, 100) == pytest.approx(1)
    assert bucket.take(2, 100) == 0


@given(RATES, st.lists(st.floats(0, 5), min_size=1, max_size=200))
def test_never_more_than_burst_and_rate_allow(rate: Rate, pauses: list[float]) -> None:
    """In every stretch of time from the start, at most burst + rate × time were taken."""
    bucket = Bucket(rate, now=0)
    now, taken = 0.0, 0
    for pause in pauses:
        now += pause
        taken += bucket.take(now) == 0
        assert taken <= rate.burst + rate.per_second * now + 1e-6


@given(RATES, st.lists(st.floats(0, 5), max_size=50))
def test_who_waits_as_told_is_served(rate: Rate, pauses: list[float]) -> None:
    """A refusal names a positive, finite time, after which there is a token."""
    bucket = Bucket(rate, now=0)
    now = 0.0
    for pause in pauses:
        now += pause
        wait = bucket.take(now)
        assert 0 <= wait < math.inf
        if wait:
            now += wait + 1e-6
            assert bucket.take(now) == 0
