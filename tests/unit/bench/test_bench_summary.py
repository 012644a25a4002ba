"""The side-by-side benchmark: medians of ratios from the same round, and honest verdicts."""

from typing import Any
from xml.etree import ElementTree

import pytest

from bench import chart, report
from bench.rows import ROWS
from bench.summary import Round, summarize


def _round(row: str, ours: float, node: float, **more: Any) -> Round:
    return {"rtserver": {row: {"value": ours, **more}}, "node": {row: {"value": node}}}


def test_ratios_are_formed_within_a_round() -> None:
    """A machine that is slow for a whole round slows both: the ratio stays."""
    (line,) = summarize([_round("rooms", 5, 10), _round("rooms", 50, 100), _round("rooms", 6, 10)])
    assert line.ratio == 0.5
    assert line.spread == (0.5, 0.6)
    assert line.met
    assert line.goal_reached


def test_chat_is_held_against_the_floor_too() -> None:
    """Twice as fast as Node does not help when the bare C server is twice as fast again."""
    one = _round("chat-1", 5, 10)
    one["floor"] = {"chat-1": {"value": 2.5}}
    (line,) = summarize([one])
    assert line.to_floor == 2
    assert line.met is False


def test_leaving_has_to_be_flat() -> None:
    """Cheaper than Node does not help when each of many costs more than each of a few."""
    (line,) = summarize([_round("leaving", 5, 10, flat=3)])
    assert line.met is False


def test_a_row_against_itself() -> None:
    """The row of the clients that stop reading is a ratio already."""
    (line,) = summarize([_round("stall", 1.1, 7)])
    assert line.ratio == pytest.approx(1.1)
    assert line.goal_reached


def test_without_rtserver_there_is_no_verdict() -> None:
    """Measuring only the others proves nothing."""
    (line,) = summarize([{"node": {"ack": {"value": 1.0}}}])
    assert line.met is None
    assert not line.goal_reached


def test_refusals_are_shown() -> None:
    """A rate limit that was met shows beside the verdict."""
    lines = summarize([_round("ack", 1, 10, refused=7)])
    assert "7 refused" in report.table(lines)


def test_the_chart_is_well_formed() -> None:
    """An SVG with one label per row, whatever was measured."""
    lines = summarize([_round(row.name, 1, 1000) for row in ROWS])
    root = ElementTree.fromstring(chart.svg(lines, "a & b"))
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert [row.title for row in ROWS] == [text for text in texts if text in {row.title for row in ROWS}]
    assert "a & b" in texts


def test_the_document_gets_the_result_between_its_marks() -> None:
    """A full run replaces the last result, and nothing else, in docs/performance.md."""
    document = f"# P\n{report.BEGIN}\nold\n{report.END}\nend\n"
    assert report.embedded(document, "new\n") == f"# P\n{report.BEGIN}\nnew\n{report.END}\nend\n"
    assert report.embedded("no marks", "new\n") == "no marks"
