"""What backends ask for when they publish: one model for every entrance, be it HTTP, a log or a database."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, ConfigDict, Field, WithJsonSchema, model_validator

from rtserver.protocol.data import weight
from rtserver.protocol.errors import MESSAGE_TOO_LARGE, RtError
from rtserver.protocol.messages import Data, Message, Name, Text
from rtserver.protocol.names import (
    MAX_LENGTH,
    RESERVED_EVENTS,
    RESERVED_PREFIXES,
    publishable_event,
    room_name,
)

MAX_BATCH = 1000
MAX_EXCEPT = 1000


def _yes(value: bool) -> bool:
    if not value:
        raise ValueError("must be true")
    return value


Room = Annotated[
    Name,
    AfterValidator(room_name),
    WithJsonSchema(
        {
            "type": "string",
            "minLength": 1,
            "maxLength": MAX_LENGTH,
            "format": "rtserver-name",
            "not": {"pattern": f"^({'|'.join(RESERVED_PREFIXES)})"},
        }
    ),
]
Sid = Annotated[Text, Field(min_length=1, max_length=128)]
Event = Annotated[
    str,
    AfterValidator(publishable_event),
    WithJsonSchema(
        {
            "type": "string",
            "minLength": 1,
            "maxLength": MAX_LENGTH,
            "format": "rtserver-name",
            "not": {"enum": sorted(RESERVED_EVENTS)},
        }
    ),
]
Yes = Annotated[bool, AfterValidator(_yes), WithJsonSchema({"const": True})]
Kind = Literal["room", "user", "sid", "all"]


class Target(NamedTuple):
    """Whom a publication is for. *name* is empty for all."""

    kind: Kind
    name: str


def _schema(schema: dict[str, Any]) -> None:
    """Say in JSON Schema what the validator below checks: null counts as not given."""
    given: dict[Kind, dict[str, Any]] = {
        "room": {"type": "string"},
        "user": {"type": "string"},
        "sid": {"type": "string"},
        "all": {"const": True},
    }
    schema["oneOf"] = [
        {
            "title": kind,
            "required": [kind],
            "properties": {
                kind: wanted,
                **{other: {"type": "null"} for other in given if other != kind},
            },
        }
        for kind, wanted in given.items()
    ]
    schema["anyOf"] = [
        {"title": "message", "required": ["message"], "properties": {"message": {"type": "string"}}},
        {"title": "data", "required": ["data"]},
    ]


class Publish(Message):
    """Publish an event to a room, to a user, to one connection, or to all: exactly one of these.

    ``chat`` and ``broadcast`` carry message and data in the object that clients know; any other event carries exactly
    data, or without data the message. Fields that are null count as not given, but for data.
    """

    model_config = ConfigDict(json_schema_extra=_schema, use_attribute_docstrings=True)

    room: Room | None = None
    """Its members get it."""
    user: Name | None = None
    """Every connection of this user, or of another client_id, gets it."""
    sid: Sid | None = None
    """This connection gets it, ``socket.id``."""
    everybody: Annotated[Yes | None, Field(alias="all")] = None
    """Every client gets it."""
    event: Event = "broadcast"
    """The name under which clients hear it."""
    message: Text | None = None
    """A text."""
    data: Data = None
    """Anything."""
    skip: Annotated[list[Sid] | None, Field(alias="except", max_length=MAX_EXCEPT)] = None
    """Connections that do not get it."""
    idempotency_key: Annotated[Text, Field(min_length=1, max_length=255)] | None = None
    """Whoever comes with the same one within 5 minutes gets the same answer, and nothing is published again."""

    @model_validator(mode="after")
    def _whole(self) -> Publish:
        targets = (self.room, self.user, self.sid, self.everybody)
        if sum(target is not None for target in targets) != 1:
            raise ValueError("exactly one of room, user, sid and all is required")
        if self.message is None and "data" not in self.model_fields_set:
            raise ValueError("message or data is required")
        return self

    @property
    def target(self) -> Target:
        """Whom it is for."""
        if self.room is not None:
            return Target("room", self.room)
        if self.user is not None:
            return Target("user", self.user)
        return Target("sid", self.sid) if self.sid is not None else Target("all", "")

    def check_size(self, most: int) -> None:
        """Raise `RtError` when message and data have more than so many bytes."""
        size = len(self.message.encode()) if self.message is not None else 0
        if "data" in self.model_fields_set:
            size += weight(self.data)
        if size > most:
            raise RtError(MESSAGE_TOO_LARGE, f"message and data have {size} bytes, {most} are allowed")
