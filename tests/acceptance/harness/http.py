"""A backend's HTTP client: real connections, and answers held against the models they are described by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from rtserver.protocol.shape import Shape

from .server import Server
from .shapes import ERRORS, check_keys


class Backend:
    """Asks one server, with a key or without."""

    def __init__(self, server: Server, key: str | None = None) -> None:
        self._client = httpx.AsyncClient(base_url=server.url, trust_env=False, timeout=10)
        if key is not None:
            self._client.headers["authorization"] = f"Bearer {key}"

    async def __aenter__(self) -> Backend:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._client.aclose()

    async def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        """One request."""
        return await self._client.request(method, path, **more)

    async def get(self, path: str, answer: type[Shape], **query: Any) -> dict[str, Any]:
        """What GET answers, which has to be 200 and to look like *answer*."""
        return _checked(await self.ask("GET", path, params=query), answer)

    async def post(self, path: str, answer: type[Shape], body: Any = None) -> dict[str, Any]:
        """What POST answers, in the same way."""
        more = {} if body is None else {"json": body}
        return _checked(await self.ask("POST", path, **more), answer)


def _checked(response: httpx.Response, answer: type[Shape]) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    answer.model_validate(body)
    return dict(body)


def check_error(response: httpx.Response, status: int, reason: str, *named: str) -> None:
    """An error as in section 6; its message names what it is about."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    check_keys("an error", body, {"error"})
    check_item_error(body, reason, *named)


def check_item_error(result: Mapping[str, Any], reason: str, *named: str) -> None:
    """The same, in the place of one result of a batch."""
    error = result["error"]
    check_keys("an error", error, {"code", "reason", "message"}, {"retry_after"})
    assert (error["reason"], error["code"]) == (reason, ERRORS[reason]), error
    for name in named:
        assert name in error["message"], f"{name!r} is not named: {error}"
