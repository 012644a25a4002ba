"""``/healthz`` and ``/readyz``: is the process alive, and may it be sent clients?"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from rtserver.protocol.errors import SERVER_DRAINING, RtError

Endpoint = Callable[[Request], Awaitable[Response]]


async def healthz(request: Request) -> Response:
    """Answer 200 as long as the process can answer at all."""
    return JSONResponse({"status": "ok"})


def readyz(draining: Callable[[], bool]) -> Endpoint:
    """Return the endpoint: 200, or 503 while the server is draining."""

    async def endpoint(request: Request) -> Response:
        if draining():
            raise RtError(SERVER_DRAINING, "the server is stopping")
        return JSONResponse({"status": "ready"})

    return endpoint
