"""What clients say over a plain WebSocket."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtserver.gateway.plain_frames import MAX_ID, Frame, read, unwrapped
from rtserver.protocol.errors import BAD_REQUEST
from rtserver.protocol.names import RESERVED_EVENTS
from rtserver.transport.packets import MalformedPacket


def meant(data: str | bytes) -> tuple[str, Any]:
    """The event and payload that a frame stands for."""
    frame = read(data)
    frame = unwrapped(frame) if frame.event == "message" else frame
    return frame.event, frame.payload


@pytest.mark.parametrize(
    ("text", "event", "payload"),
    [
        ('{"type":"join","room":"a"}', "join", {"room": "a"}),
        ('{"message":"Hello world","message_type":"chat"}', "chat", {"message": "Hello world"}),
        ('{"message":"no type"}', "chat", {"message": "no type"}),
        ('{"type":"message","message":"x"}', "chat", {"message": "x"}),
        ('{"type":"message","message_type":"typing","room":"a"}', "typing", {"room": "a"}),
        ('{"type":"ping"}', "ping", {}),
        ("hello", "broadcast", {"message": "hello"}),
        ("", "broadcast", {"message": ""}),
        ("5", "broadcast", {"message": "5"}),
        ("true", "broadcast", {"message": "true"}),
        ("[1,2]", "broadcast", {"message": "[1,2]"}),
        ('{"type":', "broadcast", {"message": '{"type":'}),
        ("[" * 5000, "broadcast", {"message": "[" * 5000}),
        ('{"type":"chat","message":"\\ud83d"}', "chat", {"message": "?"}),
    ],
)
def test_what_a_frame_means(text: str, event: str, payload: Any) -> None:
    """A type names the event, message_type is taken for it, none is a chat, and what is no object is a broadcast."""
    assert meant(text) == (event, payload)


@pytest.mark.parametrize("frame_id", [7, 0, "a", "", 1.5, [1], {"a": 1}, True, "é" * 100])
def test_an_id_of_any_type(frame_id: Any) -> None:
    """Whatever JSON an id is, it is kept as it is, and is no part of the payload."""
    frame = read(orjson.dumps({"type": "ping", "id": frame_id}).decode())
    assert (frame.id, frame.payload, frame.problem) == (frame_id, {}, None)


def test_no_id() -> None:
    """An id that is null asks for no answer, like none."""
    assert read('{"type":"ping","id":null}').id is None
    assert read('{"type":"ping"}').id is None


@pytest.mark.parametrize("frame_id", ["x" * MAX_ID, ["x" * MAX_ID]])
def test_a_long_id(frame_id: Any) -> None:
    """An id is bounded: it comes back with the answer."""
    frame = read(orjson.dumps({"type": "ping", "id": frame_id}).decode())
    assert frame.problem is not None
    assert frame.problem.reason is BAD_REQUEST
    assert frame.id is None


def test_a_deep_id() -> None:
    """An id that could not be written again is refused before it has to be."""
    frame = read('{"type":"ping","id":' + "[" * 500 + "]" * 500 + "}")
    assert frame.problem is not None


@pytest.mark.parametrize("event", sorted(RESERVED_EVENTS))
@pytest.mark.parametrize("field", ["type", "message_type"])
def test_reserved_names(field: str, event: str) -> None:
    """What Socket.IO reserves is malformed, under either spelling, and inside text."""
    with pytest.raises(MalformedPacket, match="reserved"):
        meant(orjson.dumps({field: event}).decode())


@pytest.mark.parametrize("named", [5, None, [], {}, True])
def test_a_type_that_is_no_name(named: Any) -> None:
    """A type that is no string is left to the router, which refuses it by that name."""
    event, payload = meant(orjson.dumps({"type": named}).decode())
    assert (event, payload) == ("message", {"type": named})


def test_binary_json() -> None:
    """JSON may come in a binary frame, as some devices send it."""
    assert meant(b'{"type":"chat","message":"x"}') == ("chat", {"message": "x"})


@pytest.mark.parametrize("data", [b"\xff\xfe", b"hello", b"5", b"[1]", b"", b'{"type"'])
def test_other_binary(data: bytes) -> None:
    """Any other binary is refused; it is not shown to anybody as text."""
    frame = read(data)
    assert frame.problem is not None
    assert frame.problem.reason is BAD_REQUEST
    assert unwrapped(frame) is frame


def test_sizes_are_bytes() -> None:
    """A frame weighs what it takes on the wire."""
    assert read("é").size == 2
    assert read('{"message":"é"}').size == 16
    assert read(b"\xff\xff\xff").size == 3


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(st.one_of(st.text(), st.binary(), _json.map(repr), st.dictionaries(st.text(), _json).map(repr)))
def test_anything(data: str | bytes) -> None:
    """Whatever comes is a frame, or malformed; nothing else is raised."""
    try:
        frame = read(data)
        assert isinstance(unwrapped(frame) if frame.event == "message" else frame, Frame)
    except MalformedPacket:
        pass


@pytest.mark.parametrize("data", ["1e999", "9" * 5000, "[" * 1100 + "]" * 1100, "NaN"], ids=str.__len__)
def test_an_object_that_cannot_be_taken(data: str) -> None:
    """It is a problem, and no text for everybody: it may have been for one person alone."""
    frame = read('{"type":"private","to":"bob","message":"secret","data":' + data + "}")
    assert frame.problem is not None
    assert frame.problem.reason is BAD_REQUEST
