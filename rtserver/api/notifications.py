"""``/notifications``: a user's own inbox, for who has no connection."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from rtserver.api.bodies import Reader, query
from rtserver.api.credentials import Owners
from rtserver.api.replies import Json
from rtserver.api.resource import Resource
from rtserver.notifications import Notifications
from rtserver.protocol import messages, notices


def own(notifications: Notifications, owners: Owners, reader: Reader) -> Resource:
    """Return the resource."""
    resource = Resource()

    @resource.get("/notifications")
    async def page(request: Request) -> Response:
        """Answer a page of the inbox, the newest first."""
        user = owners.of(request)
        asked = query(request, notices.Notifications, *owners.parameters)
        found = await notifications.page(user, asked.limit, asked.before, unread=asked.unread)
        return Json({"notifications": found.notifications})

    @resource.post("/notifications/mark-read")
    async def mark_read(request: Request) -> Response:
        """Mark some as read; the body is a list of identifiers."""
        user = owners.of(request)
        ids = {"notification_ids": await reader.json(request)}
        asked = messages.parse(notices.MarkRead, ids)
        return _marked(await notifications.mark_read(user, asked.notification_ids))

    @resource.post("/notifications/mark-all-read")
    async def mark_all_read(request: Request) -> Response:
        """Mark all as read."""
        return _marked(await notifications.mark_all_read(owners.of(request)))

    return resource


def _marked(count: int) -> Json:
    return Json({"status": "ok", "marked": count})
