"""What backends are told at intervals."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from rtserver import __version__
from rtserver.protocol.identifiers import Clock
from rtserver.store.base import Life
from rtserver.telemetry.metrics import Metrics
from rtserver.vitals import Vitals
from rtserver.webhooks.emitter import Emitter
from rtserver.webhooks.journal import Journal
from rtserver.webhooks.targets import Target
from tests.unit.webhooks.ledger import Ledger

LIMIT = 20.0


class Station:
    """Vitals, and what they say."""

    def __init__(self, status_interval: float | None = None, stats_interval: float | None = None) -> None:
        self.metrics = Metrics()
        self.journal = Journal(Ledger(), 1000, False, committed=lambda _: None, dropped=lambda _: None)
        target = Target("audit", "http://127.0.0.1:9/")
        emitter = Emitter([target], self.journal, "one", Clock(), wait_for_commit=False)
        emitter.begin(Life(1, 1))
        self.vitals = Vitals(
            emitter,
            self.metrics,
            connections=lambda: 7,
            rooms=lambda: 3,
            status_interval=status_interval,
            stats_interval=stats_interval,
        )

    def said(self) -> list[tuple[str, dict[str, Any]]]:
        """The events so far."""
        events = [one for entry in self.journal._entries for one in entry.deliveries]
        return [(one.type, orjson.loads(one.body)["data"]) for one in events]

    async def until(self, count: int) -> None:
        """Wait until so many events were said."""
        async with asyncio.timeout(LIMIT):
            while len(self.said()) < count:
                await asyncio.sleep(0.001)


@contextlib.asynccontextmanager
async def stations(**intervals: float | None) -> AsyncIterator[Station]:
    """A station that ends with the test."""
    one = Station(**intervals)
    yield one
    one.vitals.stop()


async def test_start_and_stop() -> None:
    """Start and stop are told, once each, with all that the contract lists; without intervals there is nothing else."""
    async with stations() as station:
        station.vitals.stop()
        assert station.said() == []
        station.vitals.start()
        station.vitals.stop()
        station.vitals.stop()
    assert [(type_, data["status"]) for type_, data in station.said()] == [
        ("server-status", "running"),
        ("server-status", "stopping"),
    ]
    for _, data in station.said():
        assert {"status", "timestamp", "node", "version", "uptime_s", "epoch", "seq"} <= {*data}
        assert data["version"] == __version__
        assert 0 <= data["uptime_s"] < LIMIT


@pytest.mark.parametrize(
    ("intervals", "expected"),
    [
        ({"status_interval": 0.005}, {"server-status"}),
        ({"stats_interval": 0.005}, {"server-status", "broadcast-stats"}),
        ({"status_interval": 0.005, "stats_interval": 0.005}, {"server-status", "broadcast-stats"}),
    ],
)
async def test_intervals(intervals: dict[str, float], expected: set[str]) -> None:
    """At every interval the status and the figures are told again, each when it has one, until the stop."""
    async with stations(**intervals) as station:
        station.vitals.start()
        await station.until(7)
        station.vitals.stop()
        count = len(station.said())
        for _ in range(20):
            await asyncio.sleep(0.001)
        assert len(station.said()) == count
    assert {type_ for type_, _ in station.said()} == expected
    assert [data["status"] for type_, data in station.said() if type_ == "server-status"][-1] == "stopping"


async def test_figures() -> None:
    """The figures are what the metrics say, and the rate is that since the last time."""
    async with stations() as station:
        station.metrics.messages["chat"] = 100
        station.vitals.start()
        station.metrics.messages["chat"] += 40
        station.metrics.messages["broadcast"] += 2
        station.metrics.deliveries = 99
        station.vitals._counted = (100, station.vitals._counted[1] - 10)
        station.vitals.stats()
    type_, data = station.said()[1]
    assert type_ == "broadcast-stats"
    assert (data["active_connections"], data["rooms"]) == (7, 3)
    assert (data["total_messages"], data["deliveries"]) == (142, 99)
    assert 3 < data["messages_per_s"] <= 4.2
