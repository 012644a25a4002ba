"""``history``: what was said in a room?"""

from __future__ import annotations

from typing import Any

from rtserver.client import Client
from rtserver.handlers.base import MAX_BINARY, MAX_BYTES, Context, check_look
from rtserver.protocol.messages import History
from rtserver.rooms.views import fitting, shown


async def history(context: Context, client: Client, request: History) -> dict[str, Any]:
    """Answer with publications, oldest first, and whether any are missing since the offset asked for."""
    room = request.room
    await check_look(context, client, room)
    if request.since is not None:
        page = await context.node.after(room, request.since, request.limit, request.before)
    else:
        page = await context.node.latest(room, request.limit, request.before)
    page = fitting(page, MAX_BINARY, MAX_BYTES)
    return {
        "messages": [shown(publication, room) for publication in page.publications],
        "offset": page.offset,
        "complete": page.complete,
    }
