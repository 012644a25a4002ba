"""What expires, and when."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from rtserver.auth.expiry import Expiries


def told(expiries: Expiries[str], now: float, most: int = 100) -> list[tuple[str, bool]]:
    """What is due."""
    return list(expiries.due(now, most))


def test_each_falls_due_twice() -> None:
    """An item is due once the grace ahead of its end, once at its end, and never again."""
    expiries: Expiries[str] = Expiries(30)
    expiries.watch("a", 1000, now=0)
    assert expiries.next_due() == 970
    assert told(expiries, 969) == []
    assert told(expiries, 970) == [("a", False)]
    assert expiries.next_due() == 1000
    assert told(expiries, 999) == []
    assert told(expiries, 1000) == [("a", True)]
    assert (told(expiries, 5000), len(expiries), expiries.next_due()) == ([], 0, None)


def test_a_short_life_is_told_at_its_half() -> None:
    """Who lives shorter than the grace is warned half-way, so giving the same token again cannot go on for ever."""
    expiries: Expiries[str] = Expiries(30)
    expiries.watch("a", 10, now=0)
    assert told(expiries, 4.9) == []
    assert told(expiries, 5) == [("a", False)]
    expiries.watch("a", 10, now=5)
    assert expiries.next_due() == 7.5


def test_over_already() -> None:
    """What is over when it comes is over at once, without a warning."""
    expiries: Expiries[str] = Expiries(30)
    expiries.watch("a", 10, now=10)
    expiries.watch("b", 5, now=10)
    assert told(expiries, 10) == [("b", True), ("a", True)]


def test_without_a_grace_only_the_end_is_due_last() -> None:
    """With a grace of nothing the warning comes at the end, and the end after it."""
    expiries: Expiries[str] = Expiries(0)
    expiries.watch("a", 10, now=0)
    assert told(expiries, 10) == [("a", False), ("a", True)]


def test_a_new_end_takes_the_place_of_the_old() -> None:
    """Who renews lives to the new end, also after the warning."""
    expiries: Expiries[str] = Expiries(30)
    expiries.watch("a", 100, now=0)
    assert told(expiries, 70) == [("a", False)]
    expiries.watch("a", 200, now=71)
    assert told(expiries, 169) == []
    assert told(expiries, 170) == [("a", False)]
    assert len(expiries) == 1


def test_who_left_is_never_due() -> None:
    """What was forgotten does not fall due, and forgetting what is unknown does nothing."""
    expiries: Expiries[str] = Expiries(30)
    expiries.watch("a", 100, now=0)
    expiries.watch("b", 100, now=0)
    expiries.forget("a")
    expiries.forget("nobody")
    assert told(expiries, 100) == [("b", False), ("b", True)]


def test_many_at_once_are_taken_in_portions() -> None:
    """No more than asked for are yielded at once, and the rest is still due."""
    expiries: Expiries[int] = Expiries(0)
    for number in range(10):
        expiries.watch(number, 10, now=20)
    assert [item for item, _ in expiries.due(20, 4)] == [0, 1, 2, 3]
    assert [item for item, _ in expiries.due(20, 100)] == [4, 5, 6, 7, 8, 9]


def test_coming_and_going_leaves_nothing_behind() -> None:
    """A million short connections with tokens of a day do not stay in memory for a day."""
    expiries: Expiries[int] = Expiries(30)
    expiries.watch(-1, 86_400, now=0)
    for number in range(10_000):
        expiries.watch(number, 86_400, now=0)
        expiries.forget(number)
    assert len(expiries) == 1
    assert len(expiries._heap) < 200


STEPS = st.lists(
    st.tuples(st.sampled_from(["watch", "forget", "wait"]), st.integers(0, 5), st.integers(1, 50)),
    max_size=60,
)


@given(STEPS, st.integers(0, 20))
def test_against_a_table(steps: list[tuple[str, int, int]], grace: int) -> None:
    """However they come, renew and go, everybody is warned once, ends on time, and nobody else does."""
    expiries: Expiries[int] = Expiries(grace)
    table: dict[int, tuple[float, float]] = {}
    now = 0.0
    for what, who, amount in steps:
        if what == "watch":
            expiries.watch(who, now + amount, now)
            table[who] = (max(now + amount - grace, now + amount / 2), now + amount)
        elif what == "forget":
            expiries.forget(who)
            table.pop(who, None)
        else:
            now += amount
            expected = {(who, False) for who, (warn, _) in table.items() if warn <= now}
            expected |= {(who, True) for who, (_, end) in table.items() if end <= now}
            assert set(told(expiries, now)) == expected
            # Who was warned is not warned again.
            table = {
                who: (math.inf if warn <= now else warn, end)
                for who, (warn, end) in table.items()
                if end > now
            }
