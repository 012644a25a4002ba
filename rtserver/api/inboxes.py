"""``POST /api/users/{id}/notifications``: a backend puts a notification into a user's inbox."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from rtserver.api.bodies import Reader
from rtserver.api.credentials import Keys
from rtserver.api.replies import Json
from rtserver.api.resource import Resource
from rtserver.notifications import Notifications
from rtserver.protocol.notices import Notice


def inboxes(notifications: Notifications, keys: Keys, reader: Reader) -> Resource:
    """Return the resource."""
    resource = Resource(keys.check)

    @resource.post("/api/users/{id:rest}/notifications")
    async def endpoint(request: Request) -> Response:
        """Store it; answer it as the user's clients get it."""
        notice = await reader.model(request, Notice)
        return Json(await notifications.send(request.path_params["id"], notice), 201)

    return resource
