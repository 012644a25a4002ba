"""Complaints: the first failure is told at once, the rest in numbers, and nothing is told twice."""

from __future__ import annotations

from rtserver.webhooks.complaints import QUIET, Complaints, Count


def test_the_first_at_once() -> None:
    """The first failure is told of, the ones soon after it are not."""
    complaints = Complaints()
    assert complaints.failed(0, 100.0) == Count(1, 0)
    assert [complaints.failed(0, 100.0 + n) for n in range(int(QUIET))] == [None] * int(QUIET)


def test_in_numbers() -> None:
    """After a while there is one line about all attempts since, and the deliveries that died."""
    complaints = Complaints()
    complaints.failed(0, 0.0)
    for n in range(1, 1000):
        assert complaints.failed(n % 2, QUIET * n / 1000) is None
    assert complaints.failed(3, QUIET) == Count(1000, 503)
    assert complaints.failed(0, QUIET) is None


def test_it_works_again() -> None:
    """A success ends what was told, once, with what was not told yet; who never failed is not said to work again."""
    complaints = Complaints()
    assert complaints.succeeded() is None
    complaints.failed(0, 0.0)
    complaints.failed(2, 1.0)
    assert complaints.succeeded() == Count(1, 2)
    assert complaints.succeeded() is None


def test_now_and_then() -> None:
    """A target that fails every other time takes no more lines than one that always does."""
    complaints = Complaints()
    lines = 0
    for n in range(1000):
        lines += complaints.failed(0, QUIET * n / 500) is not None
        lines += complaints.succeeded() is not None
    assert lines == 4
