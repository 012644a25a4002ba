"""``chat``: say something to a room, or to everybody."""

from __future__ import annotations

from typing import Any

from rtserver.client import Client
from rtserver.handlers.base import Context
from rtserver.protocol.messages import Chat


async def chat(context: Context, client: Client, request: Chat) -> dict[str, Any]:
    """Publish the message under ``chat``."""
    context.grants.check_publish(client, request.room)
    published = await context.node.say(
        request.room,
        "chat",
        request.message,
        sender=client,
        skip=() if request.echo else (client.sid,),
        **request.extra_data(),
    )
    return {"id": published.id, "offset": published.offset, "timestamp": published.timestamp}
