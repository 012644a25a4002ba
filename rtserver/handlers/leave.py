"""``leave``: go out of a room."""

from __future__ import annotations

from typing import Any

from rtserver.client import Client
from rtserver.handlers.base import Context
from rtserver.protocol.errors import NOT_A_MEMBER, RtError
from rtserver.protocol.messages import Leave


async def leave(context: Context, client: Client, request: Leave) -> dict[str, Any]:
    """Take the client out of the room."""
    if client.rooms is None or request.room not in client.rooms:
        raise RtError(NOT_A_MEMBER, "room: you are not in this room")
    await context.node.leave(client, request.room)
    return {"room": request.room}
