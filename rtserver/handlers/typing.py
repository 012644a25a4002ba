"""``typing``: show others in the room that one writes, or stopped."""

from __future__ import annotations

from typing import Any

from rtserver.client import Client
from rtserver.fanout import Message
from rtserver.handlers.base import Context
from rtserver.protocol.errors import NOT_A_MEMBER, RtError
from rtserver.protocol.messages import Typing


async def typing(context: Context, client: Client, request: Typing) -> dict[str, Any]:
    """Tell the others; nothing is stored."""
    if client.rooms is None or request.room not in client.rooms:
        raise RtError(NOT_A_MEMBER, "room: you are not in this room")
    body = {
        "room": request.room,
        "client_id": client.client_id,
        "username": client.name,
        "is_typing": request.is_typing,
    }
    context.node.signal(request.room, Message("user_typing", body), skip=(client.sid,))
    return {}
