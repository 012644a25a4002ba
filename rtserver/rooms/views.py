"""How members and publications are listed in answers."""

from __future__ import annotations

from typing import Any

from rtserver.protocol.data import count_binary, weight
from rtserver.protocol.identifiers import iso_timestamp
from rtserver.rooms.stream import Page, Publication


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


def fitting(page: Page, most_binary: int, most_bytes: int) -> Page:
    """Return the page without its oldest publications when all of them are too much for one answer.

    A stock client takes so many binary values in one packet and hangs up on more; the bytes keep a short question from
    being worth a very long answer. What is cut makes the page incomplete.
    """
    kept = 0
    for publication in reversed(page.publications):
        most_binary -= count_binary(publication.payload)
        most_bytes -= weight(publication.payload)
        if most_binary < 0 or most_bytes < 0:
            break
        kept += 1
    if kept == len(page.publications):
        return page
    return Page(page.publications[len(page.publications) - kept :], page.offset, complete=False)


def shown(publication: Publication, room: str | None) -> dict[str, Any]:
    """Return a publication as history shows it: the event's object, or for a custom event its data in one."""
    if publication.event in ("chat", "broadcast"):
        return {"event": publication.event, **publication.payload}
    return {
        "event": publication.event,
        "id": publication.id,
        "room": room,
        "data": publication.payload,
        "timestamp": iso_timestamp(publication.published_at),
        "offset": publication.offset,
    }
