"""Keys under which something is done once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from rtserver.idempotency import Idempotency
from tests.unit.node.stand_ins import done


class Work:
    """Something that counts how often it was done; with a gate it waits to be let through."""

    def __init__(self, error: Exception | None = None, gate: asyncio.Event | None = None) -> None:
        self.times = 0
        self.error = error
        self.gate = gate

    async def __call__(self) -> str:
        """Do it."""
        self.times += 1
        times = self.times
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        return f"answer {times}"


Do = Callable[[], Awaitable[str]]


def test_the_same_answer():
    """The same key is answered the same within the window, and anew after it."""
    keys: Idempotency[str] = Idempotency(300.0, 10)
    work = Work()
    assert [done(keys.once("k", now, work)) for now in (0.0, 299.9)] == ["answer 1"] * 2
    assert done(keys.once("other", 299.9, work)) == "answer 2"
    assert done(keys.once("k", 300.0, work)) == "answer 3"
    assert len(keys) == 2


def test_what_failed_is_tried_again():
    """An error is not remembered: nothing was done."""
    keys: Idempotency[str] = Idempotency(300.0, 10)
    work = Work(error=ValueError("no"))
    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            done(keys.once("k", 0.0, work))
    work.error = None
    assert done(keys.once("k", 0.0, work)) == "answer 3"


def test_bounded():
    """Past the bound the oldest key is forgotten, and that is counted."""
    dropped: list[int] = []
    keys: Idempotency[str] = Idempotency(300.0, 2, lambda: dropped.append(1))
    work = Work()
    for key in ("a", "b", "c"):
        done(keys.once(key, 0.0, work))
    assert (len(keys), len(dropped)) == (2, 1)
    assert done(keys.once("c", 0.0, work)) == "answer 3"
    assert done(keys.once("a", 0.0, work)) == "answer 4"


@pytest.mark.parametrize("error", [None, ValueError("no")])
async def test_concurrent(error: Exception | None):
    """Who asks while it is being done gets the answer, or the error, of the first; it is done once."""
    keys: Idempotency[str] = Idempotency(300.0, 10)
    work = Work(error, asyncio.Event())
    asking = [asyncio.ensure_future(keys.once("k", 0.0, work)) for _ in range(3)]
    await asyncio.sleep(0)
    assert work.gate is not None
    work.gate.set()
    results = await asyncio.gather(*asking, return_exceptions=True)
    assert work.times == 1
    assert results == [error or "answer 1"] * 3


async def test_the_first_gives_up():
    """When the first is cancelled, one of those who wait does it instead; one who waits may give up alone."""
    keys: Idempotency[str] = Idempotency(300.0, 10)
    work = Work(gate=asyncio.Event())
    asking = [asyncio.ensure_future(keys.once("k", 0.0, work)) for _ in range(4)]
    await asyncio.sleep(0)
    asking[1].cancel()
    asking[0].cancel()
    await asyncio.sleep(0)
    assert work.gate is not None
    work.gate.set()
    results = await asyncio.gather(*asking, return_exceptions=True)
    assert [type(result) for result in results[:2]] == [asyncio.CancelledError] * 2
    assert results[2:] == ["answer 2"] * 2
