"""Notifications: what may be said in one, what clients may ask of their inbox, and how it looks on the wire. Pure."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import orjson
from pydantic import Field

from rtserver.protocol.data import weight
from rtserver.protocol.errors import BAD_REQUEST, MESSAGE_TOO_LARGE, RtError
from rtserver.protocol.messages import Data, Limit, Message, Name, Text
from rtserver.protocol.names import TOPIC

Id = Annotated[Text, Field(max_length=128)]


class Notice(Message):
    """What is to be told."""

    title: Text
    message: Text
    type: Literal["info", "warning", "error", "success"] = "info"
    data: Data = None

    def check_size(self, most: int) -> None:
        """Raise `RtError` when it has more than so many bytes."""
        size = len(self.title.encode()) + len(self.message.encode())
        if "data" in self.model_fields_set:
            size += weight(self.data)
        if size > most:
            raise RtError(MESSAGE_TOO_LARGE, f"title, message and data have {size} bytes, {most} are allowed")

    def written_data(self) -> bytes | None:
        """Return ``data`` as JSON, None without any; raise `RtError` when JSON cannot hold it."""
        if "data" not in self.model_fields_set:
            return None
        try:
            return orjson.dumps(self.data)
        except TypeError as error:
            raise RtError(BAD_REQUEST, f"data: cannot be sent as JSON ({error})") from None


class Subscribe(Message):
    """Hear a topic, or no longer."""

    topic: Name


class Notifications(Message):
    """Ask for a page of one's inbox, the newest first: those *before* an identifier, or only unread ones."""

    unread: bool = False
    limit: Limit = 100
    before: Id | None = None


class MarkRead(Message):
    """Say which notifications were read."""

    notification_ids: Annotated[list[Id], Field(max_length=1000)]


class MarkAllRead(Message):
    """Say that all were read."""


def topic_stream(topic: str) -> str:
    """Return the name under which a topic's subscribers hear it, and policies see it.

    No room can be called so, and so subscribing to a topic makes nobody a member of anything.
    """
    return TOPIC + topic


def as_sent(
    place: dict[str, str], id_: str, kind: str, title: str, message: str, data: bytes | None, timestamp: str
) -> dict[str, Any]:
    """Return what clients get; *place* is ``{"topic": …}`` or ``{"user": …}``.

    The kind is in ``level`` too: on a plain WebSocket ``type`` names the event.
    """
    return {
        "id": id_,
        **place,
        "type": kind,
        "level": kind,
        "title": title,
        "message": message,
        **({} if data is None else {"data": orjson.loads(data)}),
        "timestamp": timestamp,
    }
