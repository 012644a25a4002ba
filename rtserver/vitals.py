"""What backends are told at intervals: ``server-status`` and ``broadcast-stats`` (CONTRACT section 7)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from rtserver.protocol.identifiers import iso_timestamp
from rtserver.telemetry.metrics import Metrics
from rtserver.version import __version__
from rtserver.webhooks.emitter import Emitter


class Vitals:
    """The node's signs of life. An interval in seconds that is None sends nothing by itself."""

    def __init__(
        self,
        emitter: Emitter,
        metrics: Metrics,
        *,
        connections: Callable[[], int],
        rooms: Callable[[], int],
        status_interval: float | None,
        stats_interval: float | None,
    ) -> None:
        self._emitter = emitter
        self._metrics = metrics
        self._connections = connections
        self._rooms = rooms
        self._status_interval = status_interval
        self._stats_interval = stats_interval
        self._runs = False
        self._started = 0.0
        self._counted = (0, 0.0)
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Say that the server runs, and go on saying so."""
        self._runs = True
        self._started = time.monotonic()
        self._counted = (self._metrics.messages.total(), self._started)
        self.status("running")
        for interval, tell in (
            (self._status_interval, lambda: self.status("running")),
            (self._stats_interval, self.stats),
        ):
            if interval is not None:
                self._tasks.append(asyncio.ensure_future(_regularly(interval, tell)))

    def stop(self) -> None:
        """Say that the server stops, if it runs."""
        if self._runs:
            self._runs = False
            self.status("stopping")
        for task in self._tasks:
            task.cancel()
        self._tasks.clear()

    def status(self, status: str) -> None:
        """Tell how the server is."""
        self._emitter.emit(
            "server-status",
            {
                "status": status,
                "timestamp": iso_timestamp(time.time()),
                "version": __version__,
                "uptime_s": round(time.monotonic() - self._started, 3),
                "active_connections": self._connections(),
            },
        )

    def stats(self) -> None:
        """Tell how much there is to do. The rate is that since the last time."""
        self._emitter.emit("broadcast-stats", self._stats(time.monotonic()))

    def _stats(self, now: float) -> dict[str, Any]:
        total = self._metrics.messages.total()
        before, then = self._counted
        self._counted = (total, now)
        return {
            "active_connections": self._connections(),
            "total_messages": total,
            "rooms": self._rooms(),
            "deliveries": self._metrics.deliveries,
            "messages_per_s": round((total - before) / (now - then), 3) if now > then else 0.0,
        }


async def _regularly(interval: float, tell: Callable[[], None]) -> None:
    while True:
        await asyncio.sleep(interval)
        tell()
