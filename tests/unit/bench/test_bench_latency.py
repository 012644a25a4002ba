"""Latencies are counted in buckets, and quantiles come out within their width."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtserver.bench.latency import Latencies


def _of(*seconds: float) -> Latencies:
    found = Latencies()
    for one in seconds:
        found.add(one)
    return found


def test_nothing_measured() -> None:
    """Without a latency every figure is 0."""
    assert _of().milliseconds() == {"p50": 0, "p90": 0, "p99": 0, "p99.9": 0, "max": 0}
    assert _of().octaves() == []


def test_quantiles_of_a_known_set() -> None:
    """Of 1 to 1000 ms, half are at most 500 ms and 99 % at most 990 ms, to within two per cent."""
    found = _of(*(n / 1000 for n in range(1, 1001))).milliseconds()
    assert found["p50"] == pytest.approx(500, rel=0.03)
    assert found["p99"] == pytest.approx(990, rel=0.03)
    assert found["max"] == 1000


@given(st.lists(st.floats(1e-6, 100), min_size=1), st.sampled_from([0.5, 0.9, 0.99]))
def test_a_quantile_is_an_upper_bound_and_close(seconds: list[float], share: float) -> None:
    """The true quantile is never above the answer, nor much below it."""
    rank = -(-len(seconds) * share // 1)
    exact = sorted(seconds)[int(rank) - 1]
    answer = _of(*seconds).quantile(share)
    assert exact * 0.999 <= answer <= exact * 1.03


@given(st.lists(st.floats(0, 10)))
def test_octaves_hold_everything_in_order(seconds: list[float]) -> None:
    """The histogram counts every latency once, its bounds double from line to line."""
    octaves = _of(*seconds).octaves()
    assert sum(count for _, count in octaves) == len(seconds)
    assert all(right[0] == pytest.approx(2 * left[0]) for left, right in pairwise(octaves))
