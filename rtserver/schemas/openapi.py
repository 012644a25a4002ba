"""The HTTP API, and every webhook, as an OpenAPI 3.1 document (https://spec.openapis.org/oas/v3.1.1.html)."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any

from rtserver.protocol import answers, notices
from rtserver.protocol.errors import (
    BAD_REQUEST,
    FORBIDDEN,
    MESSAGE_TOO_LARGE,
    SERVER_ERROR,
    TOKEN_EXPIRED,
    TOKEN_REVOKED,
    UNAUTHORIZED,
    Reason,
)
from rtserver.schemas.hooks import hook_models, hooks
from rtserver.schemas.models import NAME, components, parameters, reference
from rtserver.schemas.operations import OPERATIONS, Operation
from rtserver.version import __version__

_ABOUT = (
    "Rooms, presence, history, notifications and webhooks over HTTP. "
    "Errors have one body, and a closed list of reasons."
)
_OPEN = " This server runs with `auth.mode: none`: it asks nobody for a key."


def openapi(*, open_to_all: bool = False) -> dict[str, Any]:
    """Return the document, of a server that is *open_to_all* or wants keys and tokens."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "rtserver",
            "version": __version__,
            "description": _ABOUT + (_OPEN if open_to_all else ""),
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "paths": _paths(open_to_all),
        "webhooks": hooks(),
        "components": {
            "schemas": components(_models()),
            **({} if open_to_all else {"securitySchemes": _SCHEMES}),
        },
    }


_SCHEMES = {
    "key": {"type": "http", "scheme": "bearer", "description": "A key of `api.keys`."},
    "token": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "The user's own token.",
    },
}
_SCHEME_OF = {"backend": "key", "user": "token"}


def _models() -> list[Any]:
    bodies = [operation.body for operation in OPERATIONS if not isinstance(operation.body, str | None)]
    return [answers.Error, *bodies, *(operation.answer for operation in OPERATIONS), *hook_models()]


def _paths(open_to_all: bool) -> dict[str, Any]:
    paths: dict[str, Any] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = _operation(operation, open_to_all)
    return paths


def _operation(operation: Operation, open_to_all: bool) -> dict[str, Any]:
    asked = [*_in_path(operation), *(parameters(operation.query) if operation.query is not None else ())]
    if open_to_all and operation.who == "user":
        asked.append({"name": "client_id", "in": "query", "required": True, "schema": NAME})
    said: dict[str, Any] = {
        "operationId": operation.name,
        "tags": [operation.tag],
        "summary": operation.summary,
        "responses": _responses(operation, bool(asked), open_to_all),
    }
    if asked:
        said["parameters"] = asked
    if operation.body is not None:
        said["requestBody"] = _body(operation)
    if not open_to_all and operation.who != "anybody":
        said["security"] = [{_SCHEME_OF[operation.who]: []}]
    return said


def _in_path(operation: Operation) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": _PARAMETERS.get(name, NAME)}
        if operation.tag != "webhooks"
        else {"name": name, "in": "path", "required": True, "schema": _DELIVERY}
        for name in re.findall(r"{(\w+)}", operation.path)
    ]


_PARAMETERS = {"sid": {"type": "string", "minLength": 1, "description": "The connection, as `socket.id`."}}
_DELIVERY = {
    "type": "string",
    "minLength": 1,
    "description": "A delivery, `EVENT/TARGET` with its slash encoded, or an event: all its deliveries.",
}

_NOTICE_FORM = {
    "type": "object",
    "additionalProperties": False,
    "required": ["title", "message"],
    "properties": {
        "title": {"type": "string"},
        "message": {"type": "string"},
        "type": {"enum": ["info", "warning", "error", "success"]},
        "data": {"type": "string", "description": "JSON, or a text when it is none."},
    },
}


def _body(operation: Operation) -> dict[str, Any]:
    if operation.body == "ids":
        schema: dict[str, Any] = _ids()
    else:
        assert operation.body is not None
        schema = reference(operation.body)
    content = {"application/json": {"schema": schema}}
    if operation.body is notices.Notice:
        content["application/x-www-form-urlencoded"] = {"schema": _NOTICE_FORM}
    return {"required": not operation.optional, "content": content}


def _ids() -> dict[str, Any]:
    schema = notices.MarkRead.model_json_schema()["properties"]["notification_ids"]
    return {**schema, "title": "Identifiers of notifications"}


def _responses(operation: Operation, asked: bool, open_to_all: bool) -> dict[str, Any]:
    refused: dict[int, list[Reason]] = {}
    for reason in _reasons(operation, asked, open_to_all):
        # A load balancer wants 503 of /readyz, whatever is wrong.
        status = 503 if operation.path == "/readyz" else reason.http_status
        refused.setdefault(status, []).append(reason)
    answer = {
        "description": (operation.answer.__doc__ or "").partition("\n")[0],
        "content": {"application/json": {"schema": reference(operation.answer)}},
    }
    return {
        str(operation.status): answer,
        **{str(status): _error(status, reasons) for status, reasons in sorted(refused.items())},
    }


def _reasons(operation: Operation, asked: bool, open_to_all: bool) -> list[Reason]:
    if operation.who == "anybody":
        return list(operation.errors)
    reasons = [FORBIDDEN, SERVER_ERROR, *operation.errors]
    if asked or operation.body is not None:
        reasons.append(BAD_REQUEST)
    if operation.body is not None:
        reasons.append(MESSAGE_TOO_LARGE)
    if not open_to_all:
        reasons += [UNAUTHORIZED, *((TOKEN_EXPIRED, TOKEN_REVOKED) if operation.who == "user" else ())]
    elif operation.who == "user":
        reasons.append(UNAUTHORIZED)
    return reasons


def _error(status: int, reasons: list[Reason]) -> dict[str, Any]:
    words = ", ".join(f"`{reason.reason}`" for reason in reasons)
    headers = (
        {"WWW-Authenticate": {"schema": {"type": "string"}}}
        if status == HTTPStatus.UNAUTHORIZED
        else {"Retry-After": {"schema": {"type": "string"}, "description": "Seconds."}}
        if any(reason.reconnect for reason in reasons)
        else None
    )
    return {
        "description": f"{HTTPStatus(status).phrase}: {words}",
        **({"headers": headers} if headers is not None else {}),
        "content": {"application/json": {"schema": reference(answers.Error)}},
    }
