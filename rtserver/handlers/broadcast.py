"""``broadcast``: say something and learn how many heard it."""

from __future__ import annotations

from typing import Any

from rtserver.client import Client
from rtserver.handlers.base import Context
from rtserver.protocol.messages import Broadcast


async def broadcast(context: Context, client: Client, request: Broadcast) -> dict[str, Any]:
    """Publish the message under ``broadcast``."""
    context.grants.check_publish(client, request.room)
    published = await context.node.say(
        request.room,
        "broadcast",
        request.message,
        sender=client,
        skip=() if request.echo else (client.sid,),
        **request.extra_data(),
    )
    return {
        "id": published.id,
        "offset": published.offset,
        "timestamp": published.timestamp,
        "recipients": published.recipients,
    }
