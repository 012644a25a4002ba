"""What a node that died could not say any more: the last events of its clients. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from rtserver.store.base import Lost, SessionRoom
from rtserver.webhooks.journal import Effect

NODE_LOST = "node_lost"


class Farewell(NamedTuple):
    """An event that is due, with what it is ordered by and what it changes."""

    type: str
    data: dict[str, Any]
    room: str | None
    client: str
    effect: Effect


def farewells(lost: Lost, connections: int, members: Callable[[str], int]) -> Iterator[Farewell]:
    """Yield what its clients' backends were not told, rooms first.

    *connections* and *members* count who is connected, and in a room, beside those that were lost.
    """
    inside: dict[str, set[str]] = defaultdict(set)
    for session in lost.sessions:
        for room in lost.rooms.get(session.id, ()):
            inside[room].add(session.about["client_id"])
    for number, session in enumerate(lost.sessions):
        about = session.about
        client = about["client_id"]
        who = {
            "client_id": client,
            "user_id": about["user_id"],
            "sid": about["sid"],
            "session_id": session.id,
        }
        for room in lost.rooms.get(session.id, ()):
            yield from _leave(inside[room], room, client, session.id, who, members(room))
        data = {
            "remaining_connections": connections + len(lost.sessions) - number - 1,
            **who,
            "reason": NODE_LOST,
            "duration_s": round(max(lost.seen_at - about["connected_at"], 0.0), 3),
            "lost_node": lost.node,
        }
        yield Farewell("client-disconnected", data, None, client, Effect(closed=session.id))


def _leave(
    inside: set[str], room: str, client: str, session: str, who: dict[str, Any], others: int
) -> Iterator[Farewell]:
    effect = Effect(left=SessionRoom(session, room))
    if client not in inside:
        # Another session of the same member has taken it out already.
        return
    inside.discard(client)
    count = len(inside) + others
    yield Farewell(
        "room-left", {"room": room, **who, "count": count, "reason": NODE_LOST}, room, client, effect
    )
    if not count:
        yield Farewell("room-vacated", {"room": room}, room, client, effect)
