"""``/api/users``: where a user is connected; backends send all of a user's clients away."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from rtserver.api.bodies import Reader
from rtserver.api.replies import Json
from rtserver.api.resource import Guard, Resource, named
from rtserver.directory import Directory
from rtserver.node import Node
from rtserver.protocol.requests import Disconnect


def users(directory: Directory, node: Node, reader: Reader, guard: Guard) -> Resource:
    """Return the resource."""
    resource = Resource(guard)

    @resource.get("/api/users/{id}")
    async def user(request: Request) -> Response:
        """Answer what is known of a user."""
        return Json(await directory.user(named(request, "id")))

    @resource.post("/api/users/{id}/disconnect")
    async def disconnect(request: Request) -> Response:
        """End all of the user's connections for good; the clients are told why."""
        asked = await reader.model(request, Disconnect, optional=True)
        return Json({"disconnected": await node.disconnect(named(request, "id"), asked.told)})

    return resource
