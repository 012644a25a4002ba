"""``broadcast``: say something and learn how many heard it."""

from __future__ import annotations

from typing import Any

from rtserver.client import Client
from rtserver.handlers.base import Context, Held, say, told
from rtserver.protocol.messages import Broadcast


async def broadcast(context: Context, client: Client, request: Broadcast) -> dict[str, Any] | Held:
    """Publish the message under ``broadcast``."""
    published = await say(context, client, "broadcast", request)
    return told(
        published,
        {
            "id": published.id,
            "offset": published.offset,
            "timestamp": published.timestamp,
            "recipients": published.recipients,
        },
    )
