"""What an HTTP request or WebSocket handshake asks of the engine, and how it is told no."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from ipaddress import ip_address
from typing import Any, NamedTuple
from urllib.parse import parse_qs

import orjson

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]


class Denial(Exception):
    """A request that is refused: HTTP *status* and the body ``{code, message}`` of the reference implementation.

    *counted* is what it counts as among those that are refused.
    """

    def __init__(
        self,
        status: int,
        code: int,
        message: str,
        headers: Headers | None = None,
        *,
        counted: str = "bad_handshake",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.counted = counted
        self.body = orjson.dumps({"code": code, "message": message})
        self.headers = headers or []


def bad_transport() -> Denial:
    """Return the denial of a transport that is unknown or off."""
    return Denial(400, 0, "Transport unknown")


def unknown_session() -> Denial:
    """Return the denial of a session id that is not, or no longer, known."""
    return Denial(400, 1, "Session ID unknown")


def bad_method() -> Denial:
    """Return the denial of a handshake that is no GET."""
    return Denial(400, 2, "Bad handshake method")


def bad_request(message: str = "Bad request") -> Denial:
    """Return the denial of anything else that is wrong."""
    return Denial(400, 3, message)


def forbidden(message: str, counted: str = "bad_handshake") -> Denial:
    """Return the denial of a request that is understood and not wanted."""
    return Denial(403, 4, message, counted=counted)


def bad_version() -> Denial:
    """Return the denial of another protocol revision."""
    return Denial(400, 5, "Unsupported protocol version")


class EngineRequest(NamedTuple):
    """The parameters of one request."""

    method: str
    transport: str
    sid: str | None
    origin: str | None
    host: str


def read_request(scope: Scope, transports: list[str]) -> EngineRequest:
    """Return what *scope* asks for; raise `Denial` for another protocol or a transport that is not offered."""
    query = parse_qs(scope["query_string"].decode("latin-1"))
    transport = query.get("transport", [""])[0]
    if transport not in transports:
        raise bad_transport()
    if query.get("EIO") != ["4"]:
        raise bad_version()
    is_websocket = scope["type"] == "websocket"
    sid = query.get("sid", [None])[0]
    if is_websocket != (transport == "websocket"):
        raise bad_request()
    headers = dict(scope["headers"])
    origin, host = headers.get(b"origin"), headers.get(b"host", b"")
    return EngineRequest(
        "GET" if is_websocket else scope["method"],
        transport,
        sid,
        origin.decode("latin-1") if origin is not None else None,
        host.decode("latin-1"),
    )


def environ_of(scope: Scope) -> dict[str, Any]:
    """Return the CGI-like dictionary that python-socketio's connect handlers are given (PEP 3333's names)."""
    client = scope.get("client") or ("", 0)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope.get("method", "GET"),
        "PATH_INFO": scope["path"],
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "REMOTE_ADDR": _address(client[0]),
        "REMOTE_PORT": str(client[1]),
        "SERVER_PROTOCOL": f"HTTP/{scope.get('http_version', '1.1')}",
        "wsgi.url_scheme": scope.get("scheme", "http").replace("ws", "http"),
        "asgi.scope": scope,
    }
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").upper().replace("-", "_"), raw_value.decode("latin-1")
        key = name if name in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{name}"
        environ[key] = f"{environ[key]},{value}" if key in environ else value
    return environ


def _address(text: str) -> str:
    """Return an address in its one spelling; empty for what is none, such as the path of a Unix socket."""
    try:
        return str(ip_address(text))
    except ValueError:
        return ""


async def respond(send: Send, status: int, body: bytes, headers: Headers, content_type: bytes) -> None:
    """Send one whole HTTP response."""
    start = [(b"content-type", content_type), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": start + headers})
    await send({"type": "http.response.body", "body": body})


async def deny(scope: Scope, send: Send, denial: Denial, cors: Headers) -> None:
    """Answer a refused request; a WebSocket handshake gets the HTTP status too where the server can send one."""
    kind = "http.response"
    if scope["type"] == "websocket":
        if "websocket.http.response" not in scope.get("extensions", {}):
            await send({"type": "websocket.close", "code": 1008, "reason": ""})
            return
        kind = "websocket.http.response"
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(denial.body)).encode())]
    await send({"type": f"{kind}.start", "status": denial.status, "headers": headers + denial.headers + cors})
    await send({"type": f"{kind}.body", "body": denial.body})


async def read_body(receive: Receive, limit: int) -> bytes:
    """Return the request's body; raise `Denial` when it is longer than *limit* bytes or does not arrive whole."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise bad_request("the request was cut")
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise Denial(413, 3, f"the body is over {limit} bytes")
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)
