"""What backends may ask for when they publish."""

from __future__ import annotations

from typing import Any

import pytest

from rtserver.protocol.errors import RtError
from rtserver.protocol.messages import parse
from rtserver.protocol.publish import Publish


def refused(**fields: Any) -> str:
    """Why these fields are refused."""
    with pytest.raises(RtError) as caught:
        parse(Publish, fields)
    assert caught.value.reason.reason == "bad_request"
    return caught.value.message


@pytest.mark.parametrize(
    ("fields", "target"),
    [
        ({"room": "lobby"}, ("room", "lobby")),
        ({"user": "ada"}, ("user", "ada")),
        ({"sid": "x1"}, ("sid", "x1")),
        ({"all": True}, ("all", "")),
        ({"room": "cafe\u0301", "user": None, "all": None}, ("room", "café")),
    ],
)
def test_targets(fields: dict[str, Any], target: tuple[str, str]):
    """Exactly one target is taken, in NFC; null counts as not given, as many serialisers write it."""
    assert parse(Publish, {"message": "hi", **fields}).target == target


@pytest.mark.parametrize(
    "fields", [{}, {"room": "a", "user": "b"}, {"room": "a", "all": True}, {"room": None}]
)
def test_no_target_or_several(fields: dict[str, Any]):
    """What names no target, or more than one, is refused with the choice there is."""
    assert "exactly one of room, user, sid and all" in refused(message="hi", **fields)


@pytest.mark.parametrize("value", [False, 1, "true"])
def test_all_is_true(value: Any):
    """``all`` takes true and nothing that merely looks like it."""
    assert refused(message="hi", all=value).startswith("all: ")


@pytest.mark.parametrize("event", ["connect", "disconnect", "newListener", "", "x" * 129, "a\x00"])
def test_events_that_may_not_be(event: str):
    """No entrance publishes under a name that Socket.IO reserves, or that is no name."""
    assert refused(room="lobby", message="hi", event=event).startswith("event: ")


@pytest.mark.parametrize("room", ["user:ada", "topic:news", "sid:x", "", "a\u202eb", "x" * 129, 7])
def test_rooms_that_may_not_be(room: Any):
    """A room is no user, topic or connection in disguise, and has a sound name."""
    assert refused(room=room, message="hi").startswith("room: ")


def test_something_is_said():
    """A message or data is required, and null is data but no message."""
    assert "message or data is required" in refused(room="lobby")
    assert "message or data is required" in refused(room="lobby", message=None)
    assert parse(Publish, {"room": "lobby", "data": None}).message is None


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"rooom": "x"}, "rooom: unknown field"),
        ({"skip": []}, "skip: unknown field"),
        ({"message": 7}, "message: must be a string"),
        ({"except": ["a", 7]}, "except.1: must be a string"),
        ({"except": ["a"] * 1001}, "except: "),
        ({"idempotency_key": ""}, "idempotency_key: "),
        ({"idempotency_key": "k" * 256}, "idempotency_key: "),
        ({"data": {"_placeholder": True}}, "data: must not contain"),
        ({"message": "\ud800"}, "message: must be valid Unicode"),
    ],
)
def test_the_field_is_named(fields: dict[str, Any], told: str):
    """What is wrong is told with the field's name as it was sent."""
    assert refused(**{"room": "lobby", "message": "hi", **fields}).startswith(told)


@pytest.mark.parametrize(
    ("fields", "fits"),
    [
        ({"message": "x" * 10}, True),
        ({"message": "é" * 6}, False),
        ({"message": "x" * 4, "data": "abcd"}, True),
        ({"message": "x" * 5, "data": "abcd"}, False),
        ({"data": list(range(9))}, False),
    ],
)
def test_size(fields: dict[str, Any], fits: bool):
    """Message and data count together, in bytes."""
    request = parse(Publish, {"room": "lobby", **fields})
    if fits:
        request.check_size(10)
        return
    with pytest.raises(RtError) as caught:
        request.check_size(10)
    assert caught.value.reason.reason == "message_too_large"
