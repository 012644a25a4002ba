"""The small parts of ingest: waits, seldom lines, positions, SQL, the books."""

from __future__ import annotations

import pytest

from rtserver.ingest.backoff import Backoff
from rtserver.ingest.ledger import Ledger, Name
from rtserver.ingest.replays import Replays
from rtserver.ingest.seldom import Seldom
from rtserver.ingest.statements import Statements, quoted
from rtserver.protocol.errors import BAD_REQUEST, RtError
from rtserver.telemetry.metrics import Metrics


def test_waits_double_up_to_a_limit():
    """Each wait is twice the one before, up to the most, less a random part of at most a half."""
    longest, shortest = Backoff(0.5, 4, lambda: 0.0), Backoff(0.5, 4, lambda: 1.0)
    assert [longest.next() for _ in range(5)] == [0.5, 1, 2, 4, 4]
    assert [shortest.next() for _ in range(5)] == [0.25, 0.5, 1, 2, 2]
    longest.reset()
    assert longest.next() == 0.5


def test_a_flood_is_one_line_with_a_number():
    """In a while there is one line, which says how many were left out."""
    seldom = Seldom(10)
    assert [seldom.ask(now) for now in (100, 101, 109.9, 110, 111, 130)] == [0, None, None, 2, None, 1]


class TestReplays:
    """What comes again after a rebalance."""

    def test_what_is_published_is_not_new(self):
        """Before the commit a record that comes again is known, and the one after it is not."""
        replays: Replays[str] = Replays()
        assert replays.is_new("p", 4)
        replays.publish("p", 5)
        assert not replays.is_new("p", 4)
        assert replays.is_new("p", 5)
        assert replays.is_new("q", 4)

    def test_what_is_committed_is_forgotten(self):
        """After the commit Kafka knows it: whoever sets the group back on purpose gets it again."""
        replays: Replays[str] = Replays()
        replays.publish("p", 5)
        due = replays.due(["p"])
        assert due == {"p": 5}
        replays.publish("p", 8)
        replays.commit(due)
        assert replays.due(["p"]) == {"p": 8}
        assert not replays.is_new("p", 7)
        replays.commit({"p": 8})
        assert replays.due(["p"]) == {}
        assert replays.is_new("p", 0)

    def test_a_lost_partition_is_not_committed_later(self):
        """A partition that was elsewhere meanwhile is not set back when it returns, and what we published is known."""
        replays: Replays[str] = Replays()
        replays.publish("p", 5)
        replays.lose(["p"])
        assert replays.due(["p"]) == {}
        assert not replays.is_new("p", 4)
        replays.publish("p", 9)
        assert replays.due(["q"]) == {}
        assert replays.due(["p"]) == {"p": 9}
        replays.publish("p", 12, ours=False)
        assert not replays.is_new("p", 11)
        assert replays.due(["p"]) == {"p": 9}
        replays.lose_all()
        assert replays.due(["p"]) == {}


class TestStatements:
    """Names of tables in SQL."""

    @pytest.mark.parametrize(
        ("table", "name"),
        [
            ("outbox", '"outbox"'),
            ("App.Outbox", '"App"."Outbox"'),
            ('"a.b"', '"a.b"'),
            ('x."say ""hi"""', '"x"."say ""hi"""'),
            ("o;drop", '"o;drop"'),
        ],
    )
    def test_names_are_quoted(self, table: str, name: str):
        """Whatever the configuration takes is one name in SQL."""
        assert quoted(table) == name
        assert name in Statements(table, 5).delete

    def test_a_name_in_a_literal(self):
        """An apostrophe in a name does not end the literal that it stands in."""
        assert Statements("o'clock", 5).oid.startswith("SELECT '\"o''clock\"'::regclass")


class TestLedger:
    """The books of a source."""

    def test_outcomes_are_counted(self):
        """Every outcome has its number from the beginning, by kind and name of the source."""
        metrics = Metrics()
        ledger = Ledger(Name("kafka", "orders"), metrics, lambda: 0.0)
        ledger.published(3)
        ledger.repeated(2)
        for _ in range(4):
            ledger.bad("orders-0@1", RtError(BAD_REQUEST, "no"))
        ledger.failed()
        ledger.dropped()
        assert metrics.ingested == {
            ("kafka", "orders", "published"): 3,
            ("kafka", "orders", "bad"): 4,
            ("kafka", "orders", "repeated"): 2,
        }
        assert metrics.ingest_failures["kafka", "orders"] == 1
        assert metrics.dropped["ingest"] == 1
        assert metrics.ingest_up["kafka", "orders"] == 0
        ledger.up(True)
        assert metrics.ingest_up["kafka", "orders"] == 1
