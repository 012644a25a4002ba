"""How members and publications are listed in answers."""

from __future__ import annotations

from typing import Any

from rtserver.rooms.stream import Publication


def listed(
    members: list[dict[str, Any]], limit: int, cursor: str | None
) -> tuple[list[dict[str, Any]], str | None]:
    """Return at most *limit* members after the one called *cursor*, and the cursor of the next page.

    A cursor whose member has left begins at the start: members have no order of their own to go on from.
    """
    start = 0
    if cursor is not None:
        ids = [member["client_id"] for member in members]
        start = ids.index(cursor) + 1 if cursor in ids else 0
    page = members[start : start + limit]
    return page, page[-1]["client_id"] if start + limit < len(members) else None


def shown(publication: Publication, room: str | None) -> dict[str, Any]:
    """Return a publication as history shows it: the event's object, or for a custom event its data in one."""
    if publication.event in ("chat", "broadcast"):
        return {"event": publication.event, **publication.payload}
    return {
        "event": publication.event,
        "id": publication.id,
        "room": room,
        "data": publication.payload,
        "offset": publication.offset,
    }
