"""What every handler is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from rtserver.auth.decisions import ABSENT
from rtserver.auth.grants import Grants
from rtserver.client import Client
from rtserver.hooks import Hooks
from rtserver.node import Node
from rtserver.notifications import Notifications
from rtserver.protocol.errors import NOT_A_MEMBER, ROOM_FULL, TOO_MANY_ROOMS, RtError
from rtserver.protocol.messages import Chat
from rtserver.publisher import Published
from rtserver.webhooks.journal import Receipt

# What a stock client takes in one packet, and so in one answer.
MAX_BINARY = 10
MAX_BYTES = 1_000_000


class Held(NamedTuple):
    """An answer that is given when its receipt is settled: as it is, or as an error when nothing was committed."""

    body: dict[str, Any]
    receipt: Receipt


@dataclass(frozen=True, slots=True)
class Context:
    """The node, what clients may do and how much of it, and the inboxes."""

    node: Node
    grants: Grants
    rooms_per_client: int | None
    notifications: Notifications
    hooks: Hooks | None = None


def told(published: Published, body: dict[str, Any]) -> dict[str, Any] | Held:
    """Return the answer to a publication, which may have to wait until backends are sure to hear of it."""
    return body if published.receipt is None else Held(body, published.receipt)


async def check_look(context: Context, client: Client, room: str) -> None:
    """Raise `RtError` when the client may not see who is in the room, or what was said there."""
    context.grants.check_look(client, room)
    if context.hooks is not None and (client.rooms is None or room not in client.rooms):
        await context.hooks.join(client, room)


def check_place(context: Context, client: Client, room: str) -> None:
    """Raise `RtError` when the client is in as many rooms as it may, or the room is full."""
    most = context.rooms_per_client
    if most is not None and len(client.rooms or ()) >= most:
        raise RtError(TOO_MANY_ROOMS, f"room: the client is in {most} rooms, the most allowed")
    check_space(context, client, room)


def check_space(context: Context, client: Client, room: str) -> None:
    """Raise `RtError` when the room has as many members as it may, and the client is not one of them."""
    full = context.grants.policy(room).max_members
    registry = context.node.registry
    if full is not None and registry.count(room) >= full and registry.member(room, client.client_id) is None:
        raise RtError(ROOM_FULL, f"room: the room has {full} members, the most allowed")


async def say(context: Context, client: Client, event: str, request: Chat) -> Published:
    """Publish a client's message under *event*, if it may."""
    context.grants.check_publish(client, request.room)
    extra = request.extra_data()
    if context.hooks is not None:
        data = await context.hooks.publish(client, request.room, event, request.message, extra)
        # Much can happen while a backend thinks.
        if not client.live:
            raise RtError(NOT_A_MEMBER, "room: you are gone")
        context.grants.check_publish(client, request.room)
        extra = extra if data is ABSENT else {"data": data}
    return await context.node.say(
        request.room,
        event,
        request.message,
        sender=client,
        skip=() if request.echo else (client.sid,),
        **extra,
    )
