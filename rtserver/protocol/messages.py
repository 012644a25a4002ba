"""What a client may say: one model per event, strict, closed, and named as on the wire.

Unknown fields, wrong types and bad names are refused with one sentence that names the field.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, WithJsonSchema
from pydantic_core import ErrorDetails

from rtserver.protocol.data import sound_data
from rtserver.protocol.errors import BAD_REQUEST, RtError
from rtserver.protocol.names import MAX_LENGTH, normal_name


def _text(value: str) -> str:
    # Half a surrogate pair is no character, and cannot be written as UTF-8.
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError("must be valid Unicode") from None
    return value


Name = Annotated[
    str,
    AfterValidator(normal_name),
    WithJsonSchema(
        {"type": "string", "minLength": 1, "maxLength": MAX_LENGTH, "format": "rtserver-name"},
    ),
]
Text = Annotated[str, AfterValidator(_text)]
Data = Annotated[Any, AfterValidator(sound_data)]
Offset = Annotated[int, Field(ge=0)]
Limit = Annotated[int, Field(ge=1, le=1000)]
M = TypeVar("M", bound="Message")


class Message(BaseModel):
    """The base of all: strict types, no unknown fields."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    def extra_data(self) -> dict[str, Any]:
        """Return ``{"data": …}`` when the client sent ``data``, else nothing."""
        return {"data": getattr(self, "data", None)} if "data" in self.model_fields_set else {}


class Join(Message):
    """Enter a room, and hear what was said: the latest *history*, or everything after *since*."""

    room: Name
    history: Annotated[int, Field(ge=0, le=1000)] | None = None
    since: Offset | None = None


class Leave(Message):
    """Leave a room."""

    room: Name


class Chat(Message):
    """Say something to a room, or without one to every client."""

    message: Text
    room: Name | None = None
    data: Data = None
    echo: bool = True


class Broadcast(Chat):
    """The same as `Chat` under another event name; its ack tells how many heard it."""


class Private(Message):
    """Say something to every client of one client_id."""

    to: Name
    message: Text
    data: Data = None


class Typing(Message):
    """Show others in the room that one is typing, or stopped."""

    room: Name
    is_typing: bool


class Presence(Message):
    """Ask who is in a room."""

    room: Name
    limit: Limit = 100
    cursor: str | None = None


class History(Message):
    """Ask what was said in a room, oldest first."""

    room: Name
    limit: Limit = 100
    before: Offset | None = None
    since: Offset | None = None


class Rooms(Message):
    """Ask which rooms one is in."""


class RefreshToken(Message):
    """Go on with a new token of the same user."""

    token: str


def parse(model: type[M], payload: Any) -> M:
    """Return *payload* as *model*; raise `RtError` with ``bad_request`` that names the first wrong field."""
    if not isinstance(payload, dict):
        raise RtError(BAD_REQUEST, f"the payload must be an object, not {_kind(payload)}")
    try:
        return model.model_validate(payload)
    except ValidationError as error:
        raise RtError(BAD_REQUEST, _sentence(error)) from None


def parse_texts(model: type[M], fields: dict[str, str]) -> M:
    """Return *fields* that are texts, such as a URL's query, as *model*; raise `RtError` as `parse` does."""
    try:
        return model.model_validate_strings(fields, strict=False)
    except ValidationError as error:
        raise RtError(BAD_REQUEST, _sentence(error)) from None


def _sentence(error: ValidationError) -> str:
    # An unknown field comes first: it is often the misspelt name of one that is then missing.
    problems = error.errors(include_url=False, include_input=False)
    first = next((problem for problem in problems if problem["type"] == "extra_forbidden"), problems[0])
    field = ".".join(str(part) for part in first["loc"]) or "payload"
    return f"{field[:200]}: {_told(first)}"


_TOLD = {
    "extra_forbidden": "unknown field",
    "missing": "is required",
    "string_type": "must be a string",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "list_type": "must be a list",
}


def _told(problem: ErrorDetails) -> str:
    context = problem.get("ctx", {})
    if problem["type"] == "greater_than_equal":
        return f"must be at least {context['ge']}"
    if problem["type"] == "less_than_equal":
        return f"must be at most {context['le']}"
    if problem["type"] in ("too_long", "string_too_long"):
        what = "entries" if context.get("field_type") == "List" else "characters"
        return f"must have at most {context['max_length']} {what}"
    return _TOLD.get(problem["type"]) or problem["msg"].removeprefix("Value error, ")


def _kind(value: Any) -> str:
    kinds = {type(None): "null", bool: "a boolean", str: "a string", list: "a list", bytes: "binary"}
    return kinds.get(type(value), "a number")
