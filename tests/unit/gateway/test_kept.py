"""What history keeps of a publication."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtserver.gateway.formats import json_format
from rtserver.gateway.kept import Kept, record
from rtserver.rooms.stream import Publication, Record

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=("Cs",))),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text(st.characters(exclude_categories=("Cs",))), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


def kept(event: str, payload: Any, *, offsets: bool = True) -> tuple[Publication, Record]:
    """A publication, and its record."""
    said = Publication(event, payload, 7, "the-id", 1.5)
    args = (payload, "abc.7") if offsets else (payload,)
    return said, record(said, json_format("/", offsets=offsets).event(event, args))


@given(st.text(st.characters(exclude_categories=("Cs",)), min_size=1), JSON, st.booleans())
def test_there_and_back(event: str, payload: Any, offsets: bool):
    """Whatever was published comes back as it was, with recovery and without."""
    said, found = kept(event, payload, offsets=offsets)
    assert isinstance(found, Kept)
    assert found.publication() == said
    assert (found.offset, found.published_at) == (7, 1.5)


@pytest.mark.parametrize("size", [0, 50, 116, 117, 118, 125, 126, 127, 65_520, 65_535, 65_536, 70_000])
def test_every_length(size: int):
    """However the length of the frame is written."""
    said, found = kept("chat", {"id": "the-id", "message": "4" * size})
    assert found.publication() == said


@pytest.mark.parametrize("payload", [b"binary", {"deep": [b"x"]}, 2**70, {"n": [2**70]}])
def test_what_json_cannot_hold(payload: Any):
    """What would not come back as it was is kept as it is."""
    said, found = kept("news", payload)
    assert found is said
    assert found.publication() is said


def test_what_only_python_knows():
    """A value that JSON writes in its own way comes back as clients got it."""
    _, found = kept("news", {"at": datetime(2026, 1, 2, tzinfo=UTC)})
    assert found.publication().payload == {"at": "2026-01-02T00:00:00+00:00"}


def test_a_reference():
    """The record refers to the frame that was sent, and is small beside it."""
    said = Publication("chat", {"id": "the-id", "message": "x" * 10_000}, 7, "the-id", 1.5)
    out = json_format("/", offsets=True).event("chat", (said.payload, "abc.7"))
    found = record(said, out)
    assert isinstance(found, Kept)
    assert found._frame is out.frames
    assert found._id is None
    assert sys.getsizeof(found) < 100
