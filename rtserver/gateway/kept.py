"""A publication as history keeps it: the frame that was sent, taken apart again when somebody asks for it."""

from __future__ import annotations

import orjson

from rtserver.rooms.stream import Publication, Record
from rtserver.transport.frames import payload_of
from rtserver.transport.outbound import Outbound

# "42", an EVENT in a message, comes before the JSON.
_HEAD = 2


class Kept:
    """The frame, which recovery refers to as well, and what cannot be read out of it."""

    __slots__ = ("_frame", "_id", "offset", "published_at")

    def __init__(self, publication: Publication, frame: bytes) -> None:
        self.offset = publication.offset
        self.published_at = publication.published_at
        self._frame = frame
        # Our own events say it.
        said = publication.payload.get("id") if isinstance(publication.payload, dict) else None
        self._id = None if said == publication.id else publication.id

    def publication(self) -> Publication:
        """Return the publication."""
        event, payload, *_ = orjson.loads(payload_of(self._frame)[_HEAD:])
        return Publication(event, payload, self.offset, self._id or payload["id"], self.published_at)


def record(publication: Publication, out: Outbound) -> Record:
    """Return what to keep of a publication that was written in the main namespace as *out*.

    What is not plain JSON (binary, integers beyond 64 bits) would not come back as it was.
    """
    return Kept(publication, out.frames) if out.plain else publication
