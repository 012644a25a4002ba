"""What every inbox must do. A new one is one more entry of `INBOXES`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from rtserver.protocol.identifiers import Clock
from rtserver.store.base import StoreError
from rtserver.store.inbox import Inbox, Notification
from rtserver.store.notifications import SqlInbox
from rtserver.store.opening import database_at
from tests.contract.conftest import Place
from tests.unit.store.list_inbox import ListInbox

NOW = 1_700_000_000.0
EVER = 0.0

Opened = AbstractAsyncContextManager[Inbox]


@asynccontextmanager
async def _sql(url: str) -> AsyncIterator[Inbox]:
    database = database_at(url)
    await database.open()
    yield SqlInbox(database)
    await database.close()


@asynccontextmanager
async def _list() -> AsyncIterator[Inbox]:
    yield ListInbox()


INBOXES: dict[str, Callable[[Place], Opened]] = {
    "file": lambda place: _sql(place("file")),
    "memory": lambda place: _sql("memory://"),
    "postgres": lambda place: _sql(place("postgres")),
    "stand-in": lambda place: _list(),
}


class Shelf:
    """An inbox, and a hand that fills it."""

    def __init__(self, inbox: Inbox) -> None:
        self.inbox = inbox
        self._clock = Clock()

    async def put(
        self, user: str = "ada", count: int = 1, *, at: float = NOW, keep: int | None = None
    ) -> list[str]:
        """Store so many; their ids, oldest first."""
        ids = []
        for number in range(count):
            one = Notification(self._clock.identifier(at), user, "info", "t", f"m{number}", None, at)
            await self.inbox.add(one, keep)
            ids.append(one.id)
        return ids

    async def ids(
        self, user: str = "ada", limit: int = 1000, since: float = EVER, **more: object
    ) -> list[str]:
        """What is in a user's inbox."""
        return [one.id for one in await self.inbox.page(user, limit, since, **more)]  # type: ignore[arg-type]


@pytest.fixture(params=list(INBOXES))
async def shelf(request: pytest.FixtureRequest, place: Place) -> AsyncIterator[Shelf]:
    """An empty inbox of every kind."""
    async with INBOXES[request.param](place) as inbox:
        yield Shelf(inbox)


class TestKeeping:
    """What is stored comes back."""

    async def test_all_of_it(self, shelf: Shelf):
        """Every field comes back as it was stored, whatever the texts and the data hold."""
        one = Notification("1", "ada", "error", "ü\0", "'; DROP", b'{"n":[1,null]}', NOW)
        await shelf.inbox.add(one, None)
        assert await shelf.inbox.page("ada", 10, EVER) == [one]

    async def test_newest_first(self, shelf: Shelf):
        """A page begins with the newest, has no more than were asked for, and goes on before the last one seen."""
        ids = await shelf.put(count=5)
        assert await shelf.ids(limit=2) == [ids[4], ids[3]]
        assert await shelf.ids(limit=2, before=ids[3]) == [ids[2], ids[1]]
        assert await shelf.ids(before=ids[0]) == []

    async def test_everybody_has_their_own(self, shelf: Shelf):
        """Nobody sees what is another user's, not even with its identifier."""
        mine = await shelf.put("ada")
        theirs = await shelf.put("bob")
        assert await shelf.ids("ada", before=theirs[0]) == mine
        assert await shelf.ids("bob") == theirs
        assert await shelf.ids("carl") == []

    async def test_a_failure_stores_nothing(self, shelf: Shelf):
        """What cannot be stored is a `StoreError`, and leaves the inbox as it was."""
        one = Notification("1", "ada", "info", "t", "m", None, NOW)
        await shelf.inbox.add(one, None)
        with pytest.raises(StoreError):
            await shelf.inbox.add(one._replace(message="again"), None)
        assert await shelf.inbox.page("ada", 10, EVER) == [one]


class TestReading:
    """What is read stays, and counts no more."""

    async def test_marking(self, shelf: Shelf):
        """What is marked is read at that time, is told once, and is no longer unread."""
        ids = await shelf.put(count=3)
        assert await shelf.inbox.mark("ada", [ids[0], ids[2]], EVER, NOW + 5) == [ids[2], ids[0]]
        assert await shelf.inbox.mark("ada", ids, EVER, NOW + 9) == [ids[1]]
        assert [one.read_at for one in await shelf.inbox.page("ada", 10, EVER)] == [NOW + 5, NOW + 9, NOW + 5]
        assert await shelf.inbox.unread("ada", EVER) == 0
        assert await shelf.ids(unread=True) == []

    async def test_marking_what_is_not_ones_own(self, shelf: Shelf):
        """Another user's, and what nobody has, is neither marked nor an error."""
        theirs = await shelf.put("bob")
        assert await shelf.inbox.mark("ada", [*theirs, "no such id", ""], EVER, NOW) == []
        assert await shelf.inbox.unread("bob", EVER) == 1

    async def test_marking_more_than_a_statement_takes(self, shelf: Shelf):
        """Any number can be marked at once."""
        ids = await shelf.put(count=3)
        asked = [f"unknown {number}" for number in range(40_000)]
        assert await shelf.inbox.mark("ada", [ids[0], *asked, ids[1]], EVER, NOW) == [ids[1], ids[0]]

    async def test_marking_all(self, shelf: Shelf):
        """All of the user's unread ones are marked, and nobody else's."""
        ids = await shelf.put("ada", 3)
        await shelf.put("bob")
        await shelf.inbox.mark("ada", [ids[1]], EVER, NOW)
        assert await shelf.inbox.mark_all("ada", EVER, NOW) == [ids[2], ids[0]]
        assert await shelf.inbox.mark_all("ada", EVER, NOW) == []
        assert await shelf.inbox.unread("bob", EVER) == 1

    async def test_unread_ones(self, shelf: Shelf):
        """Only unread ones are shown to who asks for those."""
        ids = await shelf.put(count=4)
        await shelf.inbox.mark("ada", [ids[3]], EVER, NOW)
        assert await shelf.ids(unread=True, limit=2) == [ids[2], ids[1]]
        assert await shelf.inbox.unread("ada", EVER) == 3


class TestRetention:
    """What is too old or too much goes."""

    async def test_by_age(self, shelf: Shelf):
        """What is too old is not shown, counted or marked, whether it is deleted already or not."""
        old = await shelf.put(at=NOW - 10)
        new = await shelf.put(at=NOW)
        assert await shelf.ids(since=NOW) == new
        assert await shelf.inbox.unread("ada", NOW) == 1
        assert await shelf.inbox.mark("ada", old, NOW, NOW) == []
        assert await shelf.inbox.forget(NOW, None) == 1
        assert await shelf.ids() == new

    async def test_by_count(self, shelf: Shelf):
        """Storing one more than are kept takes the oldest, read or not, of this user alone."""
        theirs = await shelf.put("bob", 3)
        ids = await shelf.put("ada", 5, keep=2)
        assert await shelf.ids("ada") == [ids[4], ids[3]]
        assert len(await shelf.ids("bob")) == len(theirs)

    async def test_a_lower_count(self, shelf: Shelf):
        """What was stored while more were kept goes as well, until there is nothing more to forget."""
        for user in ("ada", "bob"):
            await shelf.put(user, 4)
        await shelf.put("carl", 2)
        assert await shelf.inbox.forget(EVER, 3) == 2
        assert await shelf.inbox.forget(EVER, 3) == 0
        assert [len(await shelf.ids(user)) for user in ("ada", "bob", "carl")] == [3, 3, 2]

    async def test_looking_whether_it_works(self, shelf: Shelf):
        """Finding out that the store works changes nothing."""
        ids = await shelf.put()
        await shelf.inbox.check()
        assert await shelf.ids() == ids


async def test_a_store_that_is_not_open():
    """Without its store an inbox fails, with the error that everybody expects."""
    inbox = SqlInbox(database_at("memory://"))
    with pytest.raises(StoreError):
        await inbox.check()
    with pytest.raises(StoreError):
        await inbox.page("ada", 1, EVER)
