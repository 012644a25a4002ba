"""The JSON of events and batches, and what an event is ordered by."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtserver.webhooks.events import batch_body, event_body, ordering_keys
from tests.names import named

WHEN = "2026-11-22T10:08:49.300Z"
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
).filter(lambda value: "\\ud" not in json.dumps(value))


@given(st.dictionaries(st.text(max_size=5), JSON, max_size=5))
def test_an_event(data: dict[str, Any]) -> None:
    """An event is its type, its time and its data, exactly, and nothing else."""
    read = json.loads(event_body("room-joined", WHEN, data), parse_float=float)
    assert list(read) == ["type", "timestamp", "data"]
    assert (read["type"], read["timestamp"]) == ("room-joined", WHEN)
    assert json.dumps(read["data"], sort_keys=True) == json.dumps(data, sort_keys=True)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (b"\0\xff", "AP8="),
        (bytearray(b"ab"), "YWI="),
        (memoryview(b""), ""),
        ({1: "a", None: "b", False: "c"}, {"1": "a", "null": "b", "false": "c"}),
        ([{"deep": [b"x"]}], [{"deep": ["eA=="]}]),
        ((1, 2), [1, 2]),
        (float("nan"), None),
        (float("inf"), None),
        (2**64, 2**64),
        ([-(2**70), float("nan"), {"x": float("-inf")}], [-(2**70), None, {"x": None}]),
        ("half \ud800 a pair", "half \ufffd a pair"),
        ({1: 2**70, None: b"x", 1.5: (1, "ü")}, {"1": 2**70, "null": "eA==", "1.5": [1, "ü"]}),
    ],
    ids=named,
)
def test_what_json_has_no_word_for(value: Any, shown: Any) -> None:
    """Binary data is base64, keys are text, and what is no number is null."""
    assert json.loads(event_body("message-broadcast", WHEN, {"data": value}))["data"] == {"data": shown}


@pytest.mark.parametrize(
    "value", [object(), {1, 2}, {"a": ValueError}, {b"k": 1}, [2**70, object()]], ids=named
)
def test_what_cannot_be_said(value: Any) -> None:
    """What has no form in JSON is a TypeError."""
    with pytest.raises(TypeError):
        event_body("message-broadcast", WHEN, {"data": value})


@given(st.lists(st.tuples(st.uuids(), st.dictionaries(st.text(max_size=5), JSON, max_size=3)), min_size=1))
def test_a_batch(events: list[tuple[object, dict[str, Any]]]) -> None:
    """A batch has its events in their order, each as it is alone, with its id."""
    bodies = [(str(event), event_body("room-left", WHEN, data)) for event, data in events]
    read = json.loads(batch_body(WHEN, bodies))
    assert list(read) == ["type", "timestamp", "data"]
    assert (read["type"], read["timestamp"], list(read["data"])) == ("batch", WHEN, ["events"])
    alone = [{"id": event, **json.loads(body)} for event, body in bodies]
    assert json.dumps(read["data"]["events"]) == json.dumps(alone)


class TestKeys:
    """What an event is ordered by."""

    @pytest.mark.parametrize("streamed", [False, True])
    def test_room_and_client(self, streamed: bool) -> None:
        """An event in a room, of a client, is ordered with both of them."""
        both = set(ordering_keys("a", "ann", streamed))
        assert both == {*ordering_keys("a", None, streamed), *ordering_keys(None, "ann", streamed=False)}
        assert len(both) == 2

    def test_apart(self) -> None:
        """No room, client, stream or node shares a key with another kind, whatever its name."""
        names = ["", "a", "node", "everybody", "room a", "client a", "room everybody"]
        found = [ordering_keys(name, None, streamed=False) for name in names]
        found += [ordering_keys(None, name, streamed=False) for name in names]
        found += [ordering_keys(None, None, streamed=True), ordering_keys(None, None, streamed=False)]
        for one, other in itertools.combinations(found, 2):
            assert not {*one} & {*other}
        assert all(len(keys) == 1 for keys in found)

    def test_everybody(self) -> None:
        """Messages to everybody are ordered like those of a room, beside the order of their sender."""
        anybody, ann = ordering_keys(None, None, streamed=True), ordering_keys(None, "ann", streamed=True)
        assert {*anybody} < {*ann}
