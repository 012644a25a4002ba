"""Web pages that ask: those of foreign origins only when `cors.allowed_origins` has them.

A browser sends some requests of any page (https://fetch.spec.whatwg.org/#simple-header), and where the API is open
nothing else would stop them. So the origin is judged here, and not left to the browser.
"""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rtserver.protocol.errors import FORBIDDEN, RtError
from rtserver.transport.origins import Origins, cors_headers

_PREFLIGHT = [
    (b"access-control-allow-methods", b"GET, POST"),
    (b"access-control-allow-headers", b"authorization, content-type"),
    (b"access-control-max-age", b"600"),
    (b"content-length", b"0"),
]


class Judge:
    """A guard of the API: it answers no page that is not allowed."""

    def __init__(self, origins: Origins) -> None:
        self._origins = origins

    async def __call__(self, request: Request) -> None:
        """Raise `RtError` for such a page."""
        if not _allows(self._origins, request.headers):
            raise RtError(FORBIDDEN, "pages of this origin are refused; cors.allowed_origins allows more")


class Cors:
    """Lets pages that are allowed read the answers, and ask beforehand whether they may ask."""

    def __init__(self, app: ASGIApp, origins: Origins) -> None:
        self._app = app
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        if origin is None or not _allows(self._origins, headers):
            await self._app(scope, receive, send)
            return
        cors = cors_headers(origin)
        if scope["method"] == "OPTIONS" and "access-control-request-method" in headers:
            await send({"type": "http.response.start", "status": 204, "headers": cors + _PREFLIGHT})
            await send({"type": "http.response.body", "body": b""})
            return

        async def readable(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *cors]
            await send(message)

        await self._app(scope, receive, readable)


def _allows(origins: Origins, headers: Headers) -> bool:
    return origins.allows(headers.get("origin"), headers.get("host", ""))
