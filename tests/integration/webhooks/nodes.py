"""Nodes without clients: everything from the emitter to the target, on a real store."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Collection
from pathlib import Path
from typing import Any

from rtserver.protocol.identifiers import Clock
from rtserver.telemetry.metrics import Metrics
from rtserver.webhooks.dispatcher import Dispatcher, Settings
from rtserver.webhooks.targets import Target
from tests.contract.stores import Store, opened

SECRET = "whsec_c2VjcmV0LW9mLXRoZS10ZXN0cy0wMTIzNDU2Nzg5"


class Nobody:
    """Who is connected: nobody."""

    connections = 0

    def occupancy(self, room: str) -> int:
        """Nobody."""
        return 0

    def introduce(self, known: Collection[str]) -> None:
        """There is nobody to introduce."""


class Node:
    """One node: a store, a dispatcher, and what it delivers to."""

    def __init__(self, url: str, *targets: Target, **more: Any) -> None:
        self.store = Store(url)
        self.metrics = Metrics()
        given: dict[str, Any] = {
            "node": "one",
            "wait_for_commit": True,
            "max_events": 100_000,
            "drop_oldest": False,
            "lease": 0.1,
            **more,
        }
        self.dispatcher = Dispatcher(
            targets, self.store.outbox, self.store.lives, Clock(), self.metrics, Settings(**given)
        )

    async def start(self) -> None:
        """Start."""
        await self.dispatcher.start(self._open, Nobody())

    async def stop(self, patience: float = 5.0) -> None:
        """Stop in good order."""
        await self.dispatcher.stop(patience)
        await self.store.close()

    async def kill(self) -> None:
        """Go as a process does that is killed: nothing more is written, the lock is let go of, its file stays."""
        for task in self.dispatcher._tasks:
            task.cancel()
        await asyncio.gather(*self.dispatcher._tasks, return_exceptions=True)
        await self.store.close()

    def say(self, *rooms: str | None, client: str | None = None, **data: Any) -> None:
        """Emit an event in each of these rooms."""
        for room in rooms:
            self.dispatcher.emitter.emit("room-joined", {"room": room, **data}, room=room, client=client)

    async def written(self) -> None:
        """Wait until everything that was emitted is in the outbox."""
        await self.dispatcher._journal.flush()

    def counted(self, outcome: str, target: str = "audit") -> int:
        """The metric."""
        return self.metrics.webhook_deliveries[target, outcome]

    async def _open(self) -> None:
        if not self.store.database.is_open:
            await self.store.database.open()


@contextlib.asynccontextmanager
async def running(url: str, *targets: Target, **more: Any) -> AsyncIterator[Node]:
    """A node that runs; it is stopped at the end unless the test did that."""
    node = Node(url, *targets, **more)
    await node.start()
    try:
        yield node
    finally:
        if node.store.database.is_open:
            await node.kill()


@contextlib.asynccontextmanager
async def second(url: str) -> AsyncIterator[Store]:
    """Another program's view of the same database."""
    async with opened(url) as store:
        yield store


async def states(url: str, target: str = "audit") -> list[tuple[str, str | None]]:
    """State and error of every delivery, in order."""
    async with second(url) as store:
        found = await store.all(target=target)
    return [(found[position].state, found[position].error) for position in sorted(found)]


async def eventually(url: str, holds: Callable[[list[tuple[str, str | None]]], bool]) -> None:
    """Wait until the deliveries' states are as they should be."""
    last: list[tuple[str, str | None]] = []
    try:
        async with asyncio.timeout(30):
            while not holds(last := await states(url)):
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"it is {last}") from None


def file_url(path: Path) -> str:
    """The URL of a file in a directory."""
    return f"sqlite:///{path}/outbox.db"
