"""``refresh_token``: go on with a new token, before the old one expires."""

from __future__ import annotations

from typing import Any

from rtserver.client import Client
from rtserver.handlers.base import Context
from rtserver.protocol.identifiers import iso_timestamp
from rtserver.protocol.messages import RefreshToken


async def refresh_token(context: Context, client: Client, request: RefreshToken) -> dict[str, Any]:
    """Put the token in the place of the client's; rooms that only the old one opened are left."""
    before = client.identity
    identity = await context.node.credentials.renew(client, request.token)
    closed = context.grants.closed_by(before, identity, client.rooms or ())
    for room in closed:
        await context.node.leave(client, room, "token refreshed")
    expires_at = iso_timestamp(identity.expires_at) if identity.expires_at is not None else None
    return {"expires_at": expires_at, **({"left": closed} if closed else {})}
