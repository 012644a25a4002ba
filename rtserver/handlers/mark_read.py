"""``mark_read``: I have read these notifications."""

from __future__ import annotations

from typing import Any

from rtserver.client import Client
from rtserver.handlers.base import Context
from rtserver.protocol.notices import MarkRead


async def mark_read(context: Context, client: Client, request: MarkRead) -> dict[str, Any]:
    """Mark those that are the client's own; all clients of the user hear which."""
    owner = context.notifications.owner(client)
    return {"marked": await context.notifications.mark_read(owner, request.notification_ids)}
