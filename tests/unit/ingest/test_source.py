"""The life of a source."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from rtserver.ingest.backoff import Backoff
from rtserver.ingest.ledger import Ledger, Name
from rtserver.ingest.source import Source, Unreachable
from rtserver.telemetry.metrics import Metrics


class Scripted:
    """A reader that does what a test says, and notes what it was asked for."""

    def __init__(self, *opening: BaseException | None) -> None:
        self.opening = list(opening)
        self.did: list[str] = []
        self.batches: asyncio.Queue[Any] = asyncio.Queue()
        self.processing: Callable[[Any], Any] | None = None

    async def open(self) -> None:
        """Open, or fail."""
        self.did.append("open")
        error = self.opening.pop(0) if self.opening else None
        if error is not None:
            raise error

    async def receive(self) -> Any:
        """Give the next batch, or raise it."""
        batch = await self.batches.get()
        if isinstance(batch, BaseException):
            raise batch
        return batch

    async def process(self, batch: Any) -> None:
        """Note it."""
        if self.processing is not None:
            await self.processing(batch)
        self.did.append(f"process {batch}")

    async def close(self) -> None:
        """Note it."""
        self.did.append("close")


def source(reader: Scripted) -> tuple[Source, Metrics]:
    """A source that tries again at once."""
    metrics = Metrics()
    return Source(reader, Ledger(Name("kafka", "orders"), metrics), Backoff(0, 0)), metrics


async def turns(holds: Callable[[], bool]) -> None:
    """Let the loop go on until it holds."""
    for _ in range(1000):
        if holds():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never held")


@pytest.mark.parametrize("error", [Unreachable("refused"), RuntimeError("a bug"), asyncio.CancelledError()])
async def test_what_fails_is_tried_again(error: BaseException):
    """Whatever a reader raises, it is closed and opened again, and the state says so meanwhile."""
    reader = Scripted(error, None)
    one, metrics = source(reader)
    assert one.detail()["state"] == "connecting"
    one.start()
    await turns(lambda: reader.did == ["open", "close"])
    assert one.detail()["state"] == "down"
    assert metrics.ingest_up["kafka", "orders"] == 0
    await turns(lambda: one.detail()["state"] == "up")
    assert metrics.ingest_up["kafka", "orders"] == 1
    assert metrics.ingest_failures["kafka", "orders"] == 1
    await one.stop(1)
    assert reader.did == ["open", "close", "open", "close"]


async def test_a_loss_while_reading():
    """A source that is lost while it is read is opened again, and goes on."""
    reader = Scripted()
    one, _ = source(reader)
    one.start()
    for batch in (1, None, Unreachable("gone"), 2):
        reader.batches.put_nowait(batch)
    await turns(lambda: "process 2" in reader.did)
    await one.stop(1)
    assert reader.did == ["open", "process 1", "close", "open", "process 2", "close"]


async def test_a_stop_finishes_what_is_under_way():
    """A batch that is being published is finished, none is begun after it, and the reader is closed last."""
    reader = Scripted()
    go_on = asyncio.Event()

    async def processing(batch: Any) -> None:
        await go_on.wait()

    reader.processing = processing
    one, _ = source(reader)
    one.start()
    reader.batches.put_nowait(1)
    reader.batches.put_nowait(2)
    await turns(lambda: reader.batches.qsize() == 1)
    stop = asyncio.ensure_future(one.stop(60))
    await asyncio.sleep(0)
    assert not stop.done()
    go_on.set()
    await stop
    assert reader.did == ["open", "process 1", "close"]


async def test_a_stop_has_an_end():
    """What does not come to its end in time is given up, and closed all the same."""
    reader = Scripted()

    async def processing(batch: Any) -> None:
        await asyncio.Event().wait()

    reader.processing = processing
    one, _ = source(reader)
    one.start()
    reader.batches.put_nowait(1)
    await turns(reader.batches.empty)
    await one.stop(0)
    assert reader.did == ["open", "close"]


async def test_a_stop_while_waiting():
    """Waiting for records, or for the next try, is over at once; a second stop is none."""
    reader = Scripted()
    one, _ = source(reader)
    one.start()
    await turns(lambda: one.detail()["state"] == "up")
    await one.stop(60)
    await one.stop(60)
    assert reader.did == ["open", "close"]
    waiting = Scripted(Unreachable("no"))
    other = Source(waiting, Ledger(Name("kafka", "orders"), Metrics()), Backoff(1000, 1000))
    other.start()
    await turns(lambda: waiting.did == ["open", "close"])
    await asyncio.sleep(0)
    await other.stop(60)
    assert waiting.did == ["open", "close"]
