"""What every store of revocations must do."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator

import pytest

from rtserver.store.base import RevocationStore, Revoked
from rtserver.store.opening import database_at
from rtserver.store.revocations import SqlRevocations
from tests.contract.conftest import Place
from tests.contract.stores import STORES


@pytest.fixture(params=STORES)
async def store(request: pytest.FixtureRequest, place: Place) -> AsyncIterator[RevocationStore]:
    """An empty one of every kind."""
    database = database_at(place(request.param))
    await database.open()
    yield SqlRevocations(database)
    await database.close()


async def test_all_of_it(store: RevocationStore):
    """Rules of every kind come back as they were kept."""
    rules = [
        Revoked("ädä \\ '", None, 5.5, 1.0),
        Revoked(None, "j", math.inf, 2.0),
        Revoked("a", "j", 3.0, 3.0),
        Revoked(None, None, 4.0, 4.0),
    ]
    for rule in rules:
        await store.keep(rule)
    assert (await store.load())[0] == rules


async def test_what_came_since(store: RevocationStore):
    """Who asks again is told what was kept meanwhile, rules that were kept anew among it, and then nothing."""
    await store.keep(Revoked("ada", None, 1.0, 1.0))
    await store.keep(Revoked("bob", None, 1.0, 1.0))
    _, last = await store.load()
    assert await store.load(last) == ([], last)
    await store.keep(Revoked("ada", None, 2.0, 2.0))
    rules, later = await store.load(last)
    assert rules == [Revoked("ada", None, 2.0, 2.0)]
    assert await store.load(later) == ([], later)
    assert len((await store.load())[0]) == 2


async def test_nothing_is_narrowed(store: RevocationStore):
    """A rule that goes less far, from a node that is behind, takes nothing back."""
    await store.keep(Revoked("ada", None, 9.0, 1.0))
    await store.keep(Revoked("ada", None, 2.0, 2.0))
    assert (await store.load())[0] == [Revoked("ada", None, 9.0, 1.0)]


async def test_at_the_same_time(store: RevocationStore):
    """Of rules that are kept at the same time, who asks again and again misses none."""
    seen: set[str | None] = set()
    last = -1

    async def keep(number: int) -> None:
        for turn in range(10):
            await store.keep(Revoked(f"user-{number}-{turn}", None, 1.0, 1.0))

    keeping = asyncio.gather(*(keep(number) for number in range(5)))
    while len(seen) < 50:
        done = keeping.done()
        rules, last = await store.load(last)
        seen.update(rule.user for rule in rules)
        assert len(seen) == 50 or not done
    await keeping
