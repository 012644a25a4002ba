"""``/metrics``: its series, and docs/metrics.md, which lists them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from rtserver.app import App
from rtserver.telemetry.metrics import WAYS_OUT
from tests.unit.node.stand_ins import app, arrive, done

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "metrics.md"
TARGETS = {"webhooks": {"targets": [{"name": "audit", "url": "http://127.0.0.1:9/"}]}}
SOURCES = {
    "ingest": {"postgres": [{"name": "orders", "dsn": "postgresql://localhost/shop", "channel": "orders"}]}
}


def client(application: App) -> httpx.AsyncClient:
    """An HTTP client of an application in this process."""
    transport = httpx.ASGITransport(application)
    return httpx.AsyncClient(transport=transport, base_url="http://localhost", trust_env=False, verify=False)


async def scraped(application: App, **headers: str) -> httpx.Response:
    """What a reader gets."""
    async with client(application) as http:
        return await http.get("/metrics", headers=headers)


async def series(application: App) -> dict[tuple[str, str], float]:
    """Each sample by name and its one label's value, those with several joined in the order of their names."""
    page = (await scraped(application)).text
    return {
        (sample.name, "/".join(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


@pytest.fixture
async def shapes() -> dict[str, tuple[str, frozenset[str]]]:
    """Type and labels of each series of ours, by name."""
    page = (await scraped(app({**TARGETS, **SOURCES}))).text
    return {
        sample.name: (family.type, frozenset(sample.labels))
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name.startswith("rtserver_")
    }


def documented() -> dict[str, tuple[str, frozenset[str]]]:
    """Type and labels by name, as the document has them."""
    rows = [
        line.strip("|").split("|") for line in DOCUMENT.read_text().splitlines() if line.startswith("| `rt")
    ]
    return {
        name.strip(" `"): (kind.strip(), frozenset(re.findall(r"`(\w+)`", labels)))
        for name, kind, labels, _ in rows
    }


async def test_the_document_has_every_series(shapes: Mapping[str, Any]) -> None:
    """docs/metrics.md and the page agree on every series, its type and its labels."""
    assert documented() == shapes


def test_the_document_has_every_reason_of_its_own() -> None:
    """Reasons that are not in the list of errors are explained where operators look for them."""
    told = re.findall(r"^\| `(\w+)` \| [^|]+ \|$", DOCUMENT.read_text(), re.MULTILINE)
    assert set(told) == set(WAYS_OUT)


async def test_the_contract() -> None:
    """Every series that the contract names is there from the start, with its labels."""
    found = await series(app(TARGETS))
    for name, labels in {
        "rtserver_connections": [""],
        "rtserver_rooms": [""],
        "rtserver_messages_total": ["chat", "broadcast", "private", "other"],
        "rtserver_deliveries_total": [""],
        "rtserver_refused_total": ["unauthorized", "rate_limited", "too_many_connections", "origin"],
        "rtserver_slow_consumers_total": [""],
        "rtserver_dropped_total": ["volatile", "webhook_event"],
        "rtserver_webhook_deliveries_total": ["delivered/audit", "failed/audit", "dead/audit"],
        "rtserver_webhook_pending": ["audit"],
    }.items():
        for label in labels:
            assert found[name, label] == 0, (name, label)


async def test_what_happens_is_counted() -> None:
    """Clients, rooms, members, messages and deliveries are told as they are, and as they were when all have gone."""
    application = app(TARGETS)
    node = application.node
    clients = [arrive(node, who) for who in ("ann", "ann", "ben")]
    for one in clients:
        done(node.join(one, "a"))
    done(node.join(clients[2], "b"))
    done(node.publish("a", message="x"))
    done(node.publish("a", "custom", data=1))
    application.engine.limits.evicted = 2
    application.engine.limits.dropped_volatile = 3
    application.webhooks._tally.add("audit", 4)
    application.metrics.webhook_deliveries["audit", "failed"] = 5
    found = await series(application)
    for name, label, value in (
        ("connections", "", 3), ("users", "", 2), ("rooms", "", 2), ("members", "", 3), ("clients_total", "", 3),
        ("messages_total", "broadcast", 1), ("messages_total", "other", 1), ("deliveries_total", "", 6),
        ("slow_consumers_total", "", 2), ("dropped_total", "volatile", 3), ("webhook_pending", "audit", 4),
        ("webhook_deliveries_total", "failed/audit", 5),
    ):  # fmt: skip
        assert found[f"rtserver_{name}", label] == value, name
    for one in clients:
        done(node.part(one, "client disconnect"))
    found = await series(application)
    for name in ("connections", "users", "rooms", "members"):
        assert found[f"rtserver_{name}", ""] == 0, name
    assert found["rtserver_clients_total", ""] == 3


async def test_two_applications() -> None:
    """Two applications in one process have figures of their own."""
    first, second = app(), app()
    arrive(first.node, "ann")
    assert (await series(first))["rtserver_connections", ""] == 1
    assert (await series(second))["rtserver_connections", ""] == 0


async def test_formats() -> None:
    """Prometheus' own text format is the default, and OpenMetrics is for who accepts it, however strangely."""
    plain = await scraped(app())
    assert plain.headers["content-type"].startswith("text/plain; version=0.0.4")
    for accept in ("text/plain;version=x", "*/*", "text/plain;version=1.0.0;escaping=allow-utf-8", ";;,,"):
        assert (await scraped(app(), accept=accept)).headers["content-type"].startswith("text/plain")
    newer = await scraped(app(), accept="application/openmetrics-text;version=1.0.0;q=0.9, */*;q=0.1")
    assert newer.headers["content-type"].startswith("application/openmetrics-text")
    assert newer.text.endswith("# EOF\n")


class TestWhoMayRead:
    """Everybody, nobody, or who has a key."""

    async def test_off(self) -> None:
        """With metrics.enabled: false there is no such page."""
        assert (await scraped(app({"metrics": {"enabled": False}}))).status_code == 404

    async def test_a_key(self) -> None:
        """With require_key a key of api.keys is asked for, in auth.mode none as well."""
        application = app({"metrics": {"require_key": True}, "api": {"keys": ["the-key"]}})
        for headers in ({}, {"Authorization": "Bearer another"}, {"Authorization": "Basic dGhlLWtleQ=="}):
            answer = await scraped(application, **headers)
            assert answer.status_code == 401, headers
            assert "rtserver_" not in answer.text
        assert (await scraped(application, Authorization="Bearer the-key")).status_code == 200

    async def test_open(self) -> None:
        """Without, nobody is asked for a key, where the API asks for one either."""
        secret = "a-secret-of-more-than-thirty-two-bytes-in-all"
        application = app(
            {"auth": {"mode": "required", "jwt": {"secret": secret}}, "api": {"keys": ["the-key"]}}
        )
        assert (await scraped(application)).status_code == 200

    async def test_foreign_pages(self) -> None:
        """A web page of a foreign origin is refused."""
        assert (await scraped(app(), Origin="https://evil.example")).status_code == 403
