"""Who looks after the inboxes' store."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from rtserver import keeper as module
from rtserver.keeper import Keeper
from rtserver.protocol.errors import RtError
from rtserver.store.base import StoreError
from rtserver.store.inbox import Notification
from tests.unit.store.list_inbox import ListInbox


class Watched(ListInbox):
    """An inbox that tells when it was looked at, and when something was forgotten."""

    def __init__(self) -> None:
        super().__init__()
        self.looks: asyncio.Queue[bool] = asyncio.Queue()
        self.forgot: asyncio.Queue[int] = asyncio.Queue()

    async def check(self) -> None:
        """Note how it was."""
        self.looks.put_nowait(not self.broken)
        await super().check()

    async def forget(self, since: float, keep: int | None) -> int:
        """Note how many went."""
        gone = await super().forget(since, keep)
        self.forgot.put_nowait(gone)
        return gone


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pause between two looks at a store that fails."""
    monkeypatch.setattr(module, "_LOOK", 0.0)


async def _open() -> None:
    """Open a store that is open."""


async def until(queue: asyncio.Queue[bool], wanted: bool) -> None:
    """Wait for a look that finds it so."""
    async with asyncio.timeout(10):
        while await queue.get() is not wanted:
            pass


def notification(at: float) -> Notification:
    """One of that time."""
    return Notification(f"{at}", "ann", "info", "t", "m", None, at)


def test_what_the_store_raises():
    """An error of the store becomes one for who asked, that says nothing of the machine, and is remembered."""
    keeper = Keeper(ListInbox(), None, None)
    with pytest.raises(RtError) as caught, keeper.asking():
        raise StoreError("/var/lib/secret.db: disk I/O error")
    assert caught.value.reason.reason == "server_error"
    assert "secret" not in caught.value.message
    assert not keeper.healthy


def test_since():
    """What is older than its time is not in an inbox any more; without a time everything is."""
    assert Keeper(ListInbox(), 60.0, None).since(1000.0) == 940.0
    assert Keeper(ListInbox(), None, None).since(1000.0) == 0.0


async def test_it_recovers():
    """A store that failed is looked at until it works again."""
    inbox = Watched()
    keeper = Keeper(inbox, None, None)
    keeper.start(_open)
    await until(inbox.looks, wanted=True)
    inbox.broken = True
    with pytest.raises(RtError), keeper.asking():
        await inbox.unread("ann", 0.0)
    assert not keeper.healthy
    await until(inbox.looks, wanted=False)
    inbox.broken = False
    await until(inbox.looks, wanted=True)
    await asyncio.sleep(0)
    assert keeper.healthy
    await keeper.stop()


async def test_it_opens_the_store():
    """A store that could not be opened is opened as soon as it can be."""
    inbox, attempts = Watched(), iter([True, True, False])

    async def open_store() -> None:
        if next(attempts, False):
            raise StoreError("no such directory")

    keeper = Keeper(inbox, None, None)
    keeper.start(open_store)
    await until(inbox.looks, wanted=True)
    await asyncio.sleep(0)
    assert keeper.healthy
    await keeper.stop()


async def test_it_forgets():
    """What is too old is deleted at the start, in chunks until there is no more."""
    inbox = Watched()
    for at in (1.0, 2.0):
        inbox.kept[str(at)] = notification(at)
    keeper = Keeper(inbox, 60.0, None)
    keeper.start(_open)
    async with asyncio.timeout(10):
        assert [await inbox.forgot.get(), await inbox.forgot.get()] == [2, 0]
    assert inbox.kept == {}
    await keeper.stop()


@pytest.mark.parametrize("started", [True, False])
async def test_stopping(started: bool):
    """It stops whether it was started or not, also in the middle of opening."""
    keeper = Keeper(ListInbox(), None, None)
    never: Callable[[], Awaitable[None]] = asyncio.Event().wait  # type: ignore[assignment]
    if started:
        keeper.start(never)
        await asyncio.sleep(0)
    await keeper.stop()
    await keeper.stop()
