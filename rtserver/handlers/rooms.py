"""``rooms``: where am I?"""

from __future__ import annotations

from typing import Any

from rtserver.client import Client
from rtserver.handlers.base import Context
from rtserver.protocol.messages import Rooms


async def rooms(context: Context, client: Client, request: Rooms) -> dict[str, Any]:
    """Answer with the names of the rooms the client joined, in that order."""
    return {"rooms": list(client.rooms or ())}
