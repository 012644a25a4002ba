"""What every outbox must do. A new one is one more entry of `STORES`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from rtserver.store.base import (
    SLOT_BITS,
    Batch,
    Changes,
    Delivery,
    Outcome,
    Session,
    SessionRoom,
    TargetState,
)
from rtserver.store.sqlite import database
from tests.contract.conftest import Place
from tests.contract.stores import NOW, SHARED, STORES, Store, opened


@pytest.fixture(params=STORES)
async def store(request: pytest.FixtureRequest, place: Place) -> AsyncIterator[Store]:
    """Every implementation, with a life."""
    async with opened(place(request.param)) as one:
        await one.begin()
        yield one


def at(seconds: float) -> int:
    """The position of something written at that time."""
    return int(seconds * 1_000_000) << SLOT_BITS


class TestCommit:
    """All of it or nothing, and once."""

    async def test_as_it_was(self, store: Store) -> None:
        """A delivery comes back as it was written, whatever is in it."""
        one = store.delivery(
            7,
            room="rööm \U0001f642",
            client=None,
            body='{"a":"ü\\u2028\0"}'.encode(),
            attempts=3,
            due_at=NOW + 0.125,
            error="it said: no",
            created_at=NOW - 0.5,
        )
        await store.outbox.commit(Changes(deliveries=[one]))
        assert await store.outbox.page("audit", 0, 10) == [one]
        assert list(await store.steering.find("event-7/audit")) == [one]

    async def test_nothing(self, store: Store) -> None:
        """Changes that hold nothing can be committed, and say that they hold nothing."""
        assert not Changes()
        await store.outbox.commit(Changes())
        assert await store.all() == {}

    async def test_twice(self, store: Store) -> None:
        """Writing the same again changes nothing, also when it has gone on meanwhile."""
        session = Session("s1", store.life.epoch, {"client_id": "ann"})
        changes = Changes(
            deliveries=[store.delivery(1), store.delivery(2)],
            batches=[Batch("b1", "audit", (1, 2))],
            opened=[session],
            entered=[SessionRoom("s1", "a")],
        )
        for _ in range(2):
            await store.outbox.commit(changes)
        assert await store.pending() == [1, 2]
        assert [batch for batch, _ in await store.outbox.batches("audit")] == ["b1"]
        await store.settle(1, 2, batch="b1")
        await store.outbox.commit(Changes(deliveries=changes.deliveries, opened=[session]))
        assert await store.pending() == []
        assert await store.outbox.pending() == {}

    @pytest.mark.parametrize("broken", [{"event_id": None}, {"body": None}, {"target": object()}])
    async def test_all_or_nothing(self, store: Store, broken: dict[str, Any]) -> None:
        """When one row cannot be written nothing of the same transaction is, and the next one can."""
        await store.write(1)
        bad = store.delivery(3)._replace(**broken)
        changes = Changes(
            outcomes=[Outcome((1,), (0,), "delivered", 1, NOW, None, NOW)],
            deliveries=[store.delivery(2), bad],
            opened=[Session("s1", store.life.epoch, {})],
        )
        try:
            await store.outbox.commit(changes)
        except Exception:
            # Refused, or passed over: what counts is that it is never half of it.
            assert await store.pending() == [1]
        await store.write(4)
        assert 4 in await store.pending()

    async def test_at_the_same_time(self, store: Store) -> None:
        """While many write, others may read as they like: nothing is lost, and nothing fails."""

        async def reader() -> None:
            for _ in range(40):
                await store.outbox.page("audit", 0, 10)
                await store.outbox.pending()
                await store.outbox.batches("audit")
                await store.steering.listed(limit=5)

        async def writer(first: int) -> None:
            for position in range(first, first + 40):
                await store.write(position)
                await store.settle(position, state="pending")

        async with asyncio.timeout(60):
            await asyncio.gather(*(writer(1000 * n) for n in range(1, 4)), *(reader() for _ in range(3)))
        expected = [1000 * n + k for n in range(1, 4) for k in range(40)]
        assert await store.pending() == expected
        assert {one.attempts for one in (await store.all()).values()} == {1}

    async def test_a_commit_that_is_given_up(self, store: Store) -> None:
        """Who stops waiting for a commit does no harm to the next."""
        for position in range(1, 20):
            waiting = asyncio.ensure_future(store.write(position))
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        async with asyncio.timeout(20):
            await store.write(100)
        assert (await store.pending())[-1] == 100

    @pytest.mark.parametrize("kind", STORES)
    async def test_whoever_gives_up(self, kind: str, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        """Who is stopped in the middle of anything leaves no lock behind: the next transaction goes through at once."""
        monkeypatch.setattr(database, "_BUSY", 0.5)
        async with opened(place(kind)) as store:
            await store.begin()
            for number in range(100):
                stopped = [
                    asyncio.ensure_future(what)
                    for what in (
                        store.lives.seen(NOW),
                        store.lives.take_over(),
                        store.outbox.prune("audit", 0, NOW),
                        store.outbox.page("audit", 0, 10),
                    )
                ]
                written = asyncio.ensure_future(store.write(number + 1))
                for _ in range(number % 25):
                    await asyncio.sleep(0.0002)
                for one in stopped:
                    one.cancel()
                await asyncio.gather(*stopped, return_exceptions=True)
                await written
                await store.steering.enable("copy")
            assert len(await store.pending()) == 100


class TestPage:
    """Reading what is pending."""

    async def test_pages(self, store: Store) -> None:
        """Pages come in order of position, of one target, and together they are everything."""
        await store.write(5, 1, 9, 3, 7)
        await store.write(2, 4, target="copy")
        found: list[int] = []
        while page := await store.outbox.page("audit", found[-1] if found else 0, 2):
            assert len(page) <= 2
            found.extend(one.position for one in page)
        assert found == [1, 3, 5, 7, 9]
        assert [one.position for one in await store.outbox.page("copy", 2, 10)] == [4]
        assert await store.outbox.page("nobody", 0, 10) == []

    async def test_only_pending(self, store: Store) -> None:
        """What is delivered or dead is in no page; what is pending again is, with what became of it."""
        await store.write(1, 2, 3, 4)
        await store.settle(1)
        await store.settle(2, state="dead")
        await store.outbox.commit(
            Changes(outcomes=[Outcome((3,), (0,), "pending", 5, NOW + 60, "503 unavailable", NOW)])
        )
        third, fourth = await store.outbox.page("audit", 0, 10)
        assert (third.position, third.attempts, third.due_at, third.error) == (
            3,
            5,
            NOW + 60,
            "503 unavailable",
        )
        assert (fourth.position, fourth.attempts) == (4, 0)

    async def test_what_is_written_dead(self, store: Store) -> None:
        """A delivery that is dead from the beginning is written, and not pending."""
        await store.write(1, state="dead", error="target_disabled")
        assert await store.pending() == []
        assert (await store.all())[1].error == "target_disabled"

    async def test_large_positions(self, store: Store) -> None:
        """Positions of our time, with their slots, are kept exactly."""
        positions = [at(NOW) + slot for slot in (0, 1, 1023)] + [at(4_000_000_000)]
        await store.write(*positions)
        assert await store.pending() == positions

    async def test_counts(self, store: Store) -> None:
        """The counts are of what is pending, by target."""
        assert await store.outbox.pending() == {}
        await store.write(1, 2, 3)
        await store.write(4, target="copy")
        await store.settle(1)
        assert await store.outbox.pending() == {"audit": 2, "copy": 1}


class TestOutcomes:
    """What became of attempts."""

    @pytest.mark.parametrize("state", ["pending", "delivered", "dead"])
    async def test_dropped(self, store: Store, state: str) -> None:
        """What a command dropped does not come back with the outcome of an attempt."""
        made = await store.write(1, 2)
        assert await store.steering.drop(made[:1]) == 1
        await store.settle(1, 2, state=state)
        assert list(await store.all()) == [2]

    @pytest.mark.parametrize("late", ["pending", "delivered", "dead"])
    @pytest.mark.parametrize("final", ["delivered", "dead"])
    async def test_the_first_end_counts(self, store: Store, final: str, late: str) -> None:
        """What has come to an end stays as it is, whatever is said of it later."""
        await store.write(1)
        await store.settle(1, state=final)
        await store.outbox.commit(Changes(outcomes=[Outcome((1,), (1,), late, 2, NOW, "late", NOW)]))  # type: ignore[arg-type]
        found = (await store.all())[1]
        assert (found.state, found.attempts) == (final, 1)

    async def test_unknown(self, store: Store) -> None:
        """An outcome of what was never there is nothing."""
        await store.settle(99, state="pending")
        assert await store.all() == {}

    async def test_many(self, store: Store) -> None:
        """One outcome may speak for thousands of deliveries."""
        await store.write(*range(1, 5001))
        await store.settle(*range(1, 5000))
        assert await store.pending() == [5000]


class TestBatches:
    """Batches that are open."""

    async def test_complete(self, store: Store) -> None:
        """An open batch comes back with its deliveries in order, until it has come to its end."""
        made = await store.write(1, 2, 3)
        await store.outbox.commit(Changes(batches=[Batch("b1", "audit", (1, 3))]))
        assert await store.outbox.batches("audit") == [("b1", [made[0], made[2]])]
        assert await store.outbox.batches("copy") == []
        await store.settle(1, 3, state="pending", batch="b1")
        ((batch, members),) = await store.outbox.batches("audit")
        assert (batch, [one.attempts for one in members]) == ("b1", [1, 1])
        await store.settle(1, 3, before=1, batch="b1")
        assert await store.outbox.batches("audit") == []

    async def test_with_its_deliveries(self, store: Store) -> None:
        """A batch may be written in the same transaction as its deliveries, and as the end of the one before."""
        await store.write(1)
        await store.outbox.commit(Changes(batches=[Batch("b1", "audit", (1,))]))
        await store.outbox.commit(
            Changes(
                deliveries=[store.delivery(2)],
                batches=[Batch("b2", "audit", (2,))],
                outcomes=[Outcome((1,), (0,), "delivered", 1, NOW, None, NOW, "b1")],
            )
        )
        assert [batch for batch, _ in await store.outbox.batches("audit")] == ["b2"]

    @pytest.mark.parametrize("gone", ["dropped", "delivered"])
    async def test_incomplete(self, store: Store, gone: str) -> None:
        """A batch one of whose deliveries is gone is no batch any more, and the others are still pending."""
        made = await store.write(1, 2, 3)
        await store.outbox.commit(Changes(batches=[Batch("b1", "audit", (1, 2, 3))]))
        if gone == "dropped":
            await store.steering.drop(made[1:2])
        else:
            await store.settle(2)
        assert all(members == [] for _, members in await store.outbox.batches("audit"))
        assert await store.pending() == [1, 3]

    async def test_large(self, store: Store) -> None:
        """A batch may be as large as the configuration allows to make it."""
        await store.write(*range(1, 40_001))
        await store.outbox.commit(Changes(batches=[Batch("b1", "audit", tuple(range(1, 40_001)))]))
        ((_, members),) = await store.outbox.batches("audit")
        assert len(members) == 40_000


class TestBury:
    """Making everything of a target dead."""

    async def test_all(self, store: Store) -> None:
        """Every pending delivery of the target becomes dead, however many there are; nothing else changes."""
        await store.write(*range(1, 12_001))
        await store.write(20_000, target="copy")
        await store.settle(5)
        await store.settle(6, state="dead")
        await store.outbox.commit(Changes(batches=[Batch("b1", "audit", (1, 2))]))
        assert await store.outbox.bury("audit", "target_disabled", NOW) == 11_998
        assert await store.outbox.pending() == {"copy": 1}
        assert await store.outbox.batches("audit") == []
        found = await store.all(target="audit")
        assert (found[5].state, found[6].error) == ("delivered", "no")
        assert {one.error for one in found.values() if one.position > 6} == {"target_disabled"}
        assert await store.outbox.bury("audit", "target_disabled", NOW) == 0


class TestPrune:
    """Forgetting what is over."""

    async def test_delivered(self, store: Store) -> None:
        """Of those delivered the newest stay, as many as asked for; pending and dead ones are not counted."""
        await store.write(*range(1, 11))
        await store.settle(*range(1, 9))
        await store.settle(9, state="dead")
        assert await store.outbox.prune("audit", 3, 0.0) == 5
        assert sorted(await store.all()) == [6, 7, 8, 9, 10]
        assert await store.outbox.prune("audit", 3, 0.0) == 0

    async def test_dead(self, store: Store) -> None:
        """Dead ones stay until their time is over."""
        old, new = at(NOW - 100), at(NOW)
        await store.write(old, new)
        await store.settle(old, new, state="dead")
        assert await store.outbox.prune("audit", 0, NOW - 200) == 0
        assert await store.outbox.prune("audit", 0, NOW - 50) == 1
        assert list(await store.all()) == [new]

    async def test_pending_stays(self, store: Store) -> None:
        """What is pending is never forgotten, however old it is."""
        await store.write(1, 2, 3)
        assert await store.outbox.prune("audit", 0, NOW + 1e9) == 0
        assert await store.pending() == [1, 2, 3]

    async def test_one_target(self, store: Store) -> None:
        """Every target has its own share."""
        await store.write(1, 2)
        await store.write(3, 4, target="copy")
        await store.settle(1, 2, 3, 4)
        assert await store.outbox.prune("audit", 0, 0.0) == 2
        assert sorted(await store.all()) == [3, 4]

    async def test_many(self, store: Store) -> None:
        """Asked until it says none, it has forgotten all it should, in pieces."""
        await store.write(*range(1, 12_001))
        await store.settle(*range(1, 12_001))
        pieces = []
        while gone := await store.outbox.prune("audit", 10, 0.0):
            pieces.append(gone)
        assert sum(pieces) == 11_990
        assert len(pieces) > 1
        assert sorted(await store.all()) == list(range(11_991, 12_001))


class TestTargets:
    """How the targets stand."""

    async def test_disabled(self, store: Store) -> None:
        """A disabled target stays so until it is enabled, which is told, and shows as a new revision."""
        assert await store.outbox.targets() == {}
        await store.outbox.disable("audit", "target_disabled")
        await store.outbox.disable("audit", "target_disabled")
        before = await store.outbox.targets()
        assert before["audit"].disabled == "target_disabled"
        assert await store.steering.enable("audit") is True
        after = await store.outbox.targets()
        assert after == {"audit": TargetState("audit", before["audit"].revision + 1, None, 1)}
        assert await store.steering.enable("audit") is False

    async def test_enable_what_is_not_known(self, store: Store) -> None:
        """A target that was never disabled can be enabled: nothing was wrong with it."""
        assert await store.steering.enable("audit") is False
        assert (await store.outbox.targets())["audit"].disabled is None

    @pytest.mark.parametrize("command", ["retry", "retry_dead", "drop", "enable"])
    async def test_revisions(self, store: Store, command: str) -> None:
        """Every command raises the revision of the targets it touches, and of no other."""
        made = await store.write(1)
        await store.write(2, target="copy")
        await store.settle(1, state="dead")
        revisions = []
        for _ in range(2):
            if command == "retry":
                await store.steering.retry(made, NOW)
            elif command == "retry_dead":
                await store.settle(1, state="dead")
                await store.steering.retry_dead("audit", NOW)
            elif command == "drop":
                await store.steering.drop(made)
            else:
                await store.steering.enable("audit")
            targets = await store.outbox.targets()
            revisions.append(targets["audit"].revision)
            assert "copy" not in targets or targets["copy"].revision == 0
        assert 0 < revisions[0] < revisions[1]
        # Who drops something wants nothing delivered: the target's pause goes on.
        assert targets["audit"].released == (0 if command == "drop" else 2)

    async def test_outcomes_are_no_commands(self, store: Store) -> None:
        """What the server itself writes is no reason to read anew."""
        await store.write(1, 2)
        await store.settle(1)
        await store.outbox.disable("audit", "target_disabled")
        await store.outbox.bury("audit", "target_disabled", NOW)
        await store.outbox.prune("audit", 0, NOW)
        assert (await store.outbox.targets())["audit"].revision == 0


class TestSteering:
    """Commands."""

    async def test_listed(self, store: Store) -> None:
        """Lists are the newest first, of a state, of a target, so many, before a position."""
        await store.write(1, 2, 3, 4)
        await store.write(5, target="copy")
        await store.settle(2)
        await store.settle(3, state="dead")

        async def listed(**which: Any) -> list[int]:
            return [one.position for one in await store.steering.listed(**which)]

        assert await listed() == [5, 4, 3, 2, 1]
        assert await listed(state="pending") == [5, 4, 1]
        assert await listed(state="dead", target="audit") == [3]
        assert await listed(target="copy") == [5]
        assert await listed(limit=2) == [5, 4]
        assert await listed(limit=2, before=4) == [3, 2]
        assert await listed(state="delivered", target="copy") == []

    async def test_find(self, store: Store) -> None:
        """A delivery is found by its own id, and all deliveries of an event by the event's."""
        await store.write(1, event_id="e")
        await store.write(2, target="copy", event_id="e")
        assert [one.id for one in await store.steering.find("e")] == ["e/audit", "e/copy"]
        assert [one.position for one in await store.steering.find("e/copy")] == [2]
        for unknown in ("x", "e/", "e/x", "/audit", "", "e/audit/x", "%", "e%"):
            assert [one.position for one in await store.steering.find(unknown)] in ([], [1, 2]), unknown
        assert list(await store.steering.find("x")) == list(await store.steering.find("e/x")) == []

    @pytest.mark.parametrize("state", ["pending", "delivered", "dead"])
    async def test_retry(self, store: Store, state: str) -> None:
        """A delivery of any state is due at once, with a fresh schedule and no error."""
        await store.write(1, 2)
        await store.settle(1, 2, state=state)
        assert await store.steering.retry([(await store.all())[1]], NOW + 5) == 1
        found = await store.all()
        assert found[1] == store.delivery(1, due_at=NOW + 5)
        assert found[2].state == state
        assert 1 in await store.pending()

    async def test_retry_dead(self, store: Store) -> None:
        """All dead ones of a target, or of all, are due at once; the others stay as they are."""
        await store.write(1, 2, 3)
        await store.write(4, target="copy")
        await store.settle(1, 4, state="dead")
        await store.settle(2)
        assert await store.steering.retry_dead("nobody", NOW) == 0
        assert await store.steering.retry_dead("audit", NOW) == 1
        assert await store.pending() == [1, 3]
        assert await store.steering.retry_dead(None, NOW) == 1
        assert await store.pending("copy") == [4]
        assert (await store.all())[2].state == "delivered"

    async def test_a_retry_is_not_undone(self, store: Store) -> None:
        """A delivery that is told to start afresh does so, also when its last attempt was under way and failed."""
        made = await store.write(1, attempts=8)
        # Under way: the attempt has been made, its outcome not been written.
        await store.steering.retry(made, NOW)
        await store.outbox.commit(
            Changes(outcomes=[Outcome((1,), (8,), "dead", 9, NOW, "500 failed", NOW)]),
        )
        found = (await store.all())[1]
        assert (found.state, found.attempts) == ("pending", 0)

    async def test_drop(self, store: Store) -> None:
        """What is dropped is gone, whatever its state; dropping it again does nothing."""
        made = await store.write(1, 2, 3, 4)
        await store.settle(2)
        await store.settle(3, state="dead")
        assert await store.steering.drop(made[:3]) == 3
        assert list(await store.all()) == [4]
        assert await store.steering.drop(made[:3]) == 0
        assert await store.steering.drop([]) == 0

    async def test_many(self, store: Store) -> None:
        """Commands take as many deliveries as a list can show."""
        made = await store.write(*range(1, 100_001), body=b"{}")
        assert await store.steering.retry(made, NOW) == 100_000
        assert await store.steering.drop(made) == 100_000
        assert await store.all() == {}


class TestSessions:
    """Who is connected, for the last events of a node that dies."""

    async def test_opened_and_closed(self, store: Store) -> None:
        """A life that dies leaves the sessions that were not closed, and the rooms that were not left."""
        epoch = store.life.epoch
        about = {"client_id": "änn", "user_id": None, "connected_at": NOW}
        places = [SessionRoom("s1", "a"), SessionRoom("s1", "b"), SessionRoom("s2", "a")]
        await store.outbox.commit(
            Changes(opened=[Session(f"s{n}", epoch, about) for n in (1, 2, 3)], entered=places)
        )
        await store.outbox.commit(Changes(left=places[:1], closed=["s2"]))
        await store.outbox.commit(Changes(left=[SessionRoom("s9", "a")], closed=["s9"]))
        if not store.outbox.durable:
            return
        async with opened(store.url) as other:
            await store.close()
            await other.begin()
            (lost,) = (await other.lives.take_over()).lost
        assert {session.id for session in lost.sessions} == {"s1", "s3"}
        assert [session.about for session in lost.sessions] == [about] * 2
        assert {session: sorted(rooms) for session, rooms in lost.rooms.items()} == {"s1": ["b"]}

    async def test_within_one_transaction(self, store: Store) -> None:
        """A session that opens, enters and closes within one transaction leaves nothing."""
        await store.outbox.commit(
            Changes(
                opened=[Session("s1", store.life.epoch, {})],
                entered=[SessionRoom("s1", "a")],
                closed=["s1"],
            )
        )
        if store.outbox.durable:
            async with opened(store.url) as other:
                await store.close()
                await other.begin()
                (lost,) = (await other.lives.take_over()).lost
            assert (lost.sessions, lost.rooms) == ([], {})


class TestDurable:
    """What survives."""

    @pytest.mark.parametrize("kind", STORES)
    async def test_told(self, place: Place, kind: str) -> None:
        """A store says whether what it holds survives the process."""
        assert Store(place(kind)).outbox.durable is (kind != "memory")

    @pytest.mark.parametrize("kind", SHARED)
    async def test_reopened(self, place: Place, kind: str) -> None:
        """What is committed is there when the store is opened again, without a word of goodbye."""
        url = place(kind)
        async with opened(url) as store:
            await store.begin()
            made = await store.write(1, 2)
            await store.settle(2)
        async with opened(url) as store:
            found: dict[int, Delivery] = await store.all()
        assert found[1] == made[0]
        assert found[2].state == "delivered"
