"""``notifications``: what is in my inbox?"""

from __future__ import annotations

from typing import Any

from rtserver.client import Client
from rtserver.handlers.base import Context
from rtserver.protocol.notices import Notifications


async def notifications(context: Context, client: Client, request: Notifications) -> dict[str, Any]:
    """Answer with a page of it and the number of all that are unread."""
    owner = context.notifications.owner(client)
    page = await context.notifications.page(owner, request.limit, request.before, unread=request.unread)
    return {"notifications": page.notifications, "unread": page.unread}
