"""How events look on a plain WebSocket."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from rtserver.gateway.plain_format import PLAIN


def shown(name: str, *args: Any, ack_id: int | None = None) -> dict[str, Any]:
    """The frame of an event."""
    out = PLAIN.event(name, args, ack_id)
    (packet,) = out.packets
    assert isinstance(packet, str)
    found: dict[str, Any] = orjson.loads(packet)
    assert next(iter(found)) == "type"
    return found


def acked(ack_id: Any, *args: Any) -> dict[str, Any]:
    """The frame of an answer."""
    (packet,) = PLAIN.ack(ack_id, list(args)).packets
    found: dict[str, Any] = orjson.loads(packet)
    return found


@pytest.mark.parametrize(
    ("args", "frame"),
    [
        (({"message": "hi", "offset": 3},), {"message": "hi", "offset": 3}),
        ((), {}),
        (({},), {}),
        (("text",), {"data": "text"}),
        ((None,), {"data": None}),
        (([1, 2],), {"data": [1, 2]}),
        ((1, {"a": 2}), {"data": [1, {"a": 2}]}),
        (({"type": "build", "state": 1},), {"data": {"type": "build", "state": 1}}),
        (({"type": "info", "level": "info", "title": "t"},), {"level": "info", "title": "t"}),
    ],
)
def test_events(args: tuple[Any, ...], frame: dict[str, Any]) -> None:
    """An object's fields stand beside the type; everything else, and a type of its own, is in `data`."""
    assert shown("x", *args) == {"type": "x", **frame}


def test_binary_becomes_base64() -> None:
    """What Socket.IO clients send as binary arrives as base64 text, at any depth."""
    assert shown("chat", {"data": {"a": [b"\x00\xff", bytearray(b"x")]}})["data"] == {"a": ["AP8=", "eA=="]}


def test_what_orjson_does_not_write() -> None:
    """Integers of any size and keys that are no strings are written; what JSON has no word for is refused."""
    assert PLAIN.event("x", ({"n": 2**70, "b": b"x"},)).packets == (
        '{"type":"x","n":1180591620717411303424,"b":"eA=="}',
    )
    assert shown("x", {"a": {1: 2}})["a"] == {"1": 2}
    with pytest.raises(TypeError):
        PLAIN.event("x", ({"a": object()},))
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises((TypeError, ValueError)):
        PLAIN.event("x", ({"a": deep},))


def test_asking_a_client() -> None:
    """An event that wants an answer says so in `ack`."""
    assert shown("ask", {"n": 1}, ack_id=4) == {"type": "ask", "n": 1, "ack": 4}


@pytest.mark.parametrize("ack_id", [7, "a", [1, 2], {"a": 1}, 1.5, True])
def test_answers(ack_id: Any) -> None:
    """An answer has the id of what it answers, whatever that is, and the fields of the acknowledgement."""
    assert acked(ack_id, {"ok": True, "room": "a"}) == {"type": "ack", "id": ack_id, "ok": True, "room": "a"}


def test_two_ids() -> None:
    """The id of a message is in `message_id`: `id` is the frame's."""
    assert acked(7, {"ok": True, "id": "m-1", "offset": 2}) == {
        "type": "ack",
        "id": 7,
        "ok": True,
        "message_id": "m-1",
        "offset": 2,
    }


@pytest.mark.parametrize(("args", "more"), [((), {}), ((5,), {"data": 5}), (({"a": 1},), {"a": 1})])
def test_answers_of_an_application(args: tuple[Any, ...], more: dict[str, Any]) -> None:
    """What an application's handler returns is an answer that says ok."""
    assert acked(7, *args) == {"type": "ack", "id": 7, "ok": True, **more}


def test_refusals() -> None:
    """A refusal says so."""
    assert acked(7, {"ok": False, "error": {"code": 4000}})["ok"] is False
