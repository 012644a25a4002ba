"""What the HTTP API is asked, beside publications and notifications."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, WithJsonSchema

from rtserver.protocol.errors import BAD_REQUEST, RtError
from rtserver.protocol.messages import Limit, Message, Name, Offset, Text
from rtserver.protocol.publish import MAX_BATCH, Room

# What a database holds.
Position = Annotated[int, Field(ge=0, le=(1 << 63) - 1)]
# Each is judged for itself: what is wrong with one is that one's result.
Publication = Annotated[
    Any,
    WithJsonSchema(
        {
            "anyOf": [
                {"$ref": "#/components/schemas/Publish"},
                {"description": "Anything else has an error for its result."},
            ]
        }
    ),
]
Cursor = Annotated[Text, Field(max_length=512)]


Instant = Annotated[
    float | str,
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "description": "Unix seconds."},
                {"type": "string", "format": "date-time"},
            ]
        }
    ),
]
_ONE_OF_THEM: list[Any] = [
    {"required": [field], "properties": {field: {"not": {"type": "null"}}}}
    for field in ("user", "jti", "issued_before")
]


class Batch(Message):
    """Publications, each as for a single one. One that fails keeps none of the others back."""

    publications: Annotated[list[Publication], Field(max_length=MAX_BATCH)]


class Paging(Message):
    """How much at once, and where to go on: the ``next`` of the page before."""

    limit: Limit = 100
    cursor: Cursor | None = None


class Span(Message):
    """Which part of a history: the latest, after *since* and before *before*; *cursor* is the ``next`` of a page."""

    limit: Limit = 100
    cursor: Offset | None = None
    since: Offset | None = None
    before: Offset | None = None

    @property
    def end(self) -> int | None:
        """The offset before which it ends."""
        ends = [end for end in (self.cursor, self.before) if end is not None]
        return min(ends, default=None)


class Deliveries(Message):
    """Which deliveries: in one state, to one target."""

    limit: Limit = 100
    cursor: Position | None = None
    state: Literal["pending", "delivered", "dead"] | None = None
    target: Annotated[Text, Field(max_length=512)] | None = None


class Disconnect(Message):
    """Why; the client is told."""

    reason: Annotated[Text, Field(min_length=1, max_length=500)] | None = None

    @property
    def told(self) -> str:
        """What the client is told."""
        return self.reason or "disconnected by the server"


class Move(Message):
    """Which room to enter or leave."""

    room: Room


class Revoke(Message):
    """Which tokens: a user's, the one with a jti, or all; issued up to *issued_before*, or to now."""

    user: Name | None = None
    jti: Annotated[Text, Field(max_length=1024)] | None = None
    issued_before: Instant | None = None
    model_config = ConfigDict(json_schema_extra={"anyOf": _ONE_OF_THEM})

    def until(self) -> float | None:
        """Return ``issued_before`` in Unix seconds; raise `RtError` when it is no time."""
        if not isinstance(self.issued_before, str):
            return self.issued_before
        try:
            at = datetime.fromisoformat(self.issued_before)
        except ValueError:
            raise RtError(BAD_REQUEST, "issued_before: must be Unix seconds or ISO 8601") from None
        return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()
