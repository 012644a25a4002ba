"""What became of a source's records: counted, and for those that cannot be published, told in the log."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from rtserver.ingest.seldom import Seldom
from rtserver.protocol.errors import RtError
from rtserver.telemetry.log import logger
from rtserver.telemetry.metrics import Metrics

_log = logger("ingest")

# At most one line every so many seconds tells of bad records, and one of records that have to wait.
_PAUSE = 10.0


class Name(NamedTuple):
    """Which source: its kind (kafka, postgres) and its name in the configuration."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"


class Ledger:
    """The books of one source. *clock* is in seconds and never steps."""

    def __init__(self, name: Name, metrics: Metrics, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self._metrics = metrics
        self._clock = clock
        self._bad = Seldom(_PAUSE)
        self._waits = Seldom(_PAUSE)
        metrics.ingest_up[name] = 0
        for outcome in ("published", "bad", "repeated"):
            metrics.ingested[*name, outcome] = 0

    def published(self, count: int) -> None:
        """Count records that were published."""
        self._metrics.ingested[*self.name, "published"] += count

    def repeated(self, count: int) -> None:
        """Count records that came again, and were published before."""
        self._metrics.ingested[*self.name, "repeated"] += count

    def dropped(self) -> None:
        """Count a notification for which there was no room."""
        self._metrics.dropped["ingest"] += 1

    def bad(self, where: str, why: RtError, kept: str | None = None) -> None:
        """Count a record that cannot be published, and tell of it; *kept* says where it was put, if anywhere."""
        self._metrics.ingested[*self.name, "bad"] += 1
        more = self._bad.ask(self._clock())
        if more is not None:
            _log.warning(
                "a record cannot be published",
                source=str(self.name),
                record=where,
                reason=why.reason.reason,
                why=why.message,
                **{"kept": kept} if kept else {},
                **{"more": more} if more else {},
            )

    def waits(self, what: str, why: str) -> None:
        """Tell that records have to wait."""
        more = self._waits.ask(self._clock())
        if more is not None:
            _log.error(
                f"{what}: records wait, and it is tried again",
                source=str(self.name),
                why=why,
                **{"more": more} if more else {},
            )

    def up(self, up: bool) -> None:
        """Note whether the source can be read."""
        self._metrics.ingest_up[self.name] = int(up)

    def failed(self) -> None:
        """Count a source that was lost or could not be reached."""
        self._metrics.ingest_failures[self.name] += 1
