"""``/api/webhooks/deliveries``: what became of webhook events, and another try for them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Iterator

from starlette.requests import Request
from starlette.responses import Response

from rtserver.api.bodies import query
from rtserver.api.replies import Json
from rtserver.api.resource import Guard, Resource
from rtserver.protocol import requests
from rtserver.protocol.errors import NOT_FOUND, SERVER_ERROR, RtError
from rtserver.store.base import Steering, StoreError
from rtserver.webhooks.listing import listed


def deliveries(steering: Steering, targets: Collection[str], guard: Guard) -> Resource:
    """Return the resource; *targets* are the names of those that are configured."""
    resource = Resource(guard)

    @resource.get("/api/webhooks/deliveries")
    async def page(request: Request) -> Response:
        """Answer a page of the deliveries, the newest first."""
        asked = query(request, requests.Deliveries)
        with _store():
            found = await steering.listed(asked.state, asked.target, asked.limit + 1, asked.cursor)
        if not found and asked.target is not None and asked.target not in targets:
            raise RtError(NOT_FOUND, f"target: there is none of that name; {_known(targets)}")
        more = len(found) > asked.limit
        shown = found[: asked.limit]
        return Json(
            {
                "deliveries": [listed(delivery) for delivery in shown],
                "next": str(shown[-1].position) if more else None,
            }
        )

    @resource.post("/api/webhooks/deliveries/{id:rest}/retry")
    async def retry(request: Request) -> Response:
        """Make a delivery, or all of an event's, due now."""
        with _store():
            found = await steering.find(request.path_params["id"])
            if not found:
                raise RtError(NOT_FOUND, "id: there is no such delivery")
            return Json({"retried": await steering.retry(found, time.time())})

    return resource


def _known(targets: Collection[str]) -> str:
    return f"there are {', '.join(targets)}" if targets else "there are none at all"


@contextlib.contextmanager
def _store() -> Iterator[None]:
    try:
        yield
    except StoreError as error:
        raise RtError(SERVER_ERROR, f"the store fails: {error}") from error
