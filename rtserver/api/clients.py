"""``/api/clients``: who is connected; backends send clients away, and put them into rooms or out of them."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from rtserver.api.bodies import Reader, query
from rtserver.api.replies import Json
from rtserver.api.resource import Guard, Resource
from rtserver.directory import Directory
from rtserver.handlers.base import Context, check_place
from rtserver.protocol.requests import Disconnect, Move, Paging


def clients(directory: Directory, context: Context, reader: Reader, guard: Guard) -> Resource:
    """Return the resource."""
    resource = Resource(guard)
    node = context.node

    @resource.get("/api/clients")
    async def listed(request: Request) -> Response:
        """Answer a page of the connections."""
        asked = query(request, Paging)
        found, count, following = await directory.clients(asked.limit, asked.cursor)
        return Json({"clients": found, "count": count, "next": following})

    @resource.get("/api/clients/{sid}")
    async def client(request: Request) -> Response:
        """Answer what is known of a connection."""
        return Json(await directory.client(request.path_params["sid"]))

    @resource.post("/api/clients/{sid}/disconnect")
    async def disconnect(request: Request) -> Response:
        """End the connection for good; the client is told why."""
        sid = request.path_params["sid"]
        asked = await reader.model(request, Disconnect, optional=True)
        directory.find(sid)
        return Json({"disconnected": int(await node.disconnect_sid(sid, asked.told))})

    @resource.post("/api/clients/{sid}/join")
    async def join(request: Request) -> Response:
        """Make the client a member, whatever the room's policy says of joining."""
        asked = await reader.model(request, Move)
        client = directory.find(request.path_params["sid"])
        joins = asked.room not in (client.rooms or ())
        if joins:
            check_place(context, client, asked.room)
        return Json({"room": asked.room, "joined": joins, "count": await node.join(client, asked.room)})

    @resource.post("/api/clients/{sid}/leave")
    async def leave(request: Request) -> Response:
        """Take the client out of the room, if it is in it."""
        asked = await reader.model(request, Move)
        client = directory.find(request.path_params["sid"])
        leaves = asked.room in (client.rooms or ())
        if leaves:
            await node.leave(client, asked.room)
        return Json({"room": asked.room, "left": leaves, "count": node.occupancy(asked.room)})

    return resource
