"""``private``: say something to one client_id, on all its connections."""

from __future__ import annotations

from typing import Any

from rtserver.client import Client
from rtserver.fanout import Message
from rtserver.handlers.base import Context
from rtserver.protocol.errors import NOT_FOUND, RtError
from rtserver.protocol.messages import Private


async def private(context: Context, client: Client, request: Private) -> dict[str, Any]:
    """Deliver the message to whoever is called so."""
    node = context.node
    message_id, timestamp = node.clock.identifier(), node.clock.timestamp()
    body = {
        "id": message_id,
        "sender": client.client_id,
        "username": client.name,
        "to": request.to,
        "message": request.message,
        **request.extra_data(),
        "timestamp": timestamp,
    }
    delivered = node.emit_to(request.to, Message("private", body))
    if not delivered:
        raise RtError(NOT_FOUND, "to: nobody is connected under this client_id")
    node.metrics.messages["private"] += 1
    return {"id": message_id, "timestamp": timestamp, "delivered": delivered}
