"""``POST /api/publish`` and ``/api/publish/batch``: backends publish."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from rtserver.api.bodies import Reader
from rtserver.api.replies import Json
from rtserver.api.resource import Guard, Resource
from rtserver.protocol.publish import Publish
from rtserver.protocol.requests import Batch
from rtserver.publishing import Publishing


def publications(publishing: Publishing, reader: Reader, guard: Guard) -> Resource:
    """Return the resource."""
    resource = Resource(guard)

    @resource.post("/api/publish")
    async def publish(request: Request) -> Response:
        """Publish one."""
        return Json(await publishing.publish(await reader.model(request, Publish)))

    @resource.post("/api/publish/batch")
    async def batch(request: Request) -> Response:
        """Publish many, in order."""
        asked = await reader.model(request, Batch)
        return Json({"results": await publishing.batch(asked.publications)})

    return resource
