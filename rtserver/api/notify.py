"""``POST /notify/{topic}``: a backend tells everybody who is subscribed to a topic."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from rtserver.api.bodies import Reader
from rtserver.api.credentials import Keys
from rtserver.api.replies import Json
from rtserver.api.resource import Resource
from rtserver.notifications import Notifications
from rtserver.protocol.notices import Notice


def notify(notifications: Notifications, keys: Keys, reader: Reader) -> Resource:
    """Return the resource."""
    resource = Resource(keys.check)

    @resource.post("/notify/{topic:rest}")
    async def endpoint(request: Request) -> Response:
        """Tell the topic; answer how many clients heard it."""
        notice = await reader.model(request, Notice)
        return Json({"sent": await notifications.notify(request.path_params["topic"], notice)})

    return resource
