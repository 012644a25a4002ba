"""The clocks of the HTTP connections under our own server."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import nullcontext, suppress
from typing import Any

import pytest
import uvicorn

from rtserver.transport import uvicorn_http
from rtserver.transport.uvicorn_http import GuardedHttpProtocol

WHOLE = 20_000_000


async def _big(scope: Any, receive: Any, send: Any) -> None:
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for _ in range(200):
        await send({"type": "http.response.body", "body": bytes(100_000), "more_body": True})
    await send({"type": "http.response.body", "body": b""})


@pytest.fixture
async def port(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    """The port of a server that answers with 20 MB, and whose clocks run fast."""
    monkeypatch.setattr(uvicorn_http, "HEAD_TIMEOUT", 0.2)
    monkeypatch.setattr(uvicorn_http, "STALL_TIMEOUT", 0.2)
    monkeypatch.setattr(uvicorn_http, "REST_TIMEOUT", 0.2)
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(_big, http=GuardedHttpProtocol, lifespan="off", log_config=None, access_log=False)
    )
    server.capture_signals = nullcontext  # type: ignore[method-assign]
    serving = asyncio.ensure_future(server.serve([listener]))
    while not server.started:
        await asyncio.sleep(0)
    yield listener.getsockname()[1]
    assert not server.server_state.connections
    server.should_exit = True
    await serving


async def _connected(port: int, request: bytes, *, narrow: bool = False) -> socket.socket:
    client = socket.socket()
    if narrow:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.setblocking(False)
    await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", port))
    await asyncio.get_running_loop().sock_sendall(client, request)
    return client


async def _read_to_the_end(client: socket.socket, pause: float = 0.0) -> int:
    """Return how many bytes came before the connection ended, orderly or not."""
    total = 0
    with client:
        try:
            while data := await asyncio.wait_for(asyncio.get_running_loop().sock_recv(client, 500_000), 5):
                total += len(data)
                await asyncio.sleep(pause)
        except ConnectionResetError:
            pass
    return total


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: h\r\nX-Slow: "])
async def test_a_head_that_does_not_come_ends_the_connection(port: int, sent: bytes) -> None:
    """A client that opens a connection and never finishes its request holds it only for a time."""
    assert await _read_to_the_end(await _connected(port, sent)) == 0


@pytest.mark.parametrize("head", [b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 20_000, b"GET /" + b"a" * 200_000])
async def test_a_head_without_end_is_refused(port: int, head: bytes) -> None:
    """A head has a size: past it the connection ends, whatever may still come."""
    client = await _connected(port, head)
    assert await _read_to_the_end(client) < 1000


async def test_too_many_requests_at_once_end_the_connection(port: int) -> None:
    """Requests behind one that is being answered are few, or the connection ends."""
    client = await _connected(port, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n" * 1000)
    assert await _read_to_the_end(client) < 17 * WHOLE


async def test_an_answer_that_is_not_read_ends_the_connection(port: int) -> None:
    """A client that stops reading an answer is cut off instead of holding it in memory."""
    client = await _connected(port, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", narrow=True)
    await asyncio.sleep(0.6)
    assert await _read_to_the_end(client) < WHOLE


async def test_a_prompt_client_is_not_hurried(port: int) -> None:
    """Who sends its request and reads the answer gets all of it, however long that takes."""
    client = await _connected(port, b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    assert await _read_to_the_end(client, pause=0.005) > WHOLE


async def test_a_body_that_trickles_after_the_answer_ends_the_connection(port: int) -> None:
    """Who was answered before its body came has some seconds to send the rest, and not for ever."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 999999\r\n\r\n")

    async def trickle() -> None:
        with suppress(OSError):
            while True:
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.02)

    trickling = asyncio.ensure_future(trickle())
    async with asyncio.timeout(30):
        with suppress(ConnectionError):
            while await reader.read(1 << 20):
                pass
    trickling.cancel()
    writer.close()
