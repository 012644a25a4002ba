"""``unsubscribe``: hear a topic no longer."""

from __future__ import annotations

from typing import Any

from rtserver.client import Client
from rtserver.handlers.base import Context
from rtserver.protocol.notices import Subscribe, topic_stream


async def unsubscribe(context: Context, client: Client, request: Subscribe) -> dict[str, Any]:
    """Undo ``subscribe``; a topic that the client does not hear is no error."""
    context.node.unsubscribe(client, topic_stream(request.topic))
    return {"topic": request.topic}
