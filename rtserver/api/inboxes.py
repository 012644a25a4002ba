"""``POST /api/users/{id}/notifications``: a backend puts a notification into a user's inbox."""

from __future__ import annotations

from fastapi import APIRouter, Depends
from starlette.requests import Request

from rtserver.api.bodies import Reader
from rtserver.api.credentials import Keys
from rtserver.api.replies import Json
from rtserver.notifications import Notifications
from rtserver.protocol.notices import Notice


def inboxes(notifications: Notifications, keys: Keys, reader: Reader) -> APIRouter:
    """Return the resource."""
    router = APIRouter(dependencies=[Depends(keys.check)])

    @router.post("/api/users/{user:path}/notifications", response_class=Json, status_code=201)
    async def endpoint(user: str, request: Request) -> Json:
        """Store it; answer it as the user's clients get it."""
        notice = await reader.model(request, Notice)
        return Json(await notifications.send(user, notice), 201)

    return router
