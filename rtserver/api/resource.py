"""Routes of the HTTP API that are watched by one guard, and whose parameters are whole segments of the path.

Lean on purpose: a plain route of Starlette. What FastAPI's routes do for parameters and bodies costs more than
publishing does, and our own readers do it here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import unquote

from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route
from starlette.types import Scope

from rtserver.protocol.errors import BAD_REQUEST, RtError
from rtserver.protocol.names import normal_name

Endpoint = Callable[[Request], Awaitable[Response]]
Guard = Callable[[Request], Awaitable[None]]
"""Raises `RtError` for a request that is to be refused."""

# In the place of a slash that is part of a name, while a path is matched. No name can hold it.
_SLASH, _NUL = "\0", "\1"


class Rest(Convertor[str]):
    """``{name:rest}``: any number of segments, of any characters. Starlette's own ``path`` stops at a line end."""

    regex = r"[\s\S]*"

    def convert(self, value: str) -> str:
        """Return what is in the path."""
        return value

    def to_string(self, value: str) -> str:
        """Return it as it goes into a path."""
        return value


register_url_convertor("rest", Rest())


class SegmentRoute(Route):
    """A route that can tell ``/a%2Fb`` from ``/a/b``: names may have slashes in them, and are encoded then."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """See `Route.matches`."""
        raw = scope.get("raw_path") or b""
        if scope["type"] != "http" or b"%2f" not in raw.lower():
            return super().matches(scope)
        segments = [unquote(segment).replace(_SLASH, _NUL) for segment in raw.decode("latin-1").split("/")]
        path = "/".join(segment.replace("/", _SLASH) for segment in segments)
        match, child = super().matches({**scope, "path": path})
        if match is not Match.NONE:
            given: dict[str, Any] = child["path_params"]
            child["path_params"] = {name: value.replace(_SLASH, "/") for name, value in given.items()}
        return match, child


class Resource:
    """Some routes, and the guard that every request to them has to pass."""

    def __init__(self, *guards: Guard) -> None:
        self._guards = guards
        self.routes: list[BaseRoute] = []

    def watch(self, guard: Guard) -> None:
        """Let every request pass *guard* as well, before the others."""
        self._guards = (guard, *self._guards)

    def get(self, path: str) -> Callable[[Endpoint], Endpoint]:
        """Let the function answer GET (and HEAD)."""
        return self._register(path, "GET")

    def post(self, path: str) -> Callable[[Endpoint], Endpoint]:
        """Let the function answer POST."""
        return self._register(path, "POST")

    def _register(self, path: str, method: str) -> Callable[[Endpoint], Endpoint]:
        def register(endpoint: Endpoint) -> Endpoint:
            async def guarded(request: Request) -> Response:
                for guard in self._guards:
                    await guard(request)
                return await endpoint(request)

            self.routes.append(SegmentRoute(path, guarded, methods=[method]))
            return endpoint

        return register


def named(request: Request, parameter: str) -> str:
    """Return the name in the path; raise `RtError` when it is none."""
    try:
        return normal_name(request.path_params[parameter])
    except ValueError as error:
        raise RtError(BAD_REQUEST, f"{parameter}: {error}") from None
