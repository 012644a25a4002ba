"""The events of Socket.IO clients as an AsyncAPI document (https://www.asyncapi.com/docs/reference/specification/v3.0.0)."""

from __future__ import annotations

from typing import Any

from rtserver.protocol.acks import CLIENT_EVENTS, Exchange
from rtserver.protocol.events import SERVER_EVENTS, ErrorBody
from rtserver.schemas.models import components, reference
from rtserver.version import __version__

_ABOUT = (
    "What socket.io-client sends and gets. Every event takes an acknowledgement: `{ok: true, …}` or "
    "`{ok: false, error}`; without one, a refusal comes as the event `error`."
)
ENVELOPE = (
    "What `socket.send(x)` emits. An object names its event by `message_type` (or `type`) and is a `chat` without "
    "either; text that is a JSON object is the same object; any other text or scalar is a `broadcast` to everybody. "
    "The acknowledgement is that of the event inside."
)
_CHANNEL = {"$ref": "#/channels/main"}


def asyncapi() -> dict[str, Any]:
    """Return the document."""
    payloads = [exchange.payload for exchange in CLIENT_EVENTS.values() if exchange.payload is not None]
    acks = [exchange.ack for exchange in CLIENT_EVENTS.values()]
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "rtserver",
            "version": __version__,
            "description": _ABOUT,
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "rtserver": {
                "host": "127.0.0.1:8000",
                "pathname": "/socket.io/",
                "protocol": "socket.io",
                "protocolVersion": "5",
            }
        },
        "channels": {
            "main": {
                "address": "/",
                "title": "The main namespace",
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in _messages()},
            }
        },
        "operations": _operations(),
        "components": {
            "messages": _messages(),
            "schemas": components([ErrorBody, *payloads, *acks, *SERVER_EVENTS.values()]),
        },
    }


def _messages() -> dict[str, Any]:
    said = {f"client.{event}": _request(event, exchange) for event, exchange in CLIENT_EVENTS.items()}
    said["client.message"] = {"name": "message", "summary": ENVELOPE, "payload": {}}
    answered = {f"ack.{event}": _ack(event, exchange) for event, exchange in CLIENT_EVENTS.items()}
    answered["ack.message"] = {"name": "message", "title": "ack of message", "payload": {"type": "object"}}
    heard = {
        f"server.{event}": {"name": event, "summary": _summary(shape), "payload": reference(shape)}
        for event, shape in SERVER_EVENTS.items()
    }
    return {**said, **answered, **heard}


def _request(event: str, exchange: Exchange) -> dict[str, Any]:
    if exchange.payload is None:
        return {"name": event, "summary": "Takes anything.", "payload": {}}
    return {"name": event, "summary": _summary(exchange.payload), "payload": reference(exchange.payload)}


def _ack(event: str, exchange: Exchange) -> dict[str, Any]:
    good = {
        "allOf": [
            {"type": "object", "required": ["ok"], "properties": {"ok": {"const": True}}},
            reference(exchange.ack),
        ]
    }
    bad = {
        "type": "object",
        "required": ["ok", "error"],
        "properties": {"ok": {"const": False}, "error": reference(ErrorBody)},
    }
    return {"name": event, "title": f"ack of {event}", "payload": {"oneOf": [good, bad]}}


def _operations() -> dict[str, Any]:
    """Return what is done, as seen from the server: it receives what clients send."""
    received = {
        f"receive.{event}": {
            "action": "receive",
            "channel": _CHANNEL,
            "messages": [{"$ref": f"#/channels/main/messages/client.{event}"}],
            "reply": {
                "channel": _CHANNEL,
                "messages": [{"$ref": f"#/channels/main/messages/ack.{event}"}],
            },
        }
        for event in (*CLIENT_EVENTS, "message")
    }
    sent = {
        f"send.{event}": {
            "action": "send",
            "channel": _CHANNEL,
            "messages": [{"$ref": f"#/channels/main/messages/server.{event}"}],
        }
        for event in SERVER_EVENTS
    }
    return {**received, **sent}


def _summary(model: type[Any]) -> str:
    return (model.__doc__ or "").partition("\n")[0].replace("``", "`").replace("*", "`")
