"""``chat``: say something to a room, or to everybody."""

from __future__ import annotations

from typing import Any

from rtserver.client import Client
from rtserver.handlers.base import Context, Held, say, told
from rtserver.protocol.messages import Chat


async def chat(context: Context, client: Client, request: Chat) -> dict[str, Any] | Held:
    """Publish the message under ``chat``."""
    published = await say(context, client, "chat", request)
    return told(published, {"id": published.id, "offset": published.offset, "timestamp": published.timestamp})
