"""``join``: enter a room."""

from __future__ import annotations

from typing import Any

from rtserver.client import Client
from rtserver.handlers.base import MAX_BINARY, MAX_BYTES, Context, check_place
from rtserver.protocol.messages import Join
from rtserver.rooms.views import fitting, listed, shown

MEMBERS_SHOWN = 100


async def join(context: Context, client: Client, request: Join) -> dict[str, Any]:
    """Make the client a member and answer with who is there and what was said."""
    room = request.room
    if client.rooms is None or room not in client.rooms:
        _check(context, client, room)
        if context.hooks is not None:
            await context.hooks.join(client, room)
            # Others may have come while the backend thought.
            _check(context, client, room)
    count = await context.node.join(client, room)
    if request.since is not None:
        page = await context.node.after(room, request.since, request.history or 1000)
    else:
        page = await context.node.latest(room, request.history or 0)
    page = fitting(page, MAX_BINARY, MAX_BYTES)
    presence = context.grants.policy(room).presence
    members, _ = listed(context.node.members(room), MEMBERS_SHOWN, None) if presence else ([], None)
    return {
        "room": room,
        "members": members,
        "count": count,
        "offset": page.offset,
        "history": [shown(publication, room) for publication in page.publications],
        "recovered": request.since is not None and page.complete,
    }


def _check(context: Context, client: Client, room: str) -> None:
    context.grants.check_join(client, room)
    check_place(context, client, room)
