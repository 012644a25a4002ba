"""``chat``: say something to a room, or to everybody."""

from __future__ import annotations

from typing import Any

from rtserver.client import Client
from rtserver.handlers.base import Context, say
from rtserver.protocol.messages import Chat


async def chat(context: Context, client: Client, request: Chat) -> dict[str, Any]:
    """Publish the message under ``chat``."""
    published = await say(context, client, "chat", request)
    return {"id": published.id, "offset": published.offset, "timestamp": published.timestamp}
