"""The life of one source: connect, read, publish; when it is lost, try again, later and later."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any, Protocol

from rtserver.ingest.backoff import Backoff
from rtserver.ingest.ledger import Ledger
from rtserver.protocol.identifiers import iso_timestamp
from rtserver.telemetry.log import logger

_log = logger("ingest")

# How long before a lost source is tried again, at first and at most; how long closing it may take. In seconds.
_BACK_OFF = 0.5, 30.0
_CLOSING = 5.0


class Unreachable(Exception):
    """A source is lost, or cannot be reached; says why."""


class Reader(Protocol):
    """How a kind of source is read. Every method may raise `Unreachable`."""

    async def open(self) -> None:
        """Connect."""

    async def receive(self) -> Any:
        """Wait for records; return them, or None when there is nothing yet. May be cancelled at any time."""

    async def process(self, batch: Any) -> None:
        """Publish what was received, and see to it that it does not come again."""

    async def close(self) -> None:
        """Let go of it, opened or not; what was processed is written down first."""


class Source:
    """One source at work, from `start` to `stop`; it stops nothing else, whatever happens to it."""

    def __init__(self, reader: Reader, ledger: Ledger, backoff: Backoff | None = None) -> None:
        self.ledger = ledger
        self._reader = reader
        self._backoff = backoff or Backoff(*_BACK_OFF)
        self._state = "connecting"
        self._since = time.time()
        self._why = ""
        self._task: asyncio.Task[None] | None = None
        self._stopping = False
        # Whether it does something that can be given up at any time.
        self._idle = True

    def detail(self) -> dict[str, str]:
        """Return what ``/readyz`` tells: ``{kind, name, state, since}``, the state connecting, up, or down."""
        kind, name = self.ledger.name
        return {"kind": kind, "name": name, "state": self._state, "since": iso_timestamp(self._since)}

    def start(self) -> None:
        """Begin to read."""
        self._stopping = False
        self._task = asyncio.ensure_future(self._run())

    async def stop(self, patience: float) -> None:
        """Read no more, finish what is under way within *patience* seconds, and let go of the source."""
        task, self._task = self._task, None
        if task is None:
            return
        self._stopping = True
        if self._idle:
            task.cancel()
        await asyncio.wait({task}, timeout=patience)
        if not task.done():
            _log.warning(
                "what was under way is read again after the next start", source=str(self.ledger.name)
            )
            task.cancel()
            await asyncio.wait({task}, timeout=_CLOSING + 1)

    async def _run(self) -> None:
        try:
            while not self._stopping:
                await self._once()
                if not self._stopping:
                    self._idle = True
                    await asyncio.sleep(self._backoff.next())
        except asyncio.CancelledError:
            if not self._stopping:
                raise

    async def _once(self) -> None:
        try:
            self._idle = True
            await self._reader.open()
            self._turns("up")
            await self._read()
        except Unreachable as error:
            self._lost(str(error))
        except asyncio.CancelledError:
            # A library may raise it though nobody cancelled us, and that must not be our end.
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            self._lost("it was given up")
        except Exception as error:
            _log.exception("a source failed", source=str(self.ledger.name))
            self._lost(repr(error))
        finally:
            # Commits, when there is something to commit; and may hang with the source that is lost.
            self._idle = False
            with contextlib.suppress(TimeoutError, Unreachable):
                async with asyncio.timeout(_CLOSING):
                    await self._reader.close()

    async def _read(self) -> None:
        while not self._stopping:
            self._idle = True
            batch = await self._reader.receive()
            self._idle = False
            if batch is not None:
                await self._reader.process(batch)
            self._backoff.reset()

    def _lost(self, why: str) -> None:
        self.ledger.failed()
        # Every attempt fails for the same reason: one line says it.
        if self._state != "down" or why != self._why:
            _log.error("a source cannot be read, and is tried again", source=str(self.ledger.name), why=why)
        self._why = why
        self._turns("down")

    def _turns(self, state: str) -> None:
        if state == "up":
            _log.info("a source is read", source=str(self.ledger.name))
        if state != self._state:
            self._state, self._since = state, time.time()
        self.ledger.up(state == "up")
