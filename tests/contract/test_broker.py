"""What every broker must do. A new one is one more entry of `BROKERS`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtserver.broker.base import Broker, Deliver, Delivery, Draft, Retention
from rtserver.broker.memory import MemoryBroker
from rtserver.rooms.stream import Page, Publication

KEEP = Retention(size=100, ttl=3600.0)
NOW = 1_700_000_000.0

Opened = AbstractAsyncContextManager[Broker]


@asynccontextmanager
async def memory(deliver: Deliver) -> AsyncIterator[Broker]:
    """The broker of a single node."""
    yield MemoryBroker(deliver)


BROKERS: dict[str, Callable[[Deliver], Opened]] = {"memory": memory}


class Delivered:
    """This node: what it was asked to deliver, and to how many."""

    def __init__(self) -> None:
        self.seen: list[tuple[str | None, Publication, tuple[str, ...]]] = []
        self.recipients = 0
        self.refuse: Exception | None = None

    def __call__(self, room: str | None, publication: Publication, skip: Collection[str]) -> Delivery:
        """Deliver."""
        if self.refuse is not None:
            raise self.refuse
        self.seen.append((room, publication, tuple(skip)))
        return Delivery(self.recipients, publication)


def draft(text: Any = "x", *, stamped: bool = True, at: float = NOW, name: str = "id") -> Draft:
    """Something to publish."""
    payload = {"message": text} if stamped else text
    return Draft("chat" if stamped else "custom", payload, name, at, stamped)


@pytest.fixture
def node() -> Delivered:
    """A node that delivers to nobody."""
    return Delivered()


@pytest.fixture(params=list(BROKERS))
async def broker(request: pytest.FixtureRequest, node: Delivered) -> AsyncIterator[Broker]:
    """Every implementation."""
    async with BROKERS[request.param](node) as one:
        yield one


async def publish(
    broker: Broker, room: str | None, *texts: Any, retention: Retention = KEEP, at: float = NOW
) -> None:
    """Publish texts one after the other."""
    for text in texts:
        await broker.publish(room, draft(text, at=at), retention, ())


def texts(page: Page) -> list[Any]:
    """What a page holds."""
    return [publication.payload["message"] for publication in page.publications]


def offsets(page: Page) -> list[int]:
    """The offsets of what a page holds."""
    return [publication.offset for publication in page.publications]


class TestPublish:
    """Offsets, delivery, and what is recorded."""

    async def test_offsets(self, broker: Broker):
        """Offsets begin at 1 and rise by one, in every room for itself; messages to everybody are a stream, too."""
        for room in ("a", None, "b"):
            found = [(await broker.publish(room, draft(), KEEP, ()))[0].offset for _ in range(3)]
            assert found == [1, 2, 3]
        assert (await broker.publish("a", draft(), KEEP, ()))[0].offset == 4

    async def test_delivery(self, broker: Broker, node: Delivered):
        """This node delivers exactly what was recorded, once, but to those to skip, and tells to how many."""
        node.recipients = 7
        publication, recipients = await broker.publish(
            "a", draft("hi", name="id-1"), KEEP, ("sid-1", "sid-2")
        )
        assert recipients == 7
        ((room, delivered, skip),) = node.seen
        assert (room, delivered) == ("a", publication)
        assert sorted(skip) == ["sid-1", "sid-2"]
        assert publication == Publication("chat", {"message": "hi", "offset": 1}, 1, "id-1", NOW)
        assert (await broker.latest("a", 10, NOW)).publications == [publication]

    @pytest.mark.parametrize(
        "payload", [None, 5, "text", [1, {"a": None}], {"a": b"\0\xff"}, b"bytes", {}, [], True], ids=repr
    )
    async def test_payloads(self, broker: Broker, node: Delivered, payload: Any):
        """Any payload is delivered and remembered as it was; one that is not stamped shows no offset."""
        publication, _ = await broker.publish("a", draft(payload, stamped=False), KEEP, ())
        assert publication.payload == payload
        assert node.seen[0][1].payload == payload
        assert (await broker.after("a", 0, 10, NOW)).publications[0].payload == payload

    @pytest.mark.parametrize("error", [TypeError("no"), ValueError("no")])
    async def test_what_cannot_be_delivered(self, broker: Broker, node: Delivered, error: Exception):
        """When the draft cannot be encoded its error comes back, nothing is recorded, and the offset is not used up."""
        await publish(broker, "a", "one")
        node.refuse = error
        with pytest.raises(type(error)):
            await broker.publish("a", draft("bad"), KEEP, ())
        node.refuse = None
        await publish(broker, "a", "two")
        page = await broker.latest("a", 10, NOW)
        assert (texts(page), offsets(page)) == (["one", "two"], [1, 2])

    async def test_at_the_same_time(self, broker: Broker, node: Delivered):
        """However many publish at once, offsets have no gaps and delivery is in their order."""
        await asyncio.gather(*(broker.publish("a", draft(number), KEEP, ()) for number in range(100)))
        assert [publication.offset for _, publication, _ in node.seen] == list(range(1, 101))
        assert offsets(await broker.latest("a", 100, NOW)) == list(range(1, 101))


class TestHistory:
    """``latest`` and ``after``."""

    @pytest.mark.parametrize("room", ["never", None])
    async def test_nothing_yet(self, broker: Broker, room: str | None):
        """Where nothing was said there is nothing, completely; an offset from elsewhere is not complete."""
        assert await broker.latest(room, 10, NOW) == Page([], 0, complete=True)
        assert await broker.after(room, 0, 10, NOW) == Page([], 0, complete=True)
        assert await broker.after(room, 5, 10, NOW) == Page([], 0, complete=False)

    @pytest.mark.parametrize(
        ("limit", "before", "expected"),
        [
            (10, None, [1, 2, 3, 4, 5]),
            (2, None, [4, 5]),
            (0, None, []),
            (2, 4, [2, 3]),
            (10, 1, []),
            (2, 100, [4, 5]),
        ],
    )
    async def test_latest(self, broker: Broker, limit: int, before: int | None, expected: list[int]):
        """The latest come, oldest first, those before an offset if one is given; the stream's own offset with them."""
        await publish(broker, "a", *range(1, 6))
        page = await broker.latest("a", limit, NOW, before)
        assert (offsets(page), texts(page), page.offset) == (expected, expected, 5)

    @pytest.mark.parametrize(
        ("since", "limit", "before", "expected", "complete"),
        [
            (0, 10, None, [1, 2, 3, 4, 5], True),
            (3, 10, None, [4, 5], True),
            (5, 10, None, [], True),
            (6, 10, None, [], False),
            (1, 2, None, [4, 5], False),
            (3, 2, None, [4, 5], True),
            (1, 10, 4, [2, 3], True),
            (0, 0, None, [], False),
            (5, 0, None, [], True),
        ],
    )
    async def test_after(
        self, broker: Broker, since: int, limit: int, before: int | None, expected: list[int], complete: bool
    ):
        """What came after an offset comes, oldest first; complete only when nothing of it is missing."""
        await publish(broker, "a", *range(1, 6))
        page = await broker.after("a", since, limit, NOW, before)
        assert (offsets(page), page.complete, page.offset) == (expected, complete, 5)

    async def test_rooms_are_apart(self, broker: Broker):
        """A room remembers what was said in it, and none of the rest."""
        await publish(broker, "a", "in a")
        await publish(broker, None, "to all")
        await publish(broker, "b", "in b")
        for room, text in (("a", "in a"), (None, "to all"), ("b", "in b")):
            assert texts(await broker.latest(room, 10, NOW)) == [text]

    async def test_size(self, broker: Broker):
        """A room keeps so many; what was evicted is missing, and that is told."""
        await publish(broker, "a", *range(1, 6), retention=Retention(3, 3600.0))
        assert offsets(await broker.latest("a", 10, NOW)) == [3, 4, 5]
        assert (await broker.after("a", 2, 10, NOW)).complete is True
        assert (await broker.after("a", 1, 10, NOW)).complete is False

    async def test_size_zero(self, broker: Broker):
        """A room may keep nothing: offsets rise all the same."""
        await publish(broker, "a", 1, 2, retention=Retention(0, 3600.0))
        assert await broker.latest("a", 10, NOW) == Page([], 2, complete=True)
        assert await broker.after("a", 1, 10, NOW) == Page([], 2, complete=False)
        assert await broker.after("a", 2, 10, NOW) == Page([], 2, complete=True)

    async def test_age(self, broker: Broker):
        """What is older than the room remembers is missing, and that is told; the offset goes on."""
        retention = Retention(100, 60.0)
        await publish(broker, "a", "old", retention=retention, at=NOW - 61)
        await publish(broker, "a", "new", retention=retention, at=NOW - 59)
        page = await broker.after("a", 0, 10, NOW)
        assert (texts(page), page.complete) == (["new"], False)
        assert texts(await broker.latest("a", 10, NOW)) == ["new"]
        later = await broker.after("a", 2, 10, NOW + 100)
        assert later == Page([], 2, complete=True)
        assert (await broker.publish("a", draft(at=NOW + 100), retention, ()))[0].offset == 3


@pytest.mark.parametrize("name", list(BROKERS))
@settings(max_examples=50)
@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("publish"), st.sampled_from(["a", None]), st.integers(0, 30)),
            st.tuples(st.just("latest"), st.sampled_from(["a", None]), st.integers(0, 8)),
            st.tuples(st.just("after"), st.sampled_from(["a", None]), st.integers(0, 12)),
        ),
        max_size=30,
    ),
    size=st.integers(0, 5),
)
def test_any_order(name: str, steps: list[tuple[str, str | None, int]], size: int):
    """Whatever is published and asked in whatever order, the answers are those of a plain list."""
    retention = Retention(size, 50.0)

    async def run() -> None:
        said: dict[str | None, list[tuple[int, float]]] = {"a": [], None: []}
        now = NOW
        async with BROKERS[name](Delivered()) as broker:
            for verb, room, number in steps:
                everything = said[room]
                if verb == "publish":
                    now += number
                    await broker.publish(room, draft(at=now), retention, ())
                    everything.append((len(everything) + 1, now))
                    continue
                kept = [o for o, at in (everything[-size:] if size else []) if at > now - 50.0]
                if verb == "latest":
                    page = await broker.latest(room, number, now)
                    assert offsets(page) == (kept[-number:] if number else [])
                else:
                    page = await broker.after(room, number, 100, now)
                    assert offsets(page) == [o for o in kept if o > number]
                    missing = set(range(number + 1, len(everything) + 1)) - set(offsets(page))
                    assert page.complete is (not missing and number <= len(everything))
                assert page.offset == len(everything)

    asyncio.run(run())


async def test_memory_is_bounded():
    """The memory broker forgets the rooms that were silent longest, and counts them."""
    broker = MemoryBroker(Delivered(), max_streams=3)
    for room in ("a", "b", "c", "a", "d"):
        await publish(broker, room, room)
    assert broker.forgotten == 1
    assert (await broker.latest("b", 10, NOW)).publications == []
    assert (await broker.latest("a", 10, NOW)).offset == 2


async def test_a_forgotten_room_goes_on():
    """A room that was forgotten and begins anew gives out no offset twice, and what was missed meanwhile is told."""
    broker = MemoryBroker(Delivered(), max_streams=1)
    await publish(broker, "a", 1, 2, 3)
    await publish(broker, "b", 1)
    assert (await broker.after("a", 1, 10, NOW)).complete is False
    await publish(broker, "a", 4, 5)
    page = await broker.after("a", 1, 10, NOW)
    assert (texts(page), page.complete) == ([4, 5], False)
    assert offsets(page)[0] > 3


async def test_a_later_run():
    """Offsets of a later run start higher: one from before is not complete, whatever was published since."""
    broker = MemoryBroker(Delivered())
    broker.begin(1 << 32)
    assert await broker.latest("a", 10, NOW) == Page([], 1 << 32, complete=True)
    assert (await broker.after("a", 1, 10, NOW)).complete is False
    assert (await broker.after("a", 1 << 32, 10, NOW)).complete is True
    await publish(broker, "a", *range(5))
    assert offsets(await broker.latest("a", 2, NOW)) == [(1 << 32) + 4, (1 << 32) + 5]
    assert (await broker.after("a", 1, 10, NOW)).complete is False
    assert (await broker.after("a", (1 << 32) + 3, 10, NOW)).complete is True
