"""``POST /api/tokens/revoke``: a backend calls tokens back."""

from __future__ import annotations

from fastapi import APIRouter, Depends
from starlette.requests import Request

from rtserver.api.bodies import Reader
from rtserver.api.credentials import Keys
from rtserver.api.replies import Json
from rtserver.node import Node
from rtserver.protocol.requests import Revoke


def tokens(node: Node, keys: Keys, reader: Reader) -> APIRouter:
    """Return the resource."""
    router = APIRouter(dependencies=[Depends(keys.check)])

    @router.post("/api/tokens/revoke", response_class=Json)
    async def endpoint(request: Request) -> Json:
        """Refuse them from now on; answer how many clients were sent away."""
        asked = await reader.model(request, Revoke)
        return Json({"revoked": await node.revoke(asked.user, asked.jti, asked.until())})

    return router
