"""``/healthz`` and ``/readyz``: is the process alive, and may it be sent clients?"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from rtserver.protocol.errors import RtError

Endpoint = Callable[[Request], Awaitable[Response]]


async def healthz(request: Request) -> Response:
    """Answer 200 as long as the process can answer at all."""
    return JSONResponse({"status": "ok"})


def readyz(unready: Callable[[], RtError | None], detail: Callable[[], Mapping[str, Any]] = dict) -> Endpoint:
    """Return the endpoint: 200, with *detail* that stops nobody, or 503 with why clients should be sent elsewhere."""

    async def endpoint(request: Request) -> Response:
        why = unready()
        if why is not None:
            # Whatever its own status is: this one is what load balancers understand.
            return JSONResponse({"error": why.body()}, 503, {"Retry-After": "1"})
        return JSONResponse({"status": "ready", **detail()})

    return endpoint
