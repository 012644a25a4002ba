"""The demo page: static files out of the package, with headers that let it load nothing from elsewhere."""

from __future__ import annotations

from pathlib import Path

from starlette.staticfiles import StaticFiles
from starlette.types import Message, Receive, Scope, Send

WEB = Path(__file__).parent.parent / "web"

_POLICY = (
    b"default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data:; "
    b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = [
    (b"content-security-policy", _POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
]


class DemoPage:
    """An ASGI application that serves the folder *web*."""

    def __init__(self, web: Path = WEB) -> None:
        self._files = StaticFiles(directory=web, html=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one file."""

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                # Names under assets/ carry a hash of their content, so they never change.
                hashed = "/assets/" in scope["path"] and message["status"] == 200
                cache = b"public, max-age=31536000, immutable" if hashed else b"no-cache"
                message["headers"] = [*message["headers"], *_HEADERS, (b"cache-control", cache)]
            await send(message)

        await self._files(scope, receive, guarded)
