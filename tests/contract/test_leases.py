"""Lives that have leases: when one is dead, and what a life does that was taken for dead."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from rtserver.store.base import Batch, Changes, LifeOver, Outcome, Session, SessionRoom
from tests.contract.stores import NOW, Store, opened


async def put(store: Store, column: str, seconds: float) -> None:
    """Set a time of the store's life, so many seconds from now."""
    async with store.database.writing() as connection:
        await connection.execute(
            text(f"UPDATE lives SET {column} = extract(epoch FROM clock_timestamp()) + :s WHERE epoch = :e"),
            {"s": seconds, "e": store.life.epoch},
        )


async def test_a_lease_that_ran_out(database: str):
    """A life is dead when its lease has run out, and not before; a sign of life renews it."""
    async with opened(database) as one, opened(database) as two:
        await one.begin()
        await two.begin()
        await one.write(1)
        await put(one, "expires_at", -1)
        await one.lives.seen(NOW)
        assert (await two.lives.take_over()).lost == []
        await put(one, "expires_at", -1)
        assert [lost.life for lost in (await two.lives.take_over()).lost] == [one.life.epoch]
        assert await two.pending() == [1]


async def test_after_an_outage(database: str):
    """Who was without the database itself takes nobody for dead until the others had the time to come back."""
    async with opened(database) as one, opened(database) as two:
        await one.begin()
        await two.begin()
        for store in (one, two):
            await put(store, "expires_at", -100)
        assert (await two.lives.take_over()).lost == []
        await two.lives.seen(NOW)
        assert (await two.lives.take_over()).lost == []
        await put(two, "in_touch_since", -61)
        assert [lost.life for lost in (await two.lives.take_over()).lost] == [one.life.epoch]


async def test_who_has_just_come(database: str):
    """A node that has just begun takes nobody for dead; what was left in good order it takes at once."""
    async with opened(database) as one, opened(database) as two, opened(database) as three:
        await one.begin()
        await one.write(1)
        await put(one, "expires_at", -100)
        await three.begin()
        await three.write(2)
        await three.lives.end()
        await two.begin()
        await put(two, "in_touch_since", 0)
        estate = await two.lives.take_over()
        assert (estate.lost, estate.deliveries) == ([], True)
        assert await two.pending() == [2]


@pytest.mark.parametrize(
    "changes",
    [
        lambda store: Changes(deliveries=[store.delivery(9)]),
        lambda store: Changes(outcomes=[Outcome((1,), (0,), "delivered", 1, NOW, None, NOW)]),
        lambda store: Changes(
            outcomes=[Outcome((1,), (n,), "pending", n + 1, NOW, "no", NOW) for n in range(2)]
        ),
        lambda store: Changes(batches=[Batch("b1", "audit", (1,))]),
        lambda store: Changes(opened=[Session("s2", store.life.epoch, {})]),
        lambda store: Changes(closed=["s1"]),
        lambda store: Changes(entered=[SessionRoom("s1", "b")]),
        lambda store: Changes(left=[SessionRoom("s1", "a")]),
    ],
    ids=["delivery", "outcome", "outcomes", "batch", "opened", "closed", "entered", "left"],
)
async def test_who_was_taken_for_dead_writes_nothing(database: str, changes):
    """A life that others took over changes nothing any more, and is told so; another one begins."""
    async with opened(database) as one, opened(database) as two:
        await one.begin()
        await two.begin()
        about = {"client_id": "ann"}
        await one.outbox.commit(
            Changes(
                deliveries=[one.delivery(1)],
                opened=[Session("s1", one.life.epoch, about)],
                entered=[SessionRoom("s1", "a")],
            )
        )
        await put(one, "expires_at", -1)
        (lost,) = (await two.lives.take_over()).lost
        assert [session.id for session in lost.sessions] == ["s1"]
        before = await dump(two)
        with pytest.raises(LifeOver):
            await one.outbox.commit(changes(one))
        with pytest.raises(LifeOver):
            await one.lives.seen(NOW)
        assert await dump(two) == before
        first = one.life
        await one.begin()
        assert one.life.epoch > first.epoch
        await one.outbox.commit(changes(one))


async def dump(store: Store) -> list[list[tuple]]:
    """All that is written."""
    async with store.database.reading() as connection:
        return [
            sorted(map(tuple, (await connection.execute(text(f"SELECT * FROM {table}"))).all()), key=repr)
            for table in ("deliveries", "batches", "sessions", "session_rooms")
        ]


async def test_outcomes_that_follow_one_another(database: str):
    """Several outcomes of one delivery in a transaction count one after the other, also when it is written twice."""
    async with opened(database) as store:
        await store.begin()
        await store.write(1, 2)
        first = Outcome((1, 2), (0, 0), "pending", 1, NOW, "no", NOW)
        second = Outcome((1,), (1,), "delivered", 2, NOW, None, NOW)
        await store.outbox.commit(Changes(outcomes=[first]))
        await store.outbox.commit(Changes(outcomes=[first, second]))
        found = await store.all()
        assert [(found[n].state, found[n].attempts) for n in (1, 2)] == [("delivered", 2), ("pending", 1)]
