"""Where records are handed in, on a real node with webhooks and a store in memory."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from rtserver.ingest import desk as desk_module
from rtserver.ingest.desk import Desk
from rtserver.ingest.ledger import Ledger, Name
from rtserver.protocol.errors import BAD_REQUEST, RATE_LIMITED, RtError
from rtserver.publishing import Accepted, Publishing
from rtserver.webhooks.journal import DROPPED, Receipt
from tests.unit.handlers.table import Table
from tests.unit.node.stand_ins import heard


@pytest.fixture(autouse=True)
def _no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is waited for before a record is tried again."""
    monkeypatch.setattr(desk_module, "_BACK_OFF", (0.0, 0.0))


@pytest.fixture
def table() -> Table:
    """A server."""
    return Table({"limits": {"rate": None}})


@pytest.fixture
def ledger(table: Table) -> Ledger:
    """The books of a source."""
    return Ledger(Name("kafka", "orders"), table.node.metrics)


class Stubborn(Publishing):
    """The real command, which fails first with what it is given."""

    def __init__(self, table: Table, *failures: Exception) -> None:
        super().__init__(table.node, 1000)
        self.failures = list(failures)
        self.receipt: Receipt | None = None

    async def begin(self, payload: Any) -> Accepted:
        """Fail, or publish."""
        if self.failures:
            raise self.failures.pop(0)
        done = await super().begin(payload)
        return done._replace(receipt=self.receipt)


class Recorded:
    """How often the store was waited for."""

    def __init__(self) -> None:
        self.asked = 0

    async def __call__(self) -> None:
        """It works."""
        self.asked += 1


def body(number: int) -> bytes:
    """A record."""
    return json.dumps({"room": "lobby", "message": str(number)}).encode()


def said(client: Any) -> list[int]:
    """What a member heard."""
    return [int(payload["message"]) for event, payload in heard(client) if event == "broadcast"]


async def test_bad_ones_are_returned_and_the_others_published(table: Table, ledger: Ledger):
    """For each record there is why it cannot be published, or None; they are counted, and nothing is held up."""
    ann = table.person("ann", "lobby")
    heard(ann)
    desk = Desk(Publishing(table.node, 100), Recorded(), 200)
    no_value = RtError(BAD_REQUEST, "no value")
    records = [
        body(1),
        b"{",
        no_value,
        json.dumps({"room": "lobby", "message": "x" * 150}),
        b" " * 201,
        body(2),
    ]
    found = await desk.publish(records, ledger)
    assert [why and why.reason.reason for why in found] == [
        None,
        "bad_request",
        "bad_request",
        "message_too_large",
        "message_too_large",
        None,
    ]
    assert found[2] is no_value
    assert said(ann) == [1, 2]
    assert table.node.metrics.ingested["kafka", "orders", "published"] == 2


async def test_what_fails_for_the_moment_is_tried_again(table: Table, ledger: Ledger):
    """A record that fails in passing is published later, and before those behind it."""
    ann = table.person("ann", "lobby")
    heard(ann)
    publishing = Stubborn(table, *[RtError(RATE_LIMITED, "later")] * 3, RuntimeError("a bug, once"))
    assert await Desk(publishing, Recorded(), 1000).publish([body(1), body(2)], ledger) == [None, None]
    assert said(ann) == [1, 2]


async def test_a_bug_does_not_hold_up_a_source_for_ever(table: Table, ledger: Ledger):
    """A record that fails again and again for no known reason is a bad one."""
    publishing = Stubborn(table, *[RuntimeError("a bug")] * 5)
    first, second = await Desk(publishing, Recorded(), 1000).publish([body(1), body(2)], ledger)
    assert first is not None
    assert first.reason.reason == "server_error"
    assert second is None


async def test_it_waits_for_the_receipts(table: Table, ledger: Ledger):
    """Nothing is done before webhooks are sure to tell of it."""
    publishing = Stubborn(table)
    publishing.receipt = Receipt()
    recorded = Recorded()
    task = asyncio.ensure_future(Desk(publishing, recorded, 1000).publish([body(1), body(2)], ledger))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not task.done()
    publishing.receipt.settle(committed=True)
    assert await task == [None, None]
    assert recorded.asked == 0


@pytest.mark.parametrize("receipt", [Receipt(committed=False), DROPPED])
async def test_a_store_that_fails_is_waited_for(table: Table, ledger: Ledger, receipt: Receipt):
    """What was published and not recorded is not published again: it waits until the store works."""
    ann = table.person("ann", "lobby")
    heard(ann)
    publishing = Stubborn(table)
    publishing.receipt = receipt
    recorded = Recorded()
    assert await Desk(publishing, recorded, 1000).publish([body(1)], ledger) == [None]
    assert recorded.asked == 1
    assert said(ann) == [1]
