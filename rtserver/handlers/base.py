"""What every handler is given."""

from __future__ import annotations

from dataclasses import dataclass

from rtserver.auth.decisions import ABSENT
from rtserver.auth.grants import Grants
from rtserver.client import Client
from rtserver.hooks import Hooks
from rtserver.node import Node
from rtserver.protocol.errors import NOT_A_MEMBER, RtError
from rtserver.protocol.messages import Chat
from rtserver.publisher import Published

# What a stock client takes in one packet, and so in one answer.
MAX_BINARY = 10
MAX_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class Context:
    """The node, what clients may do, and how much of it."""

    node: Node
    grants: Grants
    rooms_per_client: int | None
    hooks: Hooks | None = None


async def check_look(context: Context, client: Client, room: str) -> None:
    """Raise `RtError` when the client may not see who is in the room, or what was said there."""
    context.grants.check_look(client, room)
    if context.hooks is not None and (client.rooms is None or room not in client.rooms):
        await context.hooks.join(client, room)


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
