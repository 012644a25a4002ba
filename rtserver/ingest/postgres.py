"""NOTIFY of PostgreSQL: a payload is the body of ``POST /api/publish``.

For live data: what is said while nobody listens is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import asyncpg

from rtserver.ingest.desk import Desk
from rtserver.ingest.ledger import Ledger
from rtserver.ingest.source import Unreachable
from rtserver.protocol.errors import BAD_REQUEST, RtError

# How long connecting and an answer may take, and how long nothing may come before the server is asked whether it is
# still there. In seconds.
_CONNECTING, _ANSWER, _QUIET = 10.0, 10.0, 15.0
# How many payloads wait for their turn, and how many are published together.
MAX_WAITING, _TOGETHER = 20_000, 500
# PostgreSQL refuses longer payloads, and who cuts them has no JSON any more (its manual, NOTIFY).
_LONGEST = 7999


class Line:
    """A connection that listens to one channel; *heard* is given every payload."""

    def __init__(self, dsn: str, channel: str, heard: Callable[[str], None]) -> None:
        self._dsn = dsn
        self._channel = channel
        self._heard = heard
        self._wake = asyncio.Event()
        self._lost = False
        self.connection: Any = None

    async def open(self) -> None:
        """Connect and listen; raise `Unreachable`."""
        with failing(ValueError):
            self._lost = False
            self.connection = await asyncpg.connect(
                self._dsn,
                timeout=_CONNECTING,
                command_timeout=_ANSWER,
                server_settings={"application_name": "rtserver"},
            )
            self.connection.add_termination_listener(self._on_end)
            await self.connection.add_listener(self._channel, self._on_notify)

    async def close(self) -> None:
        """Disconnect."""
        connection, self.connection = self.connection, None
        if connection is not None:
            self._lost = True
            try:
                await connection.close(timeout=1)
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                connection.terminate()

    async def wait(self, most: float) -> bool:
        """Wait for a notification, at most so many seconds; tell whether one came. Raises `Unreachable`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(most):
                await self._wake.wait()
        came = self._wake.is_set()
        self._wake.clear()
        if self._lost:
            raise Unreachable("the connection was closed")
        return came

    async def probe(self) -> None:
        """Ask the server whether it is there; raise `Unreachable`."""
        with failing():
            await self.connection.execute("SELECT 1")

    def _on_end(self, connection: Any) -> None:
        if connection is self.connection:
            self._lost = True
            self._wake.set()

    def _on_notify(self, connection: Any, pid: int, channel: str, payload: str) -> None:
        self._heard(payload)
        self._wake.set()


class NotifyReader:
    """Listens to the channel of one source."""

    def __init__(self, dsn: str, channel: str, desk: Desk, ledger: Ledger) -> None:
        self._channel = channel
        self._desk = desk
        self._ledger = ledger
        self._line = Line(dsn, channel, self._hear)
        self._waiting: deque[str] = deque()

    async def open(self) -> None:
        """Listen."""
        await self._line.open()

    async def receive(self) -> list[str] | None:
        """Wait for payloads."""
        if not self._waiting and not await self._line.wait(_QUIET):
            await self._line.probe()
        if not self._waiting:
            return None
        return [self._waiting.popleft() for _ in range(min(len(self._waiting), _TOGETHER))]

    async def process(self, batch: list[str]) -> None:
        """Publish them."""
        for payload, why in zip(batch, await self._desk.publish(batch, self._ledger), strict=True):
            if why is not None:
                self._ledger.bad(f"NOTIFY on {self._channel}", _explained(why, payload))

    async def close(self) -> None:
        """Listen no more."""
        await self._line.close()

    def _hear(self, payload: str) -> None:
        if len(self._waiting) >= MAX_WAITING:
            self._ledger.dropped()
            return
        self._waiting.append(payload)


def _explained(why: RtError, payload: str) -> RtError:
    if why.reason is not BAD_REQUEST or len(payload.encode()) < _LONGEST - 3:
        return why
    return RtError(
        BAD_REQUEST,
        f"{why.message}; it seems to be cut: NOTIFY carries at most {_LONGEST} bytes, an outbox table any number",
    )


@contextlib.contextmanager
def failing(*more: type[Exception]) -> Iterator[None]:
    """Make what asyncpg and the network raise, and *more*, an `Unreachable`."""
    try:
        yield
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, *more) as error:
        raise Unreachable(str(error) or repr(error)) from error
