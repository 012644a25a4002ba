"""``/openapi.json``, ``/asyncapi.json``, and ``/docs``, a page that shows both and loads nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from rtserver.api.replies import Json
from rtserver.api.resource import Resource
from rtserver.protocol.plain import plain_json
from rtserver.schemas.asyncapi import asyncapi
from rtserver.schemas.openapi import openapi

_DOCS = Path(__file__).parent / "docs"
_FILES = {
    "/docs": ("index.html", "text/html"),
    "/docs/docs.js": ("docs.js", "text/javascript"),
    "/docs/docs.css": ("docs.css", "text/css"),
}
_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}


def documents(*, open_to_all: bool) -> Resource:
    """Return the resource. It says nothing that is not the same for every server, so it asks for no key."""
    resource = Resource()
    _document(resource, "/openapi.json", lambda: openapi(open_to_all=open_to_all))
    _document(resource, "/asyncapi.json", asyncapi)
    for path, (name, kind) in _FILES.items():
        _file(resource, path, name, kind)
    return resource


def _document(resource: Resource, path: str, make: Callable[[], dict[str, Any]]) -> None:
    # Made when it is first asked for: a server that nobody asks starts sooner.
    body = lru_cache(maxsize=1)(lambda: plain_json(make()))

    @resource.get(path)
    async def endpoint(request: Request) -> Response:
        return Response(body(), media_type=Json.media_type, headers={"cache-control": "no-cache"})


def _file(resource: Resource, path: str, name: str, kind: str) -> None:
    body = lru_cache(maxsize=1)((_DOCS / name).read_bytes)

    @resource.get(path)
    async def endpoint(request: Request) -> Response:
        return Response(body(), media_type=kind, headers=_HEADERS)
