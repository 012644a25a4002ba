"""``POST /api/tokens/revoke``: a backend calls tokens back."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from rtserver.api.bodies import Reader
from rtserver.api.credentials import Keys
from rtserver.api.replies import Json
from rtserver.api.resource import Resource
from rtserver.node import Node
from rtserver.protocol.requests import Revoke


def tokens(node: Node, keys: Keys, reader: Reader) -> Resource:
    """Return the resource."""
    resource = Resource(keys.check)

    @resource.post("/api/tokens/revoke")
    async def endpoint(request: Request) -> Response:
        """Refuse them from now on; answer how many clients were sent away."""
        asked = await reader.model(request, Revoke)
        return Json({"revoked": await node.revoke(asked.user, asked.jti, asked.until())})

    return resource
