"""``/metrics``: what Prometheus reads."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from rtserver.api.resource import Guard, Resource
from rtserver.telemetry.exposition import Exposition


def metrics(exposition: Exposition, key: Guard) -> Resource:
    """Return the resource."""
    resource = Resource(key)

    @resource.get("/metrics")
    async def endpoint(request: Request) -> Response:
        """Answer in the format that the reader accepts."""
        page, media_type = exposition.text(request.headers.get("accept", ""))
        return Response(page, headers={"Content-Type": media_type, "Cache-Control": "no-store"})

    return resource
