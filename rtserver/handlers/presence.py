"""``presence``: who is in a room?"""

from __future__ import annotations

from typing import Any

from rtserver.client import Client
from rtserver.handlers.base import Context, check_look
from rtserver.protocol.errors import FORBIDDEN, RtError
from rtserver.protocol.messages import Presence
from rtserver.rooms.views import listed


async def presence(context: Context, client: Client, request: Presence) -> dict[str, Any]:
    """Answer with the members, a page at a time, and their exact number."""
    await check_look(context, client, request.room)
    if not context.grants.policy(request.room).presence:
        raise RtError(FORBIDDEN, "room: this room does not show who is in it")
    everybody = context.node.members(request.room)
    members, following = listed(everybody, request.limit, request.cursor)
    answer = {"members": members, "count": len(everybody)}
    return answer if following is None else {**answer, "next": following}
