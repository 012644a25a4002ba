"""Nodes that deliver, with a real store and a real receiver."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter, defaultdict
from typing import Any

import pytest
from standardwebhooks import Webhook
from structlog.testing import capture_logs

from rtserver.store.base import SLOT_BITS, Changes, Life, Session, SessionRoom, StoreError
from rtserver.telemetry import log
from rtserver.webhooks import complaints, condition, courier, dispatcher, feed
from rtserver.webhooks.targets import Bundling, Target
from tests.contract.stores import Store
from tests.integration.webhooks.nodes import SECRET, Node, eventually, running, second, states
from tests.integration.webhooks.receiver import OK, Answer, Receiver, Request, until

LATER = (3600.0,)
SOON = (0.002,) * 100
BUNDLING = Bundling(10, 0.01)


def target(receiver: Receiver, **more: Any) -> Target:
    """A target at the receiver."""
    given: dict[str, Any] = {"secrets": [SECRET], "schedule": LATER, "timeout": 20.0, **more}
    return Target("audit", receiver.url, **given)


class Gate:
    """Answers that wait until the gate is opened."""

    def __init__(self, answer: Answer = OK) -> None:
        self.open = asyncio.Event()
        self._answer = answer

    async def __call__(self, request: Request) -> Answer:
        """Wait, and answer."""
        await self.open.wait()
        return self._answer


class TestDelivering:
    """From an event to the target."""

    @pytest.mark.parametrize("memory", [False, True], ids=["file", "memory"])
    @pytest.mark.parametrize("bundling", [None, BUNDLING], ids=["single", "bundles"])
    async def test_everything(
        self, receiver: Receiver, url: str, memory: bool, bundling: Bundling | None
    ) -> None:
        """Every event arrives once, signed, in order, with its node, epoch and number, and is delivered then."""
        async with running("memory://" if memory else url, target(receiver, bundling=bundling)) as node:
            for n in range(50):
                node.say("a", client="ann", n=n)
            await receiver.heard(50)
            await node.stop()
        events = [event for request in receiver.requests for event in request.events]
        assert [data["n"] for _, data in events] == list(range(50))
        assert [data["seq"] for _, data in events] == list(range(1, 51))
        assert {data["node"] for _, data in events} == {"one"}
        assert {data["epoch"] for _, data in events} == {node.dispatcher.emitter.life.epoch}
        assert len({event_id for event_id, _ in events}) == 50
        for request in receiver.requests:
            Webhook(SECRET).verify(request.body, request.headers)
            assert len(request.events) <= 10
        assert node.counted("delivered") == 50
        if not memory:
            assert await states(url) == [("delivered", None)] * 50

    async def test_receipts(self, receiver: Receiver, url: str) -> None:
        """The receipt of an event says yes once it is in the outbox, whatever the target does."""
        receiver.answer = Gate()
        async with running(url, target(receiver)) as node:
            receipt = node.dispatcher.emitter.emit("room-joined", {}, room="a")
            assert receipt is not None
            await until(lambda: receipt.committed is not None)
            assert receipt.committed is True
            assert await states(url) == [("pending", None)]

    @pytest.mark.parametrize(
        "bundling", [None, BUNDLING, Bundling(3, 0.0)], ids=["single", "bundles", "small"]
    )
    @pytest.mark.parametrize("seed", range(3))
    async def test_order_through_failures(
        self, receiver: Receiver, url: str, bundling: Bundling | None, seed: int
    ) -> None:
        """However often a target fails, it accepts every event once, and those of a room and of a client in order."""
        chance = random.Random(seed)

        async def answer(request: Request) -> Answer:
            await asyncio.sleep(chance.random() * 0.003)
            return Answer(500) if chance.random() < 0.3 else OK

        receiver.answer = answer
        async with running(url, target(receiver, bundling=bundling, schedule=SOON, jitter=0.5)) as node:
            keys = []
            for _ in range(150):
                room, client = chance.choice(["a", "b", "c", None]), chance.choice(["ann", "bob", None])
                keys.append((room, client))
                node.say(room, client=client)
                if chance.random() < 0.2:
                    await asyncio.sleep(0.001)
            await receiver.heard(150)
            await node.stop()
        assert sorted(receiver.seqs) == list(range(1, 151))
        last: dict[str, int] = defaultdict(int)
        for seq in receiver.seqs:
            room, client = keys[seq - 1]
            for key in {f"room {room}" if room else "", f"client {client}" if client else ""} - {""}:
                assert last[key] < seq, key
                last[key] = seq
        assert await states(url) == [("delivered", None)] * 150

    async def test_a_stuck_room_holds_nobody(self, receiver: Receiver, url: str) -> None:
        """While one room waits for its retry in an hour, those of others go, also in bundles that are never full."""

        def answer(request: Request) -> Answer:
            return Answer(500) if any(data["room"] == "a" for _, data in request.events) else OK

        receiver.answer = answer
        async with running(url, target(receiver, bundling=Bundling(100, 0.001))) as node:
            node.say("a")
            await receiver.asked(1)
            await until(lambda: node.counted("failed") == 1)
            node.say("a", "a")
            await node.written()
            for n in range(5):
                node.say("b")
                await receiver.heard(n + 1)
        assert receiver.seqs == [4, 5, 6, 7, 8]

    async def test_filters(self, receiver: Receiver, url: str) -> None:
        """A target hears of the types and rooms that it wants, and of what has no room."""
        wanting = target(receiver, events=["room-*", "server-status"], rooms=["game-*"])
        async with running(url, wanting) as node:
            emitter = node.dispatcher.emitter
            for type_, room in (
                ("room-joined", "game-1"),
                ("room-joined", "chat-1"),
                ("client-connected", None),
                ("server-status", None),
                ("message-broadcast", "game-1"),
            ):
                emitter.emit(type_, {"n": type_}, room=room)
            await receiver.heard(2)
            await node.stop()
        assert [request.json["type"] for request in receiver.requests] == ["room-joined", "server-status"]

    async def test_one_target_costs_the_other_nothing(self, receiver: Receiver, url: str) -> None:
        """A target that hangs holds up nobody but itself."""
        gate = Gate()

        def answer(request: Request) -> Any:
            return gate(request) if "slow" in request.headers["x-who"] else OK

        receiver.answer = answer
        slow = Target("slow", receiver.url, headers={"X-Who": "slow"}, timeout=60.0)
        audit = target(receiver, headers={"X-Who": "audit"})
        async with running(url, audit, slow) as node:
            node.say(*["a"] * 20)
            await receiver.heard(20)
            assert await states(url, "slow") == [("pending", None)] * 20
            gate.open.set()
            await receiver.heard(40)

    async def test_dead(self, receiver: Receiver, url: str) -> None:
        """When the schedule is over the delivery is dead, those behind it go on, and the reason is kept."""
        failing: set[int] = {1}
        receiver.answer = lambda request: Answer(500) if {*request.seqs} & failing else OK
        async with running(url, target(receiver, schedule=(0.001, 0.001))) as node:
            node.say("a", "a")
            await receiver.heard(1)
            await node.stop()
        assert [request.seqs for request in receiver.requests] == [[1], [1], [1], [2]]
        assert len({request.id for request in receiver.requests}) == 2
        assert [state for state, _ in await states(url)] == ["dead", "delivered"]
        assert (await states(url))[0][1] == "500 failed"
        assert (node.counted("failed"), node.counted("dead"), node.counted("delivered")) == (2, 1, 1)


class TestPages:
    """More deliveries than are held in memory."""

    @pytest.mark.parametrize("bundling", [None, BUNDLING], ids=["single", "bundles"])
    async def test_nothing_lost_or_repeated(
        self, receiver: Receiver, url: str, bundling: Bundling | None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What finds no place in memory is read later: all of it, once, in order; also while more comes."""
        monkeypatch.setattr(courier, "MAX_ENTRIES", 7)
        monkeypatch.setattr(feed, "PAGE", 5)
        async with running(url, target(receiver, bundling=bundling)) as node:
            for n in range(300):
                node.say("abcde"[n % 5])
                if n % 40 == 0:
                    await receiver.heard(max(n - 60, 0))
            await receiver.heard(300)
            await node.stop()
        assert sorted(receiver.seqs) == list(range(1, 301))
        for room in range(5):
            mine = [seq for seq in receiver.seqs if (seq - 1) % 5 == room]
            assert mine == sorted(mine)
        assert node.dispatcher.pending.total() == 0

    async def test_after_a_restart(
        self, receiver: Receiver, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What a life left is read in pages by the next one, before what that one writes itself."""
        monkeypatch.setattr(courier, "MAX_ENTRIES", 7)
        monkeypatch.setattr(feed, "PAGE", 5)
        gate = receiver.answer = Gate()
        async with running(url, target(receiver)) as node:
            node.say(*["a"] * 60)
            await node.written()
            await node.kill()
        gate.open.set()
        receiver.reset()
        before = len(receiver.requests)
        receiver.answer = lambda request: OK
        async with running(url, target(receiver)) as node:
            node.say(*["a"] * 60)
            await until(lambda: len(receiver.requests) >= before + 120)
            await node.stop()
        found = [seq for request in receiver.requests[before:] for seq in request.seqs]
        assert found == [*range(1, 61), *range(1, 61)]


class TestRestarts:
    """A node that dies, and the one after it."""

    async def test_in_the_middle_of_a_batch(self, receiver: Receiver, url: str) -> None:
        """A batch that was under way is sent again as it was, by id and bytes; what came later goes after."""
        receiver.answer = Gate()
        bundles = {"bundling": Bundling(5, 0.001)}
        async with running(url, target(receiver, **bundles)) as node:
            node.say(*["a"] * 5)
            await receiver.asked(1)
            node.say(*["a"] * 8)
            await node.written()
            await node.kill()
        receiver.reset()
        receiver.answer = lambda request: OK
        async with running(url, target(receiver, **bundles)) as node:
            await receiver.heard(13)
            await node.stop()
        first, again, *_ = receiver.requests
        assert (again.id, again.body) == (first.id, first.body)
        assert receiver.seqs == list(range(1, 14))

    async def test_a_batch_keeps_its_contents(self, receiver: Receiver, url: str) -> None:
        """A batch that failed and was followed by a crash has the same contents when bundling was changed meanwhile."""
        receiver.answer = lambda request: Answer(500)
        async with running(url, target(receiver, bundling=Bundling(3, 0.0), schedule=(0.05,) * 9)) as node:
            node.say("a", "a", "a", "a")
            await receiver.asked(2)
            await node.written()
            await node.kill()
        receiver.answer = lambda request: OK
        async with running(url, target(receiver, bundling=None)) as node:
            await receiver.heard(4)
            await node.stop()
        batch, single = receiver.accepted
        assert (batch.id, batch.body) == (receiver.requests[0].id, receiver.requests[0].body)
        assert (batch.seqs, single.json["type"]) == ([1, 2, 3], "room-joined")

    async def test_one_event(self, receiver: Receiver, url: str) -> None:
        """A single event that was under way is sent again under its id, and its schedule goes on where it was."""
        receiver.answer = lambda request: Answer(500)
        short = {"schedule": (0.0, 0.0, 3600.0)}
        async with running(url, target(receiver, **short)) as node:
            node.say("a")
            await receiver.asked(3)
            await eventually(url, lambda found: found == [("pending", "500 failed")])
            await until(lambda: node.counted("failed") == 3)
            await node.written()
            await node.kill()
        async with second(url) as store:
            (left,) = (await store.all()).values()
            assert left.attempts == 3
            await store.outbox.commit(Changes())
            async with store.database.writing() as connection:
                await connection.exec_driver_sql("UPDATE deliveries SET due_at = 0")
        async with running(url, target(receiver, **short)) as node:
            await eventually(url, lambda found: [state for state, _ in found] == ["dead"])
        assert len(receiver.requests) == 4
        assert len({(request.id, request.body) for request in receiver.requests}) == 1

    async def test_a_good_end(self, receiver: Receiver, url: str) -> None:
        """What could not be delivered before an orderly stop is delivered by the next life."""
        receiver.answer = lambda request: Answer(500)
        async with running(url, target(receiver)) as node:
            node.say("a", "b")
            await until(lambda: node.counted("failed") == 2)
            await node.stop()
        receiver.answer = lambda request: OK
        async with second(url) as store:
            await store.steering.retry((await store.all()).values(), 0.0)
        async with running(url, target(receiver)) as node:
            await receiver.heard(2)

    async def test_another_node_takes_over(self, receiver: Receiver, url: str) -> None:
        """What a dead node left is delivered by one that lives, which tells the last events of its clients."""
        gate = receiver.answer = Gate()
        async with (
            running(url, target(receiver), node="one") as one,
            running(url, target(receiver), node="two") as two,
        ):
            one.say("a")
            await receiver.asked(1)
            about = {"client_id": "ann", "user_id": None, "sid": "x", "connected_at": 0.0}
            life = one.dispatcher.emitter.life.epoch
            await one.store.outbox.commit(
                Changes(opened=[Session("s1", life, about)], entered=[SessionRoom("s1", "a")])
            )
            await one.kill()
            gate.open.set()
            receiver.reset()
            await until(lambda: len({event for r in receiver.accepted for event, _ in r.events}) == 4)
            await two.stop()
        kinds = [
            request.json["type"] for request in receiver.accepted if request.id != receiver.requests[0].id
        ]
        assert kinds == ["room-left", "room-vacated", "client-disconnected"]
        said = receiver.accepted[-1].json["data"]
        assert (said["reason"], said["session_id"], said["node"]) == ("node_lost", "s1", "two")

    async def test_a_dead_node_ahead_of_us(self, receiver: Receiver, url: str) -> None:
        """What a dead node wrote with a clock ahead of ours is delivered, and so is what happens here afterwards."""
        async with running(url, target(receiver)) as node:
            ahead = Store(url)
            await ahead.database.open()
            await ahead.begin(("audit",), time.time())
            later = int((time.time() + 3600) * 1_000_000) << SLOT_BITS
            await ahead.write(later, body=b'{"type":"room-joined","timestamp":"t","data":{"seq":99}}')
            await ahead.close()
            await receiver.heard(1)
            for n in range(3):
                node.say("b")
                await receiver.heard(n + 2)
        assert receiver.seqs == [99, 1, 2, 3]


class TestGone:
    """A target that answers 410."""

    async def test_buried_and_enabled(self, receiver: Receiver, url: str) -> None:
        """After 410 nothing more is sent and everything is dead; enabled, new events go, and dead ones once retried."""
        receiver.answer = lambda request: Answer(410)
        async with running(url, target(receiver, concurrency=1)) as node:
            node.say("a", "a", "b")
            await eventually(url, lambda found: found == [("dead", "target_disabled")] * 3)
            node.say("c")
            await eventually(url, lambda found: found == [("dead", "target_disabled")] * 4)
            assert len(receiver.requests) == 1
            receiver.answer = lambda request: OK
            async with second(url) as other:
                assert await other.steering.enable("audit")
                await until(lambda: node.dispatcher.emitter._targets[0].disabled is None)
                node.say("d")
                await receiver.heard(1)
                assert receiver.seqs == [5]
                assert await other.steering.retry_dead("audit", 0.0) == 4
                await receiver.heard(5)
            assert [seq for seq in receiver.seqs if seq in (1, 2)] == [1, 2]
            await node.stop()
        assert [state for state, _ in await states(url)] == ["delivered"] * 5

    @pytest.mark.parametrize("end", ["stop", "kill"])
    async def test_a_restart_enables(self, receiver: Receiver, url: str, end: str) -> None:
        """The next life delivers to the target again; what died stays dead."""
        receiver.answer = lambda request: Answer(410)
        async with running(url, target(receiver)) as node:
            node.say("a")
            await eventually(url, lambda found: found == [("dead", "target_disabled")])
            await (node.stop() if end == "stop" else node.kill())
        receiver.answer = lambda request: OK
        async with running(url, target(receiver)) as node:
            node.say("b")
            await receiver.heard(1)
            await node.stop()
        assert [state for state, _ in await states(url)] == ["dead", "delivered"]

    async def test_counted_once(self, receiver: Receiver, url: str) -> None:
        """However many requests were under way, every delivery is counted once as dead, and nothing as pending."""
        opened = asyncio.Event()

        async def answer(request: Request) -> Answer:
            if len(receiver.requests) >= 4 and request is receiver.requests[0]:
                return Answer(410)
            await opened.wait()
            return Answer(410)

        async def first(request: Request) -> Answer:
            await receiver.asked(4)
            return await answer(request)

        receiver.answer = first
        async with running(url, target(receiver, concurrency=4)) as node:
            node.say(*"abcdefgh")
            await eventually(url, lambda found: [state for state, _ in found] == ["dead"] * 8)
            opened.set()
            await until(lambda: receiver.under_way == 0)
            await node.stop()
        assert node.counted("dead") == 8
        assert node.dispatcher.pending["audit"] == 0


class TestPauses:
    """A target that wants to be left alone, or is down."""

    @pytest.mark.parametrize("status", [429, 503, 500, 404])
    async def test_retry_after(self, receiver: Receiver, url: str, status: int) -> None:
        """Retry-After holds back every delivery to the target for as long as it says, and not longer than that."""
        times: list[float] = []

        def answer(request: Request) -> Answer:
            times.append(request.at)
            return Answer(status, {"Retry-After": "1"}) if len(times) == 1 else OK

        receiver.answer = answer
        async with running(url, target(receiver, concurrency=1, schedule=(0.001,) * 5)) as node:
            node.say("a")
            await receiver.asked(1)
            await until(lambda: node.counted("failed") == 1)
            node.say("b", "c")
            await receiver.heard(3)
        assert times[1] - times[0] >= 0.99
        assert sorted(receiver.seqs) == [1, 2, 3]

    async def test_after_a_restart(self, receiver: Receiver, url: str) -> None:
        """A delivery that a target put off for long is put off for the next life too, whatever the schedule says."""
        receiver.answer = lambda request: Answer(503, {"Retry-After": "3000"})
        async with running(url, target(receiver, schedule=(0.001,) * 5)) as node:
            node.say("a")
            await until(lambda: node.counted("failed") == 1)
            await node.stop()
        async with running(url, target(receiver, schedule=(0.001,) * 5)) as node:
            backlog = node.dispatcher._couriers["audit"]._backlog
            await until(lambda: len(backlog) == 1 or len(receiver.requests) > 1)
            due = backlog.next_due()
            assert due is not None, "it was sent"
            assert due > asyncio.get_running_loop().time() + 2000
        assert len(receiver.requests) == 1

    async def test_the_log(self, receiver: Receiver, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """However often a target fails the log has one line about it at first, and one when it works again."""
        monkeypatch.setattr(complaints, "QUIET", 3600.0)
        # Another test's configuration may have bound the one that is there.
        monkeypatch.setattr(courier, "_log", log.logger("webhooks"))
        receiver.answer = lambda request: Answer(500) if len(receiver.requests) <= 40 else OK
        async with running(url, target(receiver, schedule=SOON)) as node:
            with capture_logs() as logs:
                node.say("a", "b", "c", "d")
                await receiver.heard(4)
                await node.stop()
        first, again = [line for line in logs if "webhook" in line["event"]]
        assert (first["event"], first["failed_since"]) == ("webhook not delivered", 1)
        assert (again["event"], again["failed_since"]) == ("webhook target works again", 39)

    async def test_maintenance(self, receiver: Receiver, url: str) -> None:
        """Deliveries outlive any number of pauses that a target asks for, those that were in flight included."""

        def answer(request: Request) -> Answer:
            return Answer(503, {"Retry-After": "0"}) if len(receiver.requests) <= 30 else OK

        receiver.answer = answer
        async with running(url, target(receiver, concurrency=4, schedule=(0.001, 0.001))) as node:
            node.say("a", "b", "c", "d")
            await receiver.heard(4)
            await node.stop()
        assert await states(url) == [("delivered", None)] * 4

    async def test_the_last_attempt_pauses_too(self, receiver: Receiver, url: str) -> None:
        """429 is heeded also when the delivery it answers is dead: the others are not burnt one after the other."""
        receiver.answer = lambda request: Answer(429)
        async with running(url, target(receiver, concurrency=1, schedule=())) as node:
            node.say(*"abcdefghij")
            await until(lambda: node.counted("dead") == 1)
            closed = node.dispatcher._couriers["audit"]._condition.closed_until
            assert closed > asyncio.get_running_loop().time()
        assert len(receiver.requests) == 1

    async def test_ailing(self, receiver: Receiver, url: str) -> None:
        """After a row of failures a target gets one request at a time, until one succeeds."""
        well = False

        async def answer(request: Request) -> Answer:
            await asyncio.sleep(0.005)
            return OK if well else Answer(500)

        receiver.answer = answer
        async with running(url, target(receiver, concurrency=8, schedule=SOON)) as node:
            node.say(*(f"room {n}" for n in range(40)))
            await receiver.asked(condition.AILING + 8)
            await until(lambda: receiver.under_way <= 1)
            receiver.most_under_way = 0
            so_far = len(receiver.requests)
            await receiver.asked(so_far + 5)
            assert receiver.most_under_way == 1
            well = True
            await receiver.heard(40)
            assert receiver.most_under_way > 1
            await node.stop()
        assert await states(url) == [("delivered", None)] * 40

    async def test_bounded_concurrency(self, receiver: Receiver, url: str) -> None:
        """A target never gets more requests at a time than it may."""

        async def answer(request: Request) -> Answer:
            await asyncio.sleep(0.002)
            return OK

        receiver.answer = answer
        async with running(url, target(receiver, concurrency=3)) as node:
            node.say(*(f"room {n}" for n in range(60)))
            await receiver.heard(60)
        assert receiver.most_under_way == 3
        assert receiver.connections <= 3


class TestCommands:
    """What another program does to the outbox while the server runs."""

    async def test_retry(self, receiver: Receiver, url: str) -> None:
        """A delivery that waits for hours goes at once when it is retried."""
        receiver.answer = lambda request: Answer(500)
        async with running(url, target(receiver)) as node:
            node.say("a", "a")
            await until(lambda: node.counted("failed") == 1)
            await node.written()
            receiver.answer = lambda request: OK
            async with second(url) as other:
                first, *_ = sorted((await other.all()).values())
                assert await other.steering.retry([first], 0.0) == 1
                await receiver.heard(2)
            await node.stop()
        assert receiver.seqs == [1, 2]
        assert await states(url) == [("delivered", None)] * 2

    async def test_retry_what_was_delivered(self, receiver: Receiver, url: str) -> None:
        """What was delivered is sent once more under the same id when it is retried."""
        async with running(url, target(receiver)) as node:
            node.say("a", "b")
            await receiver.heard(2)
            await node.written()
            async with second(url) as other:
                first, *_ = sorted((await other.all()).values())
                await other.steering.retry([first], 0.0)
                await receiver.heard(3)
            await node.stop()
        again = receiver.accepted[-1]
        assert again.id == first.event_id
        assert again.body == next(one.body for one in receiver.accepted if one.id == again.id)

    async def test_retry_one_of_a_batch(self, receiver: Receiver, url: str) -> None:
        """A delivery that waits in a batch goes at once when it is retried, alone or with its batch."""
        receiver.answer = lambda request: Answer(500)
        async with running(url, target(receiver, bundling=Bundling(3, 0.0))) as node:
            node.say("a", "b", "c")
            await until(lambda: node.counted("failed") == 3)
            await node.written()
            receiver.answer = lambda request: OK
            async with second(url) as other:
                chosen = sorted((await other.all()).values())[1]
                assert await other.steering.retry([chosen], 0.0) == 1
                await until(
                    lambda: (
                        chosen.event_id in {event for one in receiver.accepted for event, _ in one.events}
                    ),
                    lambda: "it still waits for its batch",
                )

    async def test_drop(self, receiver: Receiver, url: str) -> None:
        """What is dropped is not sent any more, and what waited behind it goes."""
        receiver.answer = lambda request: Answer(500)
        async with running(url, target(receiver)) as node:
            node.say("a", "a")
            await until(lambda: node.counted("failed") == 1)
            await node.written()
            receiver.answer = lambda request: OK
            async with second(url) as other:
                first, *_ = sorted((await other.all()).values())
                assert await other.steering.drop([first]) == 1
                await receiver.heard(1)
            await until(lambda: node.dispatcher.pending["audit"] == 0)
        assert receiver.seqs == [2]

    async def test_drop_during_a_pause(self, receiver: Receiver, url: str) -> None:
        """Who drops something wants nothing delivered: the target's pause goes on; a retry ends it."""
        receiver.answer = lambda request: Answer(503, {"Retry-After": "3600"})
        async with running(url, target(receiver, concurrency=1)) as node:
            node.say("a")
            await until(lambda: node.counted("failed") == 1)
            node.say("b", "c")
            await node.written()
            receiver.answer = lambda request: OK
            async with second(url) as other:
                _, dropped, last = sorted((await other.all()).values())
                await other.steering.drop([dropped])
                await until(lambda: node.dispatcher.pending["audit"] == 2)
                assert len(receiver.requests) == 1
                await other.steering.retry([last], time.time())
                await receiver.heard(1)
        assert receiver.seqs == [3]

    async def test_drop_one_of_a_batch(self, receiver: Receiver, url: str) -> None:
        """When one of a batch is dropped, the others go in another batch."""
        receiver.answer = lambda request: Answer(500)
        async with running(url, target(receiver, bundling=Bundling(3, 0.0))) as node:
            node.say("a", "b", "c")
            await until(lambda: node.counted("failed") == 3)
            await node.written()
            receiver.answer = lambda request: OK
            async with second(url) as other:
                chosen = sorted((await other.all()).values())
                await other.steering.drop([chosen[1]])
                await other.steering.retry([chosen[0], chosen[2]], 0.0)
            await receiver.heard(2)
            await node.stop()
        assert sorted(receiver.seqs) == [1, 3]
        old = receiver.requests[0].id
        assert old not in {request.id for request in receiver.accepted}

    async def test_while_one_is_under_way(self, receiver: Receiver, url: str) -> None:
        """A command that comes while a request is under way waits for its answer, and nothing is sent twice for it."""
        gate = receiver.answer = Gate()
        async with running(url, target(receiver, concurrency=1)) as node:
            node.say("a", "b")
            await receiver.asked(1)
            async with second(url) as other:
                await other.steering.enable("audit")
            node.say("c")
            await node.written()
            gate.open.set()
            await receiver.heard(3)
            await node.stop()
        assert Counter(receiver.seqs) == {1: 1, 2: 1, 3: 1}


class TestForgotten:
    """Targets that are not in the configuration any more."""

    async def test_a_warning(
        self,
        receiver: Receiver,
        url: str,
        capfd: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """What waits for such a target is warned of when the server starts: which, how many, and what to do."""
        receiver.answer = lambda request: Answer(500)
        async with running(url, target(receiver), Target("gone", receiver.url, schedule=LATER)) as node:
            node.say("a", "b")
            await node.written()
        # A logger writes for ever where it wrote first, in this process perhaps for another test: this one is new.
        log.configure("info", "json", whole_process=False)
        monkeypatch.setattr(dispatcher, "_log", log.logger("webhooks"))
        async with running(url, target(receiver)) as node:
            assert await node.store.lives.abandoned(["audit"]) == {"gone": 2}
            await until(lambda: node.dispatcher._tally.sure)
            assert node.dispatcher.pending == {"audit": 2}
        said = capfd.readouterr().err
        (line,) = [line for line in said.splitlines() if "not in the configuration" in line]
        assert "gone" in line
        assert "rtserver webhooks drop" in line

    async def test_of_another_server(self, receiver: Receiver, url: str) -> None:
        """A target of another server on the same file is looked after: nobody is warned of it."""
        receiver.answer = lambda request: Answer(500)
        async with running(url, Target("theirs", receiver.url, schedule=LATER)) as theirs:
            theirs.say("a")
            await theirs.written()
            async with running(url, target(receiver), node="two") as ours:
                assert await ours.store.lives.abandoned(["audit"]) == {}


class TestStopping:
    """Stop, and what is left."""

    async def test_what_can_go_goes(self, receiver: Receiver, url: str) -> None:
        """What was emitted before the stop is delivered before it is over."""
        async with running(url, target(receiver, bundling=Bundling(10, 0.05))) as node:
            node.say(*["a", "b", "c"] * 30)
            await node.stop(20.0)
        assert sorted(receiver.seqs) == list(range(1, 91))
        assert await states(url) == [("delivered", None)] * 90

    async def test_patience(self, receiver: Receiver, url: str) -> None:
        """A target that hangs is waited for no longer than told; its delivery is pending, and the next life's."""
        gate = receiver.answer = Gate()
        async with running(url, target(receiver, timeout=600.0)) as node:
            node.say("a", "a")
            await receiver.asked(1)
            async with asyncio.timeout(15):
                await node.stop(0.1)
        assert await states(url) == [("pending", None)] * 2
        gate.open.set()
        receiver.answer = lambda request: OK
        receiver.reset()
        before = len(receiver.requests)
        async with running(url, target(receiver)) as node:
            await until(lambda: len(receiver.requests) == before + 2)
            await node.stop()

    async def test_nothing_to_wait_for(self, receiver: Receiver, url: str) -> None:
        """What waits for its retry, for a pause, or for a disabled target is no reason to wait."""
        receiver.answer = lambda request: Answer(503, {"Retry-After": "3000"})
        async with running(url, target(receiver)) as node:
            node.say("a", "b")
            await until(lambda: node.counted("failed") >= 1)
            async with asyncio.timeout(15):
                await node.stop(600.0)

    async def test_without_targets(self, url: str) -> None:
        """Without a target nothing is opened, written or waited for."""
        node = Node(url)
        await node.start()
        node.say("a")
        assert not node.store.database.is_open
        assert node.dispatcher.healthy
        await node.stop()


class Reluctant(Node):
    """A node whose store cannot be opened until it may."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.tried = 0
        self.may_open = False

    async def _open(self) -> None:
        self.tried += 1
        if not self.may_open:
            raise StoreError("the disk is not there")
        await super()._open()


class TestWithoutAStore:
    """A store that cannot be opened, or not yet."""

    async def test_later(self, receiver: Receiver, url: str) -> None:
        """Events wait in memory until the store can be opened; then all are delivered, in order, also after a crash."""
        node = Reluctant(url, target(receiver))
        await node.start()
        node.say("a", "a")
        await until(lambda: node.tried >= 2)
        assert not node.dispatcher.healthy
        node.say("a")
        node.may_open = True
        await receiver.heard(3)
        node.say("a")
        await receiver.heard(4)
        assert node.dispatcher.healthy
        receiver.answer = lambda request: Answer(500)
        node.say("a")
        await until(lambda: node.counted("failed") == 1)
        await node.kill()
        assert receiver.seqs == [1, 2, 3, 4]
        async with second(url) as store:
            heir = Store(url)
            await heir.database.open()
            await heir.begin(("audit",))
            await heir.lives.take_over()
            assert len(await heir.pending()) == 1
            await heir.close()
            assert len(await store.all()) == 5

    async def test_an_event_while_it_opens(self, receiver: Receiver, url: str) -> None:
        """An event that comes just while the life begins is delivered, and is in that life's care."""
        node = Reluctant(url, target(receiver))
        begin = node.store.lives.begin

        async def slow(*args: Any, **more: Any) -> Life:
            node.say("a", n="before")
            life = await begin(*args, **more)
            node.say("a", n="during")
            await asyncio.sleep(0.01)
            return life

        node.store.lives.begin = slow  # type: ignore[method-assign]
        await node.start()
        await until(lambda: node.tried >= 1)
        node.may_open = True
        await until(lambda: node.dispatcher.healthy)
        node.say("a", n="after")
        await receiver.heard(3)
        await node.stop()
        said = [data["n"] for request in receiver.accepted for _, data in request.events]
        assert said == ["before", "during", "after"]

    async def test_an_event_before_the_start(self, receiver: Receiver, url: str) -> None:
        """What happens before and during the start is delivered, and is not lost by a crash after it was written."""
        receiver.answer = lambda request: Answer(500)
        node = Node(url, target(receiver))
        begin = node.store.lives.begin

        async def begun(*args: Any, **more: Any) -> Life:
            node.say("a", n="during")
            return await begin(*args, **more)

        node.store.lives.begin = begun  # type: ignore[method-assign]
        node.say("a", n="before")
        await node.start()
        node.say("a", n="after")
        await node.written()
        await node.kill()
        receiver.answer = lambda request: OK
        async with second(url) as store:
            await store.steering.retry((await store.all()).values(), 0.0)
        async with running(url, target(receiver)) as heir:
            await receiver.heard(3)
            await heir.stop()
        said = [data["n"] for request in receiver.accepted for _, data in request.events]
        assert said == ["before", "during", "after"]

    async def test_stopped_before_it_was_open(self, receiver: Receiver, url: str) -> None:
        """A stop does not wait for a store that was never there."""
        node = Reluctant(url, target(receiver))
        await node.start()
        node.say("a")
        async with asyncio.timeout(20):
            await node.stop(600.0)

    async def test_it_fails_for_a_while(
        self, receiver: Receiver, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """While the store fails, it is not healthy; afterwards everything is delivered in order, once."""
        async with running(url, target(receiver)) as node:
            commit = node.store.outbox.commit
            failing = True

            async def sometimes(changes: Changes) -> None:
                if failing:
                    raise StoreError("the disk is full")
                await commit(changes)

            monkeypatch.setattr(node.store.outbox, "commit", sometimes)
            node.say("a", "a", "a")
            await until(lambda: not node.dispatcher.healthy)
            assert receiver.requests == []
            failing = False
            await receiver.heard(3)
            assert node.dispatcher.healthy
            await node.stop()
        assert receiver.seqs == [1, 2, 3]


class TestInMemory:
    """A store in memory."""

    @pytest.mark.parametrize("drop_oldest", [False, True])
    async def test_the_bound(self, receiver: Receiver, drop_oldest: bool) -> None:
        """In memory the bound holds for all that is not delivered; what is dropped is counted, the rest arrives."""
        gate = receiver.answer = Gate()
        async with running(
            "memory://", target(receiver), max_events=10, drop_oldest=drop_oldest, wait_for_commit=False
        ) as node:
            for _ in range(30):
                node.say("a")
                await asyncio.sleep(0.001)
            await node.written()
            assert node.dispatcher.pending["audit"] <= 10
            assert node.metrics.dropped["webhook_event"] == 20
            gate.open.set()
            await receiver.heard(10)
            await until(lambda: node.dispatcher.pending["audit"] == 0)
            node.say("b")
            await receiver.heard(11)
            await node.stop()
        assert len(receiver.seqs) == 11

    async def test_lost_with_the_process(self, receiver: Receiver) -> None:
        """A stop in memory delivers what it can, and ends although something is left."""
        receiver.answer = lambda request: Answer(500)
        async with running("memory://", target(receiver), wait_for_commit=False) as node:
            node.say("a", "b")
            await until(lambda: node.counted("failed") == 2)
            async with asyncio.timeout(15):
                await node.stop(600.0)


class TestBatchesOfLongAgo:
    """What the table of batches holds."""

    async def test_none_is_left(self, receiver: Receiver, url: str) -> None:
        """When everything is delivered no batch is left, also after one of them had lost a delivery."""
        receiver.answer = lambda request: Answer(500)
        async with running(url, target(receiver, bundling=Bundling(2, 0.0))) as node:
            node.say("a", "b")
            await until(lambda: node.counted("failed") == 2)
            await node.written()
            async with second(url) as other:
                one, two = sorted((await other.all()).values())
                await other.steering.drop([one])
                receiver.answer = lambda request: OK
                await other.steering.retry([two], 0.0)
                await receiver.heard(1)
            await node.stop()
        async with second(url) as other, other.database.reading() as connection:
            left = (await connection.exec_driver_sql("SELECT count(*) FROM batches")).scalar_one()
        assert left == 0

    async def test_of_another_target(self, receiver: Receiver, url: str) -> None:
        """Batches of a target that is no longer configured stay for when it comes back."""
        gate = receiver.answer = Gate()
        copy = Target("copy", receiver.url, bundling=Bundling(2, 0.0), events=["room-left"])
        async with running(url, target(receiver, events=["room-joined"]), copy) as node:
            for room in "ab":
                node.dispatcher.emitter.emit("room-left", {}, room=room)
            await receiver.asked(1)
            await node.stop(0.0)
        gate.open.set()
        receiver.reset()
        receiver.answer = lambda request: OK
        async with running(url, target(receiver)) as node:
            node.say("a")
            await receiver.asked(2)
            await node.stop()
        async with running(url, copy) as node:
            await receiver.asked(3)
            await node.stop()
        first, other, again = receiver.requests
        assert other.json["type"] == "room-joined"
        assert (again.id, again.body) == (first.id, first.body)
