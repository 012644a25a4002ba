"""What a client may say."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtserver.protocol import messages
from rtserver.protocol.errors import BAD_REQUEST, RtError
from rtserver.protocol.messages import (
    Broadcast,
    Chat,
    History,
    Join,
    Leave,
    Message,
    Presence,
    Private,
    RefreshToken,
    Rooms,
    Typing,
    parse,
)

# The smallest payload of each event, and all that it may hold.
SMALLEST: list[tuple[type[Message], dict[str, Any]]] = [
    (Join, {"room": "r"}),
    (Leave, {"room": "r"}),
    (Chat, {"message": "m"}),
    (Broadcast, {"message": "m"}),
    (Private, {"to": "t", "message": "m"}),
    (Typing, {"room": "r", "is_typing": True}),
    (Presence, {"room": "r"}),
    (History, {"room": "r"}),
    (Rooms, {}),
    (RefreshToken, {"token": "x.y.z"}),
]
FULL: list[tuple[type[Message], dict[str, Any]]] = [
    (Join, {"room": "r", "history": 5, "since": 0}),
    (Leave, {"room": "r"}),
    (Chat, {"message": "m", "room": "r", "data": {"a": [1]}, "echo": False}),
    (Broadcast, {"message": "m", "room": "r", "data": b"\x00", "echo": False}),
    (Private, {"to": "t", "message": "m", "data": None}),
    (Typing, {"room": "r", "is_typing": False}),
    (Presence, {"room": "r", "limit": 1000, "cursor": "c"}),
    (History, {"room": "r", "limit": 1, "before": 9, "since": 3}),
    (Rooms, {}),
    (RefreshToken, {"token": "x.y.z"}),
]
BY_NAME = {"ids": lambda value: value.__name__ if isinstance(value, type) else ""}

# One wrong value per field: what it is, and the field that the refusal must name.
WRONG: list[tuple[type[Message], dict[str, Any], str]] = [
    (Join, {"room": 5}, "room"),
    (Join, {"room": None}, "room"),
    (Join, {"room": ""}, "room"),
    (Join, {"room": "x" * 129}, "room"),
    (Join, {"room": "a\u202eb"}, "room"),
    (Join, {"room": b"r"}, "room"),
    (Join, {"room": ["r"]}, "room"),
    (Join, {"room": "r", "history": -1}, "history"),
    (Join, {"room": "r", "history": 1001}, "history"),
    (Join, {"room": "r", "history": "5"}, "history"),
    (Join, {"room": "r", "history": True}, "history"),
    (Join, {"room": "r", "since": -1}, "since"),
    (Join, {"room": "r", "since": 1.5}, "since"),
    (Join, {"room": "r", "since": "0"}, "since"),
    (Leave, {"room": {}}, "room"),
    (Leave, {}, "room"),
    (Chat, {}, "message"),
    (Chat, {"message": 5}, "message"),
    (Chat, {"message": None}, "message"),
    (Chat, {"message": b"bytes"}, "message"),
    (Chat, {"message": "m", "room": " "}, "room"),
    (Chat, {"message": "m", "echo": "false"}, "echo"),
    (Chat, {"message": "m", "echo": 0}, "echo"),
    (Broadcast, {"message": ["m"]}, "message"),
    (Broadcast, {"message": "m", "room": "\x00"}, "room"),
    (Private, {"message": "m"}, "to"),
    (Private, {"to": "", "message": "m"}, "to"),
    (Private, {"to": "t"}, "message"),
    (Typing, {"room": "r"}, "is_typing"),
    (Typing, {"room": "r", "is_typing": 1}, "is_typing"),
    (Typing, {"room": "r", "is_typing": "yes"}, "is_typing"),
    (Presence, {"room": "r", "limit": 0}, "limit"),
    (Presence, {"room": "r", "limit": 1001}, "limit"),
    (Presence, {"room": "r", "cursor": 5}, "cursor"),
    (History, {"room": "r", "limit": "10"}, "limit"),
    (History, {"room": "r", "before": -1}, "before"),
    (History, {"room": "r", "since": []}, "since"),
]


@pytest.mark.parametrize(("model", "payload"), SMALLEST, **BY_NAME)
def test_the_smallest_payload_of_each_event(model: type[Message], payload: dict[str, Any]) -> None:
    """What is required is enough."""
    read = parse(model, payload)
    for field, value in payload.items():
        assert getattr(read, field) == value


@pytest.mark.parametrize(("model", "payload"), FULL, **BY_NAME)
def test_every_field_of_each_event(model: type[Message], payload: dict[str, Any]) -> None:
    """All that the contract names is taken, and nothing else exists in the model."""
    assert parse(model, payload).model_dump() == payload
    assert set(model.model_fields) == set(payload)


@pytest.mark.parametrize(("model", "payload"), SMALLEST, **BY_NAME)
def test_an_unknown_field_is_refused_and_named(model: type[Message], payload: dict[str, Any]) -> None:
    """A misspelt field is an error, never ignored."""
    with pytest.raises(RtError, match=r"^rooom: unknown field$") as refused:
        parse(model, {**payload, "rooom": "x"})
    assert refused.value.reason is BAD_REQUEST


@pytest.mark.parametrize(("model", "payload", "field"), WRONG)
def test_the_wrong_field_is_named(model: type[Message], payload: dict[str, Any], field: str) -> None:
    """One sentence that begins with the field's name and repeats nothing of its value; no conversion is tried."""
    with pytest.raises(RtError, match=rf"^{field}: \S") as refused:
        parse(model, payload)
    assert refused.value.reason is BAD_REQUEST
    assert "\n" not in refused.value.message
    assert "pydantic" not in refused.value.message


@pytest.mark.parametrize(
    ("payload", "kind"),
    [
        (None, "null"), (True, "a boolean"), (5, "a number"), (1.5, "a number"), ("x", "a string"),
        ([], "a list"), ([{"room": "r"}], "a list"), (b"x", "binary"),
    ],
)  # fmt: skip
def test_a_payload_is_an_object(payload: Any, kind: str) -> None:
    """Anything else is refused by what it is."""
    with pytest.raises(RtError, match=f"the payload must be an object, not {kind}") as refused:
        parse(Join, payload)
    assert refused.value.reason is BAD_REQUEST


def test_a_missing_field_is_said_to_be_required() -> None:
    """The sentence is one that a person can act on."""
    with pytest.raises(RtError, match=r"^room: is required$"):
        parse(Join, {})


def test_names_are_normalised() -> None:
    """Models hand out names in NFC, as rooms are compared."""
    assert parse(Join, {"room": "cafe\u0301"}).room == "café"
    assert parse(Chat, {"message": "e\u0301", "room": "e\u0301"}).room == "é"
    assert parse(Chat, {"message": "e\u0301"}).message == "e\u0301"
    assert parse(Private, {"to": "Zoe\u0308", "message": ""}).to == "Zoë"


def test_data_is_passed_on_only_when_it_was_sent() -> None:
    """Null data is data; no data is none."""
    assert parse(Chat, {"message": "m"}).extra_data() == {}
    assert parse(Chat, {"message": "m", "data": None}).extra_data() == {"data": None}
    assert parse(Chat, {"message": "m", "data": 0}).extra_data() == {"data": 0}
    assert parse(Rooms, {}).extra_data() == {}


def test_data_keeps_its_shape() -> None:
    """Binary stays binary and nothing in it is converted, at any depth."""
    data = {"a": [1, 1.5, "x", None, True, b"\xff", {"b": bytearray(b"y")}]}
    assert parse(Chat, {"message": "m", "data": data}).data == data
    assert isinstance(parse(Chat, {"message": "m", "data": data}).data["a"][6]["b"], bytearray)


def test_the_defaults_of_the_contract() -> None:
    """A sender hears itself, lists have a hundred rows, and no room means every client."""
    chat = parse(Chat, {"message": "m"})
    assert (chat.echo, chat.room) == (True, None)
    assert parse(Presence, {"room": "r"}).limit == 100
    assert parse(History, {"room": "r"}).limit == 100


def test_a_long_or_strange_field_name_makes_a_short_sentence() -> None:
    """A hostile key is cut, and one that is no string does no harm."""
    with pytest.raises(RtError) as refused:
        parse(Join, {"room": "r", "x" * 100_000: 1})
    assert len(refused.value.message) < 300
    with pytest.raises(RtError) as refused:
        parse(Join, {"room": "r", 5: 1})
    assert refused.value.reason is BAD_REQUEST


@given(
    st.sampled_from([model for model, _ in FULL]),
    st.dictionaries(
        st.sampled_from(
            ["room", "message", "to", "data", "echo", "limit", "since", "before", "history", "is_typing"]
        )
        | st.text(max_size=5),
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text(max_size=5)
        | st.lists(st.integers(), max_size=2),
        max_size=6,
    ),
)
def test_any_object_is_understood_or_refused(model: type[Message], payload: dict[str, Any]) -> None:
    """Whatever fields come, the outcome is the model or a bad_request that names a field; nothing else is raised."""
    outcome: Message | RtError
    try:
        outcome = parse(model, payload)
    except RtError as refusal:
        outcome = refusal
    if isinstance(outcome, RtError):
        assert outcome.reason is BAD_REQUEST
        assert ": " in outcome.message
    else:
        assert isinstance(outcome, model)
        assert set(payload) <= set(model.model_fields)


def test_the_module_names_all_models() -> None:
    """A new model gets a row in the lists above."""
    defined = {
        value
        for value in vars(messages).values()
        if isinstance(value, type) and issubclass(value, Message) and value is not Message
    }
    assert defined == {model for model, _ in FULL} == {model for model, _ in SMALLEST}
