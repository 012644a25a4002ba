"""``POST /notify/{topic}``: a backend tells everybody who is subscribed to a topic."""

from __future__ import annotations

from fastapi import APIRouter, Depends
from starlette.requests import Request

from rtserver.api.bodies import Reader
from rtserver.api.credentials import Keys
from rtserver.api.replies import Json
from rtserver.notifications import Notifications
from rtserver.protocol.notices import Notice


def notify(notifications: Notifications, keys: Keys, reader: Reader) -> APIRouter:
    """Return the resource."""
    router = APIRouter(dependencies=[Depends(keys.check)])

    @router.post("/notify/{topic:path}", response_class=Json)
    async def endpoint(topic: str, request: Request) -> Json:
        """Tell the topic; answer how many clients heard it."""
        notice = await reader.model(request, Notice)
        return Json({"sent": await notifications.notify(topic, notice)})

    return router
