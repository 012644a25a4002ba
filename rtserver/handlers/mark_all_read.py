"""``mark_all_read``: I have read everything in my inbox."""

from __future__ import annotations

from typing import Any

from rtserver.client import Client
from rtserver.handlers.base import Context
from rtserver.protocol.notices import MarkAllRead


async def mark_all_read(context: Context, client: Client, request: MarkAllRead) -> dict[str, Any]:
    """Mark all of it; all clients of the user hear so."""
    owner = context.notifications.owner(client)
    return {"marked": await context.notifications.mark_all_read(owner)}
