"""Engine.IO v4 on the wire: handshakes, those that succeed and those that do not."""

import asyncio
import json
from typing import Any

import pytest
from websockets.asyncio.client import connect

from tests.integration.transport.wire_client import Refused, WebSocket, http, masked
from tests.integration.transport.wire_server import ASGI, Stand, eventually, serving


def _check(hello: dict[str, Any], upgrades: list[str]) -> None:
    assert set(hello) == {"sid", "upgrades", "pingInterval", "pingTimeout", "maxPayload"}
    assert isinstance(hello["sid"], str)
    assert len(hello["sid"]) >= 16
    assert hello["upgrades"] == upgrades
    assert (hello["pingInterval"], hello["pingTimeout"], hello["maxPayload"]) == (25000, 20000, 10_000)


async def test_over_polling(stand: Stand) -> None:
    """A GET without a session id opens one: plain text, type 0, and the upgrade on offer."""
    response = await http(stand.port, "GET", stand.url("polling"))
    assert response.status == 200
    assert response.headers["content-type"] == "text/plain; charset=UTF-8"
    assert response.text[0] == "0"
    hello = json.loads(response.text[1:])
    _check(hello, ["websocket"])
    assert list(stand.engine.sockets) == stand.connected == [hello["sid"]]
    await stand.engine.disconnect(hello["sid"])


async def test_over_websocket(stand: Stand) -> None:
    """The OPEN packet comes at once, and offers no upgrade."""
    peer = await stand.websocket()
    _check(peer.hello, [])
    assert stand.connected == [peer.sid]
    await peer.bye()
    await eventually(lambda: stand.ended)


async def test_session_ids_are_unique(stand: Stand) -> None:
    """A hundred handshakes give a hundred ids."""
    pollers = await asyncio.gather(*(stand.poller() for _ in range(100)))
    assert len({poller.sid for poller in pollers}) == 100
    await stand.engine.disconnect()


async def test_the_websockets_library_connects(stand: Stand) -> None:
    """A client that is not ours: open, echo of text and binary, close by the protocol."""
    async with connect(f"ws://127.0.0.1:{stand.port}{stand.url()}") as client:
        opening = await client.recv()
        assert opening[0] == "0"
        await client.send("4hello")
        assert await client.recv() == "4hello"
        await client.send(b"\x00\x01")
        assert await client.recv() == b"\x00\x01"
    assert client.close_code == 1000
    await eventually(lambda: stand.ended)


BAD_QUERIES = [
    ("transport=polling", 5),
    ("EIO=abc&transport=polling", 5),
    ("EIO=3&transport=polling", 5),
    ("EIO=4", 0),
    ("EIO=4&transport=abc", 0),
    ("", 0),
    ("EIO=4&transport=websocket", 3),
]


@pytest.mark.parametrize(("query", "code"), BAD_QUERIES)
async def test_a_bad_request(stand: Stand, query: str, code: int) -> None:
    """400 with the reference implementation's code, and no session."""
    response = await http(stand.port, "GET", f"/engine.io/?{query}")
    assert (response.status, response.code) == (400, code)
    assert response.headers["content-type"] == "application/json"
    assert not stand.engine.sockets


@pytest.mark.parametrize(
    "query", ["transport=websocket", "EIO=abc&transport=websocket", "EIO=4", "EIO=4&transport=polling"]
)
async def test_a_bad_websocket_request(stand: Stand, query: str) -> None:
    """The handshake is answered with 400 before it succeeds."""
    with pytest.raises(Refused) as refused:
        await WebSocket.connect(stand.port, f"/engine.io/?{query}")
    assert refused.value.response.status == 400
    assert not stand.engine.sockets


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD", "PATCH"])
async def test_a_handshake_is_a_get(stand: Stand, method: str) -> None:
    """Any other method is refused: code 2."""
    response = await http(stand.port, method, stand.url("polling"))
    assert response.status == 400
    if method != "HEAD":
        assert response.code == 2
    assert not stand.engine.sockets


@pytest.mark.parametrize("sid", ["unknown", "%00", "x" * 2000, "..%2f", "%F0%9F%98%80"])
async def test_an_unknown_session(stand: Stand, sid: str) -> None:
    """Code 1, for polls, posts and upgrades, whatever the id looks like."""
    for method in ("GET", "POST", "PUT"):
        response = await http(
            stand.port, method, stand.url("polling", sid), b"4x" if method == "POST" else b""
        )
        assert (response.status, response.code) == (400, 1)
    with pytest.raises(Refused) as refused:
        await stand.line(sid)
    assert (refused.value.response.status, refused.value.response.code) == (400, 1)
    await stand.serves()


async def test_other_methods_on_a_session(stand: Stand) -> None:
    """They are refused and do no harm to it."""
    poller = await stand.poller()
    for method in ("PUT", "DELETE", "PATCH"):
        assert (await http(stand.port, method, poller.path)).status == 400
    assert (await poller.post("4x")).status == 200
    assert (await poller.poll()).text == "4x"
    await poller.post("1")


async def test_a_websocket_session_cannot_be_polled(stand: Stand) -> None:
    """Its id is good for its own transport only."""
    peer = await stand.websocket()
    for method in ("GET", "POST"):
        assert (await http(stand.port, method, stand.url("polling", peer.sid))).status == 400
    await peer.text("4still here")
    assert await peer.receive() == "4still here"
    await peer.bye()


# What a client may send too early.
EARLY = {
    "whole": masked(1, b"4a") * 3,
    "half": masked(1, b"4" + b"x" * 300)[:150],
    "broken": b"\x81\x01x",
    "nothing": bytes(5000),
}


@pytest.mark.parametrize("early", EARLY)
async def test_bytes_right_behind_the_handshake(stand: Stand, early: str) -> None:
    """A client that does not wait for the answer breaks RFC 6455, section 4.1: at worst it loses its own line."""
    peer = await stand.line(early=EARLY[early])
    peer.hang_up()
    await stand.is_empty()
    await stand.serves()


@pytest.mark.parametrize("early", ["whole", "half", "broken"])
async def test_bytes_sent_while_the_server_thinks(stand: Stand, early: str) -> None:
    """Nor does one that speaks during a slow connect handler harm anybody: when it goes, its session goes at once."""
    if stand.way == ASGI and early == "broken":
        pytest.skip("uvicorn's own class does not expect it and logs a traceback")
    arrived, go_on = asyncio.Event(), asyncio.Event()

    async def slow(sid: str, environ: dict[str, Any]) -> None:
        arrived.set()
        await go_on.wait()

    stand.engine.on("connect", slow)
    reader, writer = await asyncio.open_connection("127.0.0.1", stand.port)
    writer.write(
        f"GET {stand.url()} HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    await arrived.wait()
    writer.write(EARLY[early])
    await asyncio.sleep(0.02)
    go_on.set()
    await asyncio.wait_for(reader.read(10), 5)
    writer.transport.abort()
    await stand.is_empty()
    await stand.serves()


# Who may pass.


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://[bad", "file://", "http://127.0.0.1:1"]
)
async def test_a_foreign_origin_is_refused(stand: Stand, origin: str) -> None:
    """403 on both transports, before any session is made; the preflight of such a page, too."""
    headers = {"Origin": origin}
    for method in ("GET", "POST", "OPTIONS"):
        response = await http(stand.port, method, stand.url("polling"), headers=headers)
        assert (response.status, response.code) == (403, 4)
        assert "access-control-allow-origin" not in response.headers
    with pytest.raises(Refused) as refused:
        await stand.line(headers=headers)
    assert refused.value.response.status == 403
    assert stand.connected == []
    await stand.serves()


async def test_the_own_origin_passes(stand: Stand) -> None:
    """The page of the same host and port, on both transports, with what CORS wants."""
    origin = f"http://127.0.0.1:{stand.port}"
    response = await http(stand.port, "GET", stand.url("polling"), headers={"Origin": origin})
    assert response.status == 200
    assert response.headers["access-control-allow-origin"] == origin
    peer = await stand.websocket(headers={"Origin": origin})
    await peer.bye()
    await stand.engine.disconnect()


async def test_allowed_origins(way: str) -> None:
    """Patterns let others in; their preflight is answered, and refusals can be read by the page."""
    async with serving(way, cors_allowed_origins=["https://*.example.com"]) as stand:
        headers = {"Origin": "https://app.example.com"}
        preflight = await http(stand.port, "OPTIONS", stand.url("polling"), headers=headers)
        assert preflight.status == 204
        assert "POST" in preflight.headers["access-control-allow-methods"]
        assert preflight.headers["access-control-allow-credentials"] == "true"
        refusal = await http(stand.port, "GET", stand.url("polling", "unknown"), headers=headers)
        assert refusal.status == 400
        assert refusal.headers["access-control-allow-origin"] == "https://app.example.com"
        peer = await stand.websocket(headers=headers)
        await peer.bye()


async def test_transports_can_be_switched_off(way: str) -> None:
    """What is not offered is unknown, and is not offered as an upgrade."""
    async with serving(way, transports=["websocket"]) as stand:
        response = await http(stand.port, "GET", stand.url("polling"))
        assert (response.status, response.code) == (400, 0)
        peer = await stand.websocket()
        await peer.bye()
    async with serving(way, transports=["polling"]) as stand:
        poller = await stand.poller()
        assert poller.hello["upgrades"] == []
        with pytest.raises(Refused):
            await stand.line(poller.sid)
        await poller.post("1")
    async with serving(way, allow_upgrades=False) as stand:
        poller = await stand.poller()
        assert poller.hello["upgrades"] == []
        with pytest.raises(Refused):
            await stand.line(poller.sid)
        await poller.post("1")


async def test_a_connect_handler_that_says_no(stand: Stand) -> None:
    """403 on both transports, and no session is left; it may say so at once or after a while."""

    async def later(sid: str, environ: dict[str, Any]) -> bool:
        await asyncio.sleep(0)
        return False

    for handler in (lambda sid, environ: False, later):
        stand.engine.on("connect", handler)
        assert (await http(stand.port, "GET", stand.url("polling"))).status == 403
        with pytest.raises(Refused) as refused:
            await stand.line()
        assert refused.value.response.status == 403
        assert not stand.engine.sockets


async def test_a_connect_handler_that_sends(stand: Stand) -> None:
    """Its messages follow the OPEN packet, on both transports."""

    async def greet(sid: str, environ: dict[str, Any]) -> None:
        await stand.engine.send(sid, "first")
        await stand.engine.send(sid, b"\x01")

    stand.engine.on("connect", greet)
    peer = await stand.websocket()
    assert [await peer.receive(), await peer.receive()] == ["4first", b"\x01"]
    await peer.bye()
    response = await http(stand.port, "GET", stand.url("polling"))
    assert response.text.split("\x1e")[1:] == ["4first", "bAQ=="]
    await stand.engine.disconnect()


async def test_a_connect_handler_that_disconnects(stand: Stand) -> None:
    """The client is refused or closed at once; nobody is left hanging on a line without a session."""

    async def disconnect(sid: str, environ: dict[str, Any]) -> None:
        await stand.engine.disconnect(sid)

    stand.engine.on("connect", disconnect)
    status = 101
    try:
        peer = await stand.line()
    except Refused as refused:
        status = refused.response.status
    else:
        await peer.closed()
    assert status in (101, 403)
    response = await http(stand.port, "GET", stand.url("polling"))
    assert response.status == 403 or response.text.endswith("\x1e1")
    assert not stand.engine.sockets


async def test_hanging_up_during_a_slow_connect_handler(stand: Stand) -> None:
    """When the handler is done there is nobody to accept: no session is left waiting for its heartbeat."""
    arrived, go_on = asyncio.Event(), asyncio.Event()

    async def slow(sid: str, environ: dict[str, Any]) -> None:
        arrived.set()
        await go_on.wait()

    stand.engine.on("connect", slow)
    line = asyncio.ensure_future(stand.line())
    await arrived.wait()
    line.cancel()
    with pytest.raises(asyncio.CancelledError):
        await line
    await asyncio.sleep(0.05)
    go_on.set()
    await stand.is_empty()
    assert stand.ended == ["transport close"]


async def test_a_client_without_a_server(stand: Stand) -> None:
    """A handshake that is cut half-way leaves nothing."""
    _, writer = await asyncio.open_connection("127.0.0.1", stand.port)
    writer.write(b"GET /engine.io/?EIO=4&transport=websocket HTTP/1.1\r\nUpgrade: webso")
    await writer.drain()
    writer.transport.abort()
    await stand.serves()
