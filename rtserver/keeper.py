"""Looks after the inboxes' store: whether it works, opening it again when it did not, and forgetting what is old."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator

from rtserver.protocol.errors import SERVER_ERROR, RtError
from rtserver.store.base import StoreError
from rtserver.store.inbox import Inbox
from rtserver.telemetry.log import logger

_log = logger("notifications")

# How often a store that fails is looked at, and one that works; how often old notifications are deleted, and the pause
# between two chunks of them. In seconds.
_LOOK, _CHECK, _TIDY, _PAUSE = 1.0, 15.0, 600.0, 0.02


class Keeper:
    """The inboxes' health. Times without a name are seconds; *max_age* and *max_count* None keep everything."""

    def __init__(self, inbox: Inbox, max_age: float | None, max_count: int | None) -> None:
        self.healthy = True
        self.max_count = max_count
        self._inbox = inbox
        self._max_age = max_age
        self._trouble = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def since(self, now: float) -> float:
        """Return from when on notifications are kept."""
        return now - self._max_age if self._max_age is not None else 0.0

    @contextlib.contextmanager
    def asking(self) -> Iterator[None]:
        """Make what the store raises an error for who asked, and remember it."""
        try:
            yield
        except StoreError as error:
            self._fails(error)
            raise RtError(
                SERVER_ERROR, "the notifications' store does not work now, try again later"
            ) from error

    def start(self, open_store: Callable[[], Awaitable[None]]) -> None:
        """Begin to look after it."""
        self._trouble = asyncio.Event()
        self._task = asyncio.ensure_future(self._run(open_store))

    async def stop(self) -> None:
        """Stop."""
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        (ended,) = await asyncio.gather(task, return_exceptions=True)
        if isinstance(ended, Exception):
            _log.error("looking after the inboxes failed", exc_info=ended)

    async def _run(self, open_store: Callable[[], Awaitable[None]]) -> None:
        tidied = -_TIDY
        while True:
            self._trouble.clear()
            try:
                await open_store()
                await self._inbox.check()
                self._works()
                if time.monotonic() - tidied >= _TIDY:
                    await self._tidy()
                    tidied = time.monotonic()
            except StoreError as error:
                self._fails(error)
                await asyncio.sleep(_LOOK)
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CHECK):
                    await self._trouble.wait()

    async def _tidy(self) -> None:
        while await self._inbox.forget(self.since(time.time()), self.max_count):  # noqa: ASYNC110
            await asyncio.sleep(_PAUSE)

    def _fails(self, error: StoreError) -> None:
        if self.healthy:
            _log.error("the store fails: inboxes can be neither filled nor read", why=str(error))
        self.healthy = False
        self._trouble.set()

    def _works(self) -> None:
        if not self.healthy:
            _log.warning("the store works again")
        self.healthy = True
