"""Who is where: rooms, their members, clients and users, as backends look them up."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from typing import Any, NamedTuple

from rtserver.client import Client
from rtserver.node import Node
from rtserver.protocol.errors import NOT_FOUND, RtError
from rtserver.protocol.identifiers import iso_timestamp
from rtserver.rooms.stream import Page
from rtserver.rooms.views import fitting, listed

# What one answer with history holds, about, in bytes. Binary is text in it, so its number does not matter.
MAX_BYTES = 4_000_000
_ANY_NUMBER = 1 << 30


class Past(NamedTuple):
    """A page of a room's history, and the offset before which to go on when there is more."""

    page: Page
    next: int | None


class Directory:
    """Every question is a coroutine: what other nodes know is asked of them."""

    def __init__(self, node: Node) -> None:
        self._node = node

    async def rooms(self, limit: int, cursor: str | None) -> tuple[dict[str, int], str | None]:
        """Return rooms that have members, with their number, by name after *cursor*; and the next cursor."""
        registry = self._node.registry
        names, following = _page(registry, limit, cursor)
        return {name: registry.count(name) for name in names}, following

    async def room(self, room: str) -> dict[str, Any]:
        """Return ``{room, count, offset}``."""
        page = await self._node.latest(room, 0)
        return {"room": room, "count": self._node.occupancy(room), "offset": page.offset}

    async def members(
        self, room: str, limit: int, cursor: str | None
    ) -> tuple[list[dict[str, Any]], int, str | None]:
        """Return members, how many there are in all, and the next cursor."""
        everybody = self._node.members(room)
        members, following = listed(everybody, limit, cursor)
        return members, len(everybody), following

    async def history(self, room: str, limit: int, since: int | None, before: int | None) -> Past:
        """Return the latest publications after *since* and before *before*."""
        # One more than asked for tells whether there are more.
        if since is not None:
            page = await self._node.after(room, since, limit + 1, before)
        else:
            page = await self._node.latest(room, limit + 1, before)
        publications = page.publications[-limit:]
        shown = fitting(page._replace(publications=publications), _ANY_NUMBER, MAX_BYTES)
        if since is None:
            shown = shown._replace(complete=page.complete)
        if len(shown.publications) == len(page.publications):
            return Past(shown, None)
        first = shown.publications[0].offset if shown.publications else None
        return Past(shown._replace(complete=since is None and shown.complete), first)

    async def clients(self, limit: int, cursor: str | None) -> tuple[list[dict[str, Any]], int, str | None]:
        """Return connections by sid after *cursor*, how many there are in all, and the next cursor."""
        everybody = {client.sid: client for client in self._node.everybody()}
        sids, following = _page(everybody, limit, cursor)
        return [shown(everybody[sid]) for sid in sids], len(everybody), following

    async def client(self, sid: str) -> dict[str, Any]:
        """Return a connection; raise `RtError` when it is not there."""
        return shown(self.find(sid))

    async def user(self, user: str) -> dict[str, Any]:
        """Return what is known of a client_id: its connections and their rooms."""
        clients = [shown(client) for client in self._node.connections_of(user)]
        rooms = dict.fromkeys(room for client in clients for room in client["rooms"])
        return {"user": user, "connected": bool(clients), "clients": clients, "rooms": list(rooms)}

    def find(self, sid: str) -> Client:
        """Return the connection; raise `RtError` when it is not there."""
        client = self._node.find(sid)
        if client is None:
            raise RtError(NOT_FOUND, "sid: there is no such connection")
        return client


def shown(client: Client) -> dict[str, Any]:
    """Return a connection as backends see it."""
    return {
        "sid": client.sid,
        "client_id": client.client_id,
        "user_id": client.user,
        "name": client.name,
        "verified": client.verified,
        "session_id": client.session_id,
        "namespace": client.namespace,
        "transport": client.session.lane.name,
        "ip": client.ip,
        "connected_at": iso_timestamp(client.connected_at),
        "rooms": list(client.rooms or ()),
    }


def _page(names: Iterable[str], limit: int, cursor: str | None) -> tuple[list[str], str | None]:
    """Return the first names after *cursor*, without sorting all of them, and the cursor of the next page."""
    page = heapq.nsmallest(limit + 1, (name for name in names if cursor is None or name > cursor))
    return page[:limit], page[limit - 1] if len(page) > limit else None
