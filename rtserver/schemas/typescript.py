"""The events as TypeScript: the two interfaces that socket.io-client's ``Socket`` takes."""

from __future__ import annotations

import json
import re
from typing import Any, get_args

from rtserver.protocol.acks import CLIENT_EVENTS
from rtserver.protocol.errors import REASONS
from rtserver.protocol.events import SERVER_EVENTS, ErrorBody, Level
from rtserver.schemas.asyncapi import ENVELOPE
from rtserver.schemas.models import components

_HEAD = """\
// Written by `rtserver schema typescript`; change the server's models instead of this file.
//
//   import { io, type Socket } from "socket.io-client";
//   import type { ClientToServerEvents, ServerToClientEvents } from "./events";
//
//   const socket: Socket<ServerToClientEvents, ClientToServerEvents> = io();
"""
_SHARED = """\
/** What every event is answered: check `ok` before anything else. */
export type Ack<T = object> = ({ ok: true } & T) | { ok: false; error: ErrorBody };

/** Takes an acknowledgement. */
export type Answer<T = object> = (ack: Ack<T>) => void;
"""
_RECORDED = """\
/** What a room's history holds; `"message" in it` tells a message from another event. */
export type Recorded = RecordedMessage | RecordedEvent;
"""
_WIDTH = 118


def typescript() -> str:
    """Return the file."""
    payloads = [exchange.payload for exchange in CLIENT_EVENTS.values() if exchange.payload is not None]
    requests = components(payloads, ref="")
    # An event and what it is about are often called the same.
    named = {name: f"{name}Request" for name in requests}
    shapes = components(
        [ErrorBody, *(exchange.ack for exchange in CLIENT_EVENTS.values()), *SERVER_EVENTS.values()], ref=""
    )
    parts = [
        _HEAD,
        _alias("Reason", [reason.reason for reason in REASONS], "The closed list of reasons for a refusal."),
        _alias("Level", list(get_args(Level)), "What kind of notification it is."),
        _SHARED,
        *(_interface(name, shape) for name, shape in shapes.items()),
        _RECORDED,
        *(_interface(named[name], request) for name, request in requests.items()),
        _client(named),
        _server(),
    ]
    return "\n".join(parts)


def _client(named: dict[str, str]) -> str:
    lines = ["/** What a client sends. */", "export interface ClientToServerEvents {"]
    for event, (payload, ack) in CLIENT_EVENTS.items():
        given = "unknown" if payload is None else named[payload.__name__]
        lines.append(f"  {event}: (payload: {given}, ack?: Answer<{ack.__name__}>) => void;")
    lines += [
        *_comment(ENVELOPE, "  "),
        "  message: (envelope: Envelope, ack?: Answer<any>) => void;",
        "}",
        "",
        "export type Envelope =",
        "  | string | number | boolean | null",
        "  | { message_type?: string; type?: string; [field: string]: unknown };",
    ]
    return "\n".join(lines) + "\n"


def _server() -> str:
    lines = [
        "/** What a client hears. Backends may publish events of other names: add yours by extending this. */"
    ]
    lines.append("export interface ServerToClientEvents {")
    for event, shape in SERVER_EVENTS.items():
        lines.append(f"  {event}: (payload: {shape.__name__}) => void;")
    return "\n".join([*lines, "}"]) + "\n"


def _alias(name: str, values: list[str], told: str) -> str:
    lines, line = [f"/** {told} */", f"export type {name} ="], " "
    for value in values:
        word = f' | "{value}"'
        if len(line) + len(word) > _WIDTH:
            lines.append(line)
            line = " "
        line += word
    return "\n".join([*lines, f"{line};"]) + "\n"


def _interface(name: str, schema: dict[str, Any]) -> str:
    lines = _comment(schema.get("description", ""), "")
    required = schema.get("required", ())
    lines.append(f"export interface {name} {{")
    for field, inner in schema.get("properties", {}).items():
        lines += _comment(inner.get("description", ""), "  ")
        optional = "" if field in required else "?"
        lines.append(f"  {field}{optional}: {_type(field, inner)};")
    return "\n".join([*lines, "}"]) + "\n"


def _type(field: str, schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"])
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return _ALIASES.get(field) or _union([json.dumps(value) for value in schema["enum"]])
    if "anyOf" in schema:
        return _union([_type(field, choice) for choice in schema["anyOf"]])
    if schema.get("type") == "array":
        inner = _type(field, schema.get("items", {}))
        return f"({inner})[]" if "|" in inner else f"{inner}[]"
    return _SIMPLE.get(schema.get("type", ""), "unknown")


# The codes are a closed list as well, but nobody writes one down: reasons have names.
_ALIASES = {"reason": "Reason", "type": "Level", "level": "Level", "code": "number"}
_SIMPLE = {
    "string": "string",
    "integer": "number",
    "number": "number",
    "boolean": "boolean",
    "null": "null",
    "object": "Record<string, unknown>",
}


def _union(types: list[str]) -> str:
    return " | ".join(dict.fromkeys(types))


def _comment(text: str, indent: str) -> list[str]:
    """Return *text* as a comment of as many lines as it takes."""
    if not text:
        return []
    text = re.sub(r"\*(\w+)\*", r"`\1`", text)
    words = text.split()
    if len(indent) + len(text) + 7 <= _WIDTH:
        return [f"{indent}/** {text} */"]
    lines, line = [f"{indent}/**"], f"{indent} *"
    for word in words:
        if len(line) + 1 + len(word) > _WIDTH:
            lines.append(line)
            line = f"{indent} *"
        line += f" {word}"
    return [*lines, line, f"{indent} */"]
