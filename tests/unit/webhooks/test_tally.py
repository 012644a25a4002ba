"""Counting what is pending while it changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from rtserver.webhooks.tally import Tally


class Counting:
    """An outbox that counts, and lets something happen meanwhile."""

    def __init__(self, counts: dict[str, int]) -> None:
        self.counts = counts
        self.meanwhile: Callable[[], None] = lambda: None

    async def pending(self) -> dict[str, int]:
        """Count."""
        self.meanwhile()
        return self.counts


def tally(outbox: Counting, busy: bool = False) -> Tally:
    """A tally over that outbox."""
    return Tally(cast(Any, outbox), lambda: busy)


async def test_nothing_happens_meanwhile() -> None:
    """An undisturbed count stands in place of what was thought, and is sure."""
    one = tally(Counting({"audit": 7}))
    one.add("audit", -3)
    one.add("gone", 2)
    await one.recount()
    assert one.pending == {"audit": 7}
    assert one.sure


async def test_something_happens_meanwhile() -> None:
    """What changes during a count is added to it, and the count is not sure until one is undisturbed."""
    outbox = Counting({"audit": 7})
    one = tally(outbox)
    outbox.meanwhile = lambda: one.add("audit", -2)
    await one.recount()
    assert one.pending == {"audit": 5}
    assert not one.sure
    outbox.counts, outbox.meanwhile = {"audit": 5}, lambda: None
    await one.recount()
    assert one.pending == {"audit": 5}
    assert one.sure


async def test_on_its_way() -> None:
    """A count while changes are on their way into the outbox is not sure."""
    one = tally(Counting({"audit": 7}), busy=True)
    await one.recount()
    assert one.pending == {"audit": 7}
    assert not one.sure


async def test_never_below_nothing() -> None:
    """What was delivered during a count, and not counted any more, does not make it negative."""
    outbox = Counting({})
    one = tally(outbox)
    outbox.meanwhile = lambda: one.add("audit", -2)
    await one.recount()
    assert one.pending == {}
