"""``ping``: is the server there, and how long does it take?"""

from __future__ import annotations

from typing import Any

from rtserver.client import Client
from rtserver.handlers.base import Context


async def ping(context: Context, client: Client, request: object) -> dict[str, Any]:
    """Answer with the server's time."""
    return {"pong": True, "timestamp": context.node.clock.timestamp()}
