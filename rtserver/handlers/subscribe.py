"""``subscribe``: hear what backends tell a topic."""

from __future__ import annotations

from typing import Any

from rtserver.client import Client
from rtserver.handlers.base import Context
from rtserver.protocol.errors import TOO_MANY_ROOMS, RtError
from rtserver.protocol.names import TOPIC
from rtserver.protocol.notices import Subscribe, topic_stream


async def subscribe(context: Context, client: Client, request: Subscribe) -> dict[str, Any]:
    """Let the client hear the topic; doing so twice changes nothing."""
    stream = topic_stream(request.topic)
    heard = client.subscriptions or {}
    if stream not in heard:
        context.grants.check_subscribe(client, stream)
        most = context.rooms_per_client
        if most is not None and sum(name.startswith(TOPIC) for name in heard) >= most:
            raise RtError(TOO_MANY_ROOMS, f"topic: you hear {most} topics, the most allowed")
        context.node.subscribe(client, stream)
    return {"topic": request.topic}
