"""What requests carry, read within bounds: JSON, a form, or a query, as a model of the protocol."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from rtserver.protocol import messages
from rtserver.protocol.errors import BAD_REQUEST, MESSAGE_TOO_LARGE, RtError

# How long a body may take to arrive, in seconds.
PATIENCE = 30.0
_MOST_FIELDS = 100
_JSON = "application/json"
_FORM, _MULTIPART = "application/x-www-form-urlencoded", "multipart/form-data"

M = TypeVar("M", bound=messages.Message)


class Reader:
    """Reads bodies of at most *limit* bytes. Every method raises `RtError` for what is wrong with the request."""

    def __init__(self, limit: int) -> None:
        self._limit = limit

    async def model(self, request: Request, model: type[M], *, optional: bool = False) -> M:
        """Return the body, an object in JSON or a form, as *model*; one that is *optional* may be empty."""
        body = await self._body(request)
        if optional and not body:
            return messages.parse(model, {})
        kind = _kind(request)
        # What curl sends as a form when nobody tells it that this is JSON.
        if kind == _FORM and not body.lstrip().startswith(b"{"):
            fields: Any = _fields(_pairs(body))
        elif kind == _MULTIPART:
            fields = _fields(await _parts(request, body))
        else:
            fields = _json(_JSON if kind == _FORM else kind, body)
        return messages.parse(model, fields)

    async def json(self, request: Request) -> Any:
        """Return the body, which must be JSON."""
        body, kind = await self._body(request), _kind(request)
        return _json(_JSON if kind == _FORM else kind, body)

    async def _body(self, request: Request) -> bytes:
        body = bytearray()
        try:
            async with asyncio.timeout(PATIENCE):
                async for chunk in request.stream():
                    body += chunk
                    if len(body) > self._limit:
                        raise RtError(MESSAGE_TOO_LARGE, f"the body has more than {self._limit} bytes")
        except (TimeoutError, ClientDisconnect):
            raise RtError(BAD_REQUEST, "the body did not arrive whole") from None
        return bytes(body)


def query(request: Request, model: type[M], *others: str) -> M:
    """Return the query as *model*; *others* are parameters that belong to somebody else."""
    pairs = [(name, value) for name, value in request.query_params.multi_items() if name not in others]
    return messages.parse_texts(model, _once(pairs))


def _kind(request: Request) -> str:
    return request.headers.get("content-type", _JSON).partition(";")[0].strip().lower()


def _json(kind: str, body: bytes) -> Any:
    if kind != _JSON and not kind.endswith("+json"):
        raise RtError(BAD_REQUEST, "content-type: must be application/json or that of a form")
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RtError(BAD_REQUEST, f"the body must be JSON ({error.msg})") from None


def _pairs(body: bytes) -> Sequence[tuple[str, str]]:
    try:
        return parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS)
    except ValueError as error:
        raise RtError(BAD_REQUEST, f"the form cannot be read ({error})") from None


def _fields(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Return a form's fields; ``data`` is JSON in it, or a text when it is not."""
    fields: dict[str, Any] = dict(_once(pairs))
    if "data" in fields:
        with contextlib.suppress(ValueError):
            fields["data"] = orjson.loads(fields["data"])
    return fields


def _once(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for name, value in pairs:
        if name in fields:
            raise RtError(BAD_REQUEST, f"{name[:200]}: is there twice")
        fields[name] = value
    return fields


async def _parts(request: Request, body: bytes) -> Sequence[tuple[str, str]]:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    again = Request(request.scope, receive)
    form = await again.form(max_files=0, max_fields=_MOST_FIELDS, max_part_size=len(body))
    return [(name, str(value)) for name, value in form.multi_items()]
