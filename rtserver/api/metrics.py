"""``/metrics``: what Prometheus reads."""

from __future__ import annotations

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from rtserver.api.credentials import Keys
from rtserver.telemetry.exposition import Exposition


def metrics(exposition: Exposition, keys: Keys) -> APIRouter:
    """Return the resource."""
    router = APIRouter(dependencies=[Depends(keys.check)])

    @router.get("/metrics", response_class=Response)
    async def endpoint(request: Request) -> Response:
        """Answer in the format that the reader accepts."""
        page, media_type = exposition.text(request.headers.get("accept", ""))
        return Response(page, headers={"Content-Type": media_type, "Cache-Control": "no-store"})

    return router
