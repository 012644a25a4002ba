"""``/api/rooms``: which rooms there are, who is in one, and what was said there."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from rtserver.api.bodies import query
from rtserver.api.replies import Json
from rtserver.api.resource import Guard, Resource, named
from rtserver.directory import Directory
from rtserver.protocol.requests import Paging, Span
from rtserver.rooms.views import shown


def rooms(directory: Directory, guard: Guard) -> Resource:
    """Return the resource."""
    resource = Resource(guard)

    @resource.get("/api/rooms")
    async def listed(request: Request) -> Response:
        """Answer a page of the rooms that have members."""
        asked = query(request, Paging)
        counts, following = await directory.rooms(asked.limit, asked.cursor)
        return Json({"rooms": list(counts), "counts": counts, "next": following})

    @resource.get("/api/rooms/{room}")
    async def room(request: Request) -> Response:
        """Answer what is known of a room."""
        return Json(await directory.room(named(request, "room")))

    @resource.get("/api/rooms/{room}/members")
    async def members(request: Request) -> Response:
        """Answer a page of the members."""
        asked = query(request, Paging)
        found, count, following = await directory.members(named(request, "room"), asked.limit, asked.cursor)
        return Json({"members": found, "count": count, "next": following})

    @resource.get("/api/rooms/{room}/history")
    async def history(request: Request) -> Response:
        """Answer a page of the history, oldest first."""
        name, asked = named(request, "room"), query(request, Span)
        past = await directory.history(name, asked.limit, asked.since, asked.end)
        return Json(
            {
                "messages": [shown(publication, name) for publication in past.page.publications],
                "offset": past.page.offset,
                "complete": past.page.complete,
                "next": str(past.next) if past.next is not None else None,
            }
        )

    return resource
