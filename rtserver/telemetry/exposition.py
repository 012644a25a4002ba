"""What Prometheus reads: the counters, and how things stand, asked when somebody looks and not before."""

from __future__ import annotations

import platform
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from rtserver.telemetry.metrics import WAYS_OUT, Metrics

_MESSAGES = ("chat", "broadcast", "private", "other")
_DROPPED = ("volatile", "webhook_event", "ingest", "idempotency_key")
_OUTCOMES = ("delivered", "failed", "dead")
_OPENMETRICS = "application/openmetrics-text"


class Standing(NamedTuple):
    """How things stand at a moment."""

    sessions: int
    connections: int
    users: int
    rooms: int
    members: int
    accepted: int
    """Clients accepted since the start."""
    slow_consumers: int
    """Lines cut since the start because their client did not keep up."""
    dropped_volatile: int
    webhook_pending: Mapping[str, int]
    webhook_queue: int
    ready: bool


class Labels(NamedTuple):
    """Every value that a label may have, so that each series is there, at 0, before anything happens."""

    events: Collection[str]
    reasons: Collection[str]
    targets: Collection[str]


class Exposition(Collector):
    """The series of one node. *info* is what the node is called; *standing* is asked at every scrape."""

    def __init__(
        self, metrics: Metrics, labels: Labels, standing: Callable[[], Standing], info: Mapping[str, str]
    ) -> None:
        self._metrics = metrics
        self._labels = labels
        self._standing = standing
        self._info = {**info, "python": platform.python_version()}
        # Not the library's own registry, which is one for the process: two applications would share their figures.
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        ProcessCollector(registry=self._registry)
        GCCollector(registry=self._registry)

    def text(self, accept: str = "") -> tuple[bytes, str]:
        """Return the page and its media type: OpenMetrics for who accepts it, else Prometheus' text format."""
        if _OPENMETRICS in accept:
            page: bytes = openmetrics.generate_latest(self._registry)  # type: ignore[no-untyped-call]
            return page, openmetrics.CONTENT_TYPE_LATEST
        return generate_latest(self._registry), CONTENT_TYPE_PLAIN_0_0_4

    def collect(self) -> Iterator[Metric]:
        """Yield every series of ours as it is now."""
        now = self._standing()
        yield InfoMetricFamily("rtserver", "The node: its name, and the versions it runs.", self._info)
        yield from self._gauges(now)
        yield from self._counters(now)
        yield from self._webhooks(now)
        yield from self._sources()

    def _gauges(self, now: Standing) -> Iterator[Metric]:
        for name, told, value in (
            ("ready", "Whether /readyz answers 200.", now.ready),
            (
                "sessions",
                "Engine.IO sessions, those of clients that are not accepted yet included.",
                now.sessions,
            ),
            ("connections", "Clients that are connected.", now.connections),
            ("users", "Different client_ids among them.", now.users),
            ("rooms", "Rooms that have members.", now.rooms),
            ("members", "Memberships: the members of all rooms together.", now.members),
        ):
            yield GaugeMetricFamily(f"rtserver_{name}", told, value)

    def _counters(self, now: Standing) -> Iterator[Metric]:
        counted, labels = self._metrics, self._labels
        yield CounterMetricFamily("rtserver_clients", "Clients accepted.", now.accepted)
        yield _by("events", "Events that clients sent.", "event", counted.received, (*labels.events, "other"))
        yield _by("messages", "Publications and private messages.", "event", counted.messages, _MESSAGES)
        yield CounterMetricFamily("rtserver_deliveries", "Messages handed to clients.", counted.deliveries)
        yield _by(
            "refused", "Connections, events and requests refused.", "reason", counted.refused,
            (*labels.reasons, *WAYS_OUT),
        )  # fmt: skip
        yield CounterMetricFamily(
            "rtserver_slow_consumers",
            "Clients disconnected because they did not keep up.",
            now.slow_consumers,
        )
        dropped = {**counted.dropped, "volatile": now.dropped_volatile}
        yield _by("dropped", "What a bound threw away.", "what", dropped, _DROPPED)

    def _webhooks(self, now: Standing) -> Iterator[Metric]:
        deliveries = CounterMetricFamily(
            "rtserver_webhook_deliveries", "Attempts to deliver webhook events.", labels=["target", "outcome"]
        )
        pending = GaugeMetricFamily(
            "rtserver_webhook_pending", "Deliveries in the outbox that are not done.", labels=["target"]
        )
        for target in self._labels.targets:
            for outcome in _OUTCOMES:
                deliveries.add_metric((target, outcome), self._metrics.webhook_deliveries[target, outcome])
            pending.add_metric((target,), now.webhook_pending.get(target, 0))
        yield deliveries
        yield pending
        yield GaugeMetricFamily(
            "rtserver_webhook_queue",
            "Webhook events in memory that are not in the outbox yet.",
            now.webhook_queue,
        )

    def _sources(self) -> Iterator[Metric]:
        # Which there are the configuration says: each is there, at 0, from the start.
        counted, source = self._metrics, ["kind", "source"]
        records = CounterMetricFamily(
            "rtserver_ingested", "Records of streams, by what became of them.", labels=[*source, "outcome"]
        )
        for labels, count in counted.ingested.items():
            records.add_metric(labels, count)
        failures = CounterMetricFamily(
            "rtserver_ingest_failures", "How often a stream was lost or could not be reached.", labels=source
        )
        up = GaugeMetricFamily("rtserver_ingest_up", "Whether a stream can be read.", labels=source)
        for name, reading in counted.ingest_up.items():
            failures.add_metric(name, counted.ingest_failures[name])
            up.add_metric(name, reading)
        yield from (records, failures, up)


def _by(name: str, told: str, label: str, counted: Mapping[str, int], known: Iterable[str]) -> Metric:
    """Return a counter with one series for each value that its label may have, and none for any other."""
    family = CounterMetricFamily(f"rtserver_{name}", told, labels=[label])
    for value in known:
        family.add_metric((value,), counted.get(value, 0))
    return family
