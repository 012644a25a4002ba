"""What a request asks of the engine, and how it is told no."""

import asyncio
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtserver.transport import requests
from rtserver.transport.requests import Denial, environ_of, read_body, read_request

BOTH = ["polling", "websocket"]


def _scope(
    query: str | bytes = b"EIO=4&transport=polling", kind: str = "http", **more: Any
) -> dict[str, Any]:
    raw = query.encode() if isinstance(query, str) else query
    scope = {
        "type": kind,
        "path": "/socket.io/",
        "query_string": raw,
        "headers": [],
        "http_version": "1.1",
        **more,
    }
    if kind == "http":
        scope.setdefault("method", "GET")
    return scope


def _code(denial: Denial) -> tuple[int, int]:
    return denial.status, orjson.loads(denial.body)["code"]


def _refused(query: str | bytes, kind: str = "http", offered: list[str] | None = None) -> tuple[int, int]:
    with pytest.raises(Denial) as refused:
        read_request(_scope(query, kind), BOTH if offered is None else offered)
    return _code(refused.value)


# Which request is it?


def test_a_handshake() -> None:
    """Without a session id, over either transport."""
    assert read_request(_scope(), BOTH)[:3] == ("GET", "polling", None)
    assert read_request(_scope("EIO=4&transport=websocket", "websocket"), BOTH)[:3] == (
        "GET",
        "websocket",
        None,
    )


def test_a_request_of_a_session() -> None:
    """Method and session id are read; what else is in the query is the application's."""
    request = read_request(_scope("EIO=4&transport=polling&t=x&sid=abc&token=q%20r", method="POST"), BOTH)
    assert request[:3] == ("POST", "polling", "abc")


@pytest.mark.parametrize(
    "query",
    ["", "EIO=4", "EIO=4&transport=", "EIO=4&transport=flash", "EIO=4&transport=POLLING", "%", b"\xff\xfe"],
)  # fmt: skip
def test_an_unknown_transport(query: str | bytes) -> None:
    """Code 0 of the reference implementation."""
    assert _refused(query) == (400, 0)


def test_a_transport_that_is_not_offered() -> None:
    """The same as one that does not exist."""
    assert _refused("EIO=4&transport=polling", offered=["websocket"]) == (400, 0)
    assert _refused("EIO=4&transport=websocket", "websocket", offered=["polling"]) == (400, 0)


@pytest.mark.parametrize("version", ["", "EIO=3&", "EIO=5&", "EIO=&", "EIO=4x&", "eio=4&", "EIO=3&EIO=4&"])
def test_another_protocol_version(version: str) -> None:
    """Code 5: only revision 4 is spoken."""
    assert _refused(f"{version}transport=polling") == (400, 5)


def test_the_transport_must_fit_the_request() -> None:
    """Code 3: a plain request for a WebSocket, and a WebSocket for polling."""
    assert _refused("EIO=4&transport=websocket") == (400, 3)
    assert _refused("EIO=4&transport=polling", "websocket") == (400, 3)


@given(st.binary(max_size=60))
def test_any_query_is_read_or_denied(query: bytes) -> None:
    """No query string makes it fail otherwise."""
    try:
        read_request(_scope(query), BOTH)
    except Denial as refused:
        denial = refused
    else:
        return
    assert denial.status == 400


# How it is told no.


@pytest.mark.parametrize(
    ("denial", "status", "code", "message"),
    [
        (requests.bad_transport(), 400, 0, "Transport unknown"),
        (requests.unknown_session(), 400, 1, "Session ID unknown"),
        (requests.bad_method(), 400, 2, "Bad handshake method"),
        (requests.bad_request(), 400, 3, "Bad request"),
        (requests.bad_request("why"), 400, 3, "why"),
        (requests.forbidden("no"), 403, 4, "no"),
        (requests.bad_version(), 400, 5, "Unsupported protocol version"),
    ],
)
def test_denials_are_the_reference_implementations(
    denial: Denial, status: int, code: int, message: str
) -> None:
    """Status, code and sentence are those that socket.io-client shows its user."""
    assert denial.status == status
    assert orjson.loads(denial.body) == {"code": code, "message": message}
    assert str(denial) == message


class _Sent:
    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []

    async def __call__(self, message: dict[str, Any]) -> None:
        self.messages.append(message)


async def test_a_response_is_sent_whole() -> None:
    """Status, type, length and the headers that were asked for, then the body."""
    sent = _Sent()
    await requests.respond(sent, 200, b"ok", [(b"vary", b"Origin")], b"text/plain")
    start, body = sent.messages
    assert start == {
        "type": "http.response.start",
        "status": 200,
        "headers": [(b"content-type", b"text/plain"), (b"content-length", b"2"), (b"vary", b"Origin")],
    }
    assert body == {"type": "http.response.body", "body": b"ok"}


async def test_denying_a_request() -> None:
    """JSON, with the denial's own headers and CORS, so that a page can read why."""
    sent = _Sent()
    denial = Denial(503, 3, "later", [(b"retry-after", b"1")])
    await requests.deny(_scope(), sent, denial, [(b"vary", b"Origin")])
    start, body = sent.messages
    assert start["type"] == "http.response.start"
    assert start["status"] == 503
    headers = dict(start["headers"])
    assert headers[b"content-type"] == b"application/json"
    assert headers[b"retry-after"] == b"1"
    assert headers[b"vary"] == b"Origin"
    assert headers[b"content-length"] == str(len(body["body"])).encode()


async def test_denying_a_websocket() -> None:
    """With the HTTP status where the server can send one, by closing before the accept where it cannot."""
    able, unable = _Sent(), _Sent()
    scope = _scope(kind="websocket", extensions={"websocket.http.response": {}})
    await requests.deny(scope, able, requests.forbidden("no"), [])
    assert [message["type"] for message in able.messages] == [
        "websocket.http.response.start",
        "websocket.http.response.body",
    ]
    assert able.messages[0]["status"] == 403
    await requests.deny(_scope(kind="websocket"), unable, requests.forbidden("no"), [])
    assert [message["type"] for message in unable.messages] == ["websocket.close"]


# The body.


def _arriving(*parts: bytes, cut: bool = False) -> Any:
    """Return a receive that gives the parts of a body, and hangs up early when *cut*."""
    messages = [
        {"type": "http.request", "body": part, "more_body": cut or number < len(parts) - 1}
        for number, part in enumerate(parts)
    ]
    messages.append({"type": "http.disconnect"})

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(0)
        return messages.pop(0)

    return receive


async def test_a_body_in_parts() -> None:
    """As they come, up to the limit itself."""
    assert await read_body(_arriving(b"ab", b"", b"cd"), 4) == b"abcd"
    assert await read_body(_arriving(b""), 0) == b""


async def test_a_body_over_the_limit() -> None:
    """413 as soon as it is over, without reading the rest."""
    receive = _arriving(b"ab", b"cd", b"never read")
    with pytest.raises(Denial) as refused:
        await read_body(receive, 3)
    assert refused.value.status == 413
    assert (await receive())["body"] == b"never read"


async def test_a_body_that_is_cut() -> None:
    """A client that hangs up half-way sent nothing."""
    with pytest.raises(Denial) as refused:
        await read_body(_arriving(b"ab", cut=True), 100)
    assert _code(refused.value) == (400, 3)


async def test_a_body_may_lack_its_fields() -> None:
    """ASGI makes ``body`` and ``more_body`` optional."""

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(0)
        return {"type": "http.request"}

    assert await read_body(receive, 10) == b""


# What connect handlers are given.


def test_the_environ() -> None:
    """PEP 3333's names, the peer's own address, and the scope for those who want more."""
    scope = _scope(
        "a=b",
        kind="websocket",
        client=("192.0.2.7", 4711),
        scheme="wss",
        headers=[
            (b"user-agent", b"x"),
            (b"cookie", b"a=1"),
            (b"cookie", b"b=2"),
            (b"content-type", b"t"),
            (b"x-e", b"\xe9"),
        ],
    )
    environ = environ_of(scope)
    assert environ["REQUEST_METHOD"] == "GET"
    assert environ["PATH_INFO"] == "/socket.io/"
    assert environ["QUERY_STRING"] == "a=b"
    assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == ("192.0.2.7", "4711")
    assert environ["wsgi.url_scheme"] == "https"
    assert environ["HTTP_USER_AGENT"] == "x"
    assert environ["HTTP_COOKIE"] == "a=1,b=2"
    assert environ["CONTENT_TYPE"] == "t"
    assert environ["HTTP_X_E"] == "é"
    assert environ["asgi.scope"] is scope


def test_the_environ_of_a_peer_without_an_address() -> None:
    """On a Unix socket there is none."""
    environ = environ_of(_scope(client=None))
    assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == ("", "0")
    assert environ["wsgi.url_scheme"] == "http"
