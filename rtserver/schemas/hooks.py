"""Every webhook as OpenAPI describes it: what is posted to a target, and what its answers mean."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from rtserver.protocol.hooks import HOOK_EVENTS
from rtserver.schemas.models import reference

_TIMESTAMP = {"type": "string", "format": "date-time"}
_HEADERS = {
    "webhook-id": "The event's id, the same over all attempts; a batch has its own.",
    "webhook-timestamp": "When this attempt was made, in Unix seconds.",
    "webhook-signature": "Space-separated `v1,BASE64`, one per active secret (Standard Webhooks 1.0.0).",
}
_RESPONSES = {
    "2XX": {"description": "It is delivered."},
    "410": {"description": "The target is disabled until somebody enables it."},
    "429": {"description": "The target is left alone for a while; Retry-After says how long."},
    "503": {"description": "The target is left alone for a while; Retry-After says how long."},
    "default": {"description": "It is tried again, until the schedule ends."},
}


def hook_models() -> list[type[BaseModel]]:
    """Return the models of all data."""
    return list(dict.fromkeys(HOOK_EVENTS.values()))


def hooks() -> dict[str, Any]:
    """Return the webhooks by type, and the batch."""
    found = {
        type_: _hook(type_, (data.__doc__ or "").partition("\n")[0], event(type_))
        for type_, data in HOOK_EVENTS.items()
    }
    inner = [_with_id(event(type_)) for type_ in HOOK_EVENTS]
    batch = {
        "type": "object",
        "required": ["type", "timestamp", "data"],
        "properties": {
            "type": {"const": "batch"},
            "timestamp": _TIMESTAMP,
            "data": {
                "type": "object",
                "required": ["events"],
                "properties": {"events": {"type": "array", "items": {"oneOf": inner}}},
            },
        },
    }
    return {**found, "batch": _hook("batch", "Several events, for targets with `batch`.", batch)}


def event(type_: str) -> dict[str, Any]:
    """Return the schema of an event's body."""
    return {
        "type": "object",
        "required": ["type", "timestamp", "data"],
        "properties": {
            "type": {"const": type_},
            "timestamp": _TIMESTAMP,
            "data": reference(HOOK_EVENTS[type_]),
        },
    }


def _with_id(schema: dict[str, Any]) -> dict[str, Any]:
    return {
        **schema,
        "required": ["id", *schema["required"]],
        "properties": {"id": {"type": "string"}, **schema["properties"]},
    }


def _hook(type_: str, summary: str, schema: dict[str, Any]) -> dict[str, Any]:
    parameters = [
        {
            "name": name,
            "in": "header",
            "required": name != "webhook-signature",
            "description": told,
            "schema": {"type": "string"},
        }
        for name, told in _HEADERS.items()
    ]
    return {
        "post": {
            "operationId": type_,
            "summary": summary,
            "parameters": parameters,
            "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
            "responses": _RESPONSES,
        }
    }
