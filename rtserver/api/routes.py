"""The HTTP application: which path is answered by what. The only place where errors become HTTP replies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from rtserver.api.cors import Cors, Judge
from rtserver.api.health import healthz, readyz
from rtserver.api.pages import WEB, DemoPage
from rtserver.api.resource import Resource
from rtserver.protocol.errors import BAD_REQUEST, NOT_FOUND, SERVER_ERROR, RtError
from rtserver.telemetry.log import logger
from rtserver.transport.origins import Origins

_log = logger("api")


def build(
    *,
    unready: Callable[[], RtError | None],
    detail: Callable[[], Mapping[str, Any]] = dict,
    demo: bool,
    resources: Sequence[Resource] = (),
    origins: Origins | None = None,
    refused: Counter[str] | None = None,
) -> FastAPI:
    """Return the application.

    *unready* says why no clients should come, *detail* what else ``/readyz`` tells; *demo* puts the demo page at
    ``/`` when it was built; pages of other origins than *origins* may not use *resources*; *refused* counts what was
    refused, by reason.
    """
    origins = origins or Origins(())
    app = FastAPI(
        openapi_url=None,
        redirect_slashes=False,
        middleware=[Middleware(Cors, origins)],
        exception_handlers={
            RtError: partial(_refused, Counter() if refused is None else refused),
            HTTPException: _http_error,
            Exception: _failed,
        },
    )
    judge = Judge(origins)
    app.add_route("/healthz", healthz)
    app.add_route("/readyz", readyz(unready, detail))
    for resource in resources:
        resource.watch(judge)
        app.router.routes.extend(resource.routes)
    if demo and WEB.is_dir():
        # Not a route: it would match before it is clear that a path is right and its method wrong.
        app.router.default = DemoPage()
    return app


async def _refused(counted: Counter[str], request: Request, error: Exception) -> Response:
    assert isinstance(error, RtError)
    counted[error.reason.reason] += 1
    headers = {"Retry-After": str(round(error.retry_after or 1))} if error.reason.reconnect else {}
    if error.reason.http_status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse({"error": error.body()}, error.reason.http_status, headers)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        body = RtError(NOT_FOUND, f"there is nothing at {request.url.path[:200]}").body()
    else:
        body = RtError(BAD_REQUEST, error.detail).body()
    return JSONResponse({"error": body}, error.status_code, dict(error.headers or {}))


async def _failed(request: Request, error: Exception) -> Response:
    _log.error("request failed", path=request.url.path, exc_info=error)
    return JSONResponse({"error": RtError(SERVER_ERROR, "the server failed").body()}, 500)
