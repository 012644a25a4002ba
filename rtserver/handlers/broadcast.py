"""``broadcast``: say something and learn how many heard it."""

from __future__ import annotations

from typing import Any

from rtserver.client import Client
from rtserver.handlers.base import Context, say
from rtserver.protocol.messages import Broadcast


async def broadcast(context: Context, client: Client, request: Broadcast) -> dict[str, Any]:
    """Publish the message under ``broadcast``."""
    published = await say(context, client, "broadcast", request)
    return {
        "id": published.id,
        "offset": published.offset,
        "timestamp": published.timestamp,
        "recipients": published.recipients,
    }
