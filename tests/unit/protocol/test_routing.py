"""What the event ``message`` carries."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtserver.protocol.errors import BAD_REQUEST, RtError
from rtserver.protocol.routing import unwrap

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=12), children, max_size=3)
    ),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("payload", "event", "fields"),
    [
        ({"message_type": "join", "room": "a"}, "join", {"room": "a"}),
        ({"type": "join", "room": "a"}, "join", {"room": "a"}),
        ({"message": "hi"}, "chat", {"message": "hi"}),
        ({}, "chat", {}),
        ({"message_type": None, "type": "leave", "room": "a"}, "leave", {"room": "a"}),
        ('{"message_type": "typing", "room": "a"}', "typing", {"room": "a"}),
        ('{"message": "hi"}', "chat", {"message": "hi"}),
        ("hello", "broadcast", {"message": "hello"}),
        ("", "broadcast", {"message": ""}),
        ("{broken", "broadcast", {"message": "{broken"}),
        ("5", "broadcast", {"message": "5"}),
        ('"quoted"', "broadcast", {"message": '"quoted"'}),
        ("null", "broadcast", {"message": "null"}),
        ("true", "broadcast", {"message": "true"}),
    ],
)
def test_what_a_message_means(payload: Any, event: str, fields: dict[str, Any]) -> None:
    """An object names its event or is a chat, JSON text is read as its object, other text is a broadcast."""
    assert unwrap(payload) == (event, fields)


def test_beside_message_type_type_is_a_field() -> None:
    """With both spellings the newer one names the event, and the other is left for its model to refuse."""
    assert unwrap({"message_type": "chat", "type": "x", "message": "m"}) == (
        "chat",
        {"type": "x", "message": "m"},
    )


@pytest.mark.parametrize("number", [0, -5, 2**64, -(2**63) - 1, 10**40])
def test_any_number_is_plain_text(number: int) -> None:
    """A whole number of any size is a plain-text broadcast of its digits."""
    assert unwrap(number) == ("broadcast", {"message": str(number)})


@pytest.mark.parametrize("named", [5, True, [], {}, 1.5])
@pytest.mark.parametrize("field", ["message_type", "type"])
def test_an_event_name_is_text(field: str, named: Any) -> None:
    """A type that is no string is refused, and the field is named."""
    with pytest.raises(RtError, match=f"^{field}: must be a string") as refused:
        unwrap({field: named})
    assert refused.value.reason is BAD_REQUEST


@pytest.mark.parametrize("payload", [{"message_type": "message"}, '{"type": "message"}'])
def test_an_envelope_in_an_envelope_is_refused(payload: Any) -> None:
    """A message cannot carry a message, so nothing can be nested for ever."""
    with pytest.raises(RtError, match="cannot carry a message"):
        unwrap(payload)


def test_the_senders_object_is_left_alone() -> None:
    """Unwrapping takes the type out of a copy."""
    payload = {"message_type": "chat", "message": "x"}
    unwrap(payload)
    assert payload == {"message_type": "chat", "message": "x"}


def test_absurdly_nested_json_is_text() -> None:
    """What no parser takes is plain text, not an error of ours."""
    text = "[" * 100_000
    assert unwrap(text) == ("broadcast", {"message": text})


@given(JSON)
def test_anything_is_routed_or_refused(payload: Any) -> None:
    """Any JSON value gives an event and an object, or one refusal of kind bad_request."""
    outcome: tuple[str, dict[str, Any]] | RtError
    try:
        outcome = unwrap(payload)
    except RtError as refusal:
        outcome = refusal
    if isinstance(outcome, RtError):
        assert outcome.reason is BAD_REQUEST
    else:
        assert isinstance(outcome[0], str)
        assert isinstance(outcome[1], dict)


@given(st.text())
def test_any_text_means_something(text: str) -> None:
    """Text that is not an object is broadcast as it is, character by character."""
    event, fields = unwrap(text)
    assert event == "chat" or (event, fields) == ("broadcast", {"message": text})


@pytest.mark.parametrize(
    "text",
    [
        '{"type":"private","to":"bob","message":"secret","data":1e999}',
        '{"type":"private","to":"bob","message":"secret","data":' + "9" * 5000 + "}",
        '{"type":"private","to":"bob","message":"secret","data":' + "[" * 1100 + "]" * 1100 + "}",
        '{"type":"private","to":"bob","message":"secret","data":NaN}',
        '{"type":"private","to":"bob","message":"secret \\ud83d"}',
        '\ufeff {"type":"private","to":"bob","message":"secret"}',
    ],
    ids=["infinite", "long", "deep", "nan", "half", "bom"],
)
def test_an_object_that_cannot_be_taken_is_told_to_nobody(text: str) -> None:
    """What was meant for one person is no broadcast because a parser gave up."""
    with pytest.raises(RtError) as caught:
        unwrap(text)
    assert caught.value.reason is BAD_REQUEST


@pytest.mark.parametrize("text", ['{"message": "cut', "{hello}", "[1, 2", "{", " {a: 1}"])
def test_what_only_begins_like_json_is_text(text: str) -> None:
    """Text that is not JSON is a plain-text broadcast."""
    assert unwrap(text) == ("broadcast", {"message": text})
