"""What the sender makes of connections: which it keeps, which it gives up, and when it asks a second time."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

import pytest

from rtserver.webhooks import connection, direct
from rtserver.webhooks.connection import MAX_HEAD
from rtserver.webhooks.retry import Answer as Result
from tests.integration.webhooks.receiver import LIMIT, Answer, Receiver
from tests.integration.webhooks.test_sender import BODY, attempt, sending

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"

Serving = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def request(reader: asyncio.StreamReader) -> None:
    """Read one request."""
    await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(len(BODY))


def answering(*answers: bytes) -> Serving:
    """Give these answers on each connection, one to a request, and close it after one more request."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            await request(reader)
            writer.write(answer)
        await request(reader)

    return serve


class TestKept:
    """A connection that a target closed while nothing was under way."""

    async def test_closed_at_the_next_request(self, receiver: Receiver) -> None:
        """When a kept connection ends without a byte of an answer, the request goes out again on another one."""
        receiver.serve = answering(OK)
        async with sending(receiver.url) as sender:
            assert [await attempt(sender) for _ in range(3)] == [Result(200)] * 3
        assert receiver.connections == 3

    async def test_all_of_them(self, receiver: Receiver) -> None:
        """With several kept connections that all went stale, one more attempt at connecting is enough."""
        receiver.serve = answering(OK)
        async with sending(receiver.url, concurrency=3) as sender:
            await asyncio.gather(*(attempt(sender) for _ in range(3)))
            assert await attempt(sender) == Result(200)
        assert receiver.connections == 4

    async def test_a_fresh_one(self, receiver: Receiver) -> None:
        """A new connection that is closed without an answer is a failure, and is not repeated."""
        receiver.serve = answering()
        async with sending(receiver.url) as sender:
            answer = await attempt(sender)
        assert answer == Result(None, error="the connection was closed before an answer came")
        assert receiver.connections == 1

    async def test_within_the_answer(self, receiver: Receiver) -> None:
        """Once one byte of an answer came, the request is not repeated."""

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            for answer in (OK, b"H"):
                await request(reader)
                writer.write(answer)

        receiver.serve = serve
        async with sending(receiver.url) as sender:
            assert await attempt(sender) == Result(200)
            answer = await attempt(sender)
        assert answer == Result(None, error="the connection was closed within the answer")
        assert receiver.connections == 1

    async def test_idle_for_long(self, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
        """A connection that was idle for long is not used again: something on the way may have forgotten it."""
        monkeypatch.setattr(direct, "_KEPT", 0.0)
        async with sending(receiver.url) as sender:
            for _ in range(3):
                assert await attempt(sender) == Result(204)
        assert receiver.connections == 3

    async def test_unasked(self, receiver: Receiver) -> None:
        """What a target sends unasked is not taken for the answer to the next request."""

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await request(reader)
            writer.write(OK)
            await writer.drain()
            if receiver.connections == 1:
                await told.wait()
                writer.write(b"HTTP/1.1 500 Forged\r\ncontent-length: 0\r\n\r\n")
            await reader.read()
            gone.set()

        told, gone = asyncio.Event(), asyncio.Event()
        receiver.serve = serve
        async with sending(receiver.url) as sender:
            assert await attempt(sender) == Result(200)
            told.set()
            async with asyncio.timeout(LIMIT):
                await gone.wait()
            assert await attempt(sender) == Result(200)
        assert receiver.connections == 2

    async def test_surplus(self, receiver: Receiver) -> None:
        """Two answers to one request: the first counts, and the connection is given up."""
        receiver.serve = answering(OK + b"HTTP/1.1 500 Forged\r\ncontent-length: 0\r\n\r\n")
        async with sending(receiver.url) as sender:
            assert [await attempt(sender) for _ in range(2)] == [Result(200)] * 2
        assert receiver.connections == 2


class TestFraming:
    """Where an answer ends."""

    @pytest.mark.parametrize(
        "answer",
        [
            OK,
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nok",
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        ],
        ids=["length", "chunked", "empty", "1.0 kept", "continue"],
    )
    async def test_kept(self, receiver: Receiver, answer: bytes) -> None:
        """An answer that says where it ends leaves the connection for the next."""
        receiver.serve = answering(*[answer] * 5)
        async with sending(receiver.url) as sender:
            assert [await attempt(sender) for _ in range(5)] == [Result(200)] * 5
        assert receiver.connections == 1

    @pytest.mark.parametrize(
        "answer",
        [
            b"HTTP/1.1 200 OK\r\n\r\nto the end",
            b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok",
            b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
        ],
        ids=["no length", "close", "1.0"],
    )
    async def test_not_kept(self, receiver: Receiver, answer: bytes) -> None:
        """After one that ends with its connection the next request has another."""

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await request(reader)
            writer.write(answer)

        receiver.serve = serve
        async with sending(receiver.url) as sender:
            assert [await attempt(sender) for _ in range(3)] == [Result(200)] * 3
        assert receiver.connections == 3

    async def test_byte_by_byte(self, receiver: Receiver) -> None:
        """An answer that comes in single bytes is understood."""

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await request(reader)
            for byte in b"HTTP/1.1 429 Slow\r\nRetry-After: 7\r\ncontent-length: 0\r\n\r\n":
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0)

        receiver.serve = serve
        async with sending(receiver.url) as sender:
            assert await attempt(sender) == Result(429, 7.0)

    async def test_nobody_waits_for_a_body(self, receiver: Receiver) -> None:
        """A request does not use up its time waiting for the rest of the answer before it."""

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await request(reader)
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n")
            await reader.read()

        receiver.serve = serve
        async with sending(receiver.url, concurrency=1, timeout=connection.BODY_TIME * 0.9) as sender:
            assert [await attempt(sender) for _ in range(5)] == [Result(200)] * 5
        assert receiver.connections == 5

    async def test_switching(self, receiver: Receiver) -> None:
        """A target that wants to speak another protocol has answered 101, and is not spoken to any more."""
        receiver.serve = answering(
            b"HTTP/1.1 101 Switching\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n\x81\x00"
        )
        async with sending(receiver.url) as sender:
            assert [await attempt(sender) for _ in range(2)] == [Result(101)] * 2
        assert receiver.connections == 2

    async def test_retry_after_of_an_interim_answer(self, receiver: Receiver) -> None:
        """A Retry-After counts in the answer itself only."""
        receiver.serve = answering(
            b"HTTP/1.1 103 Hints\r\nretry-after: 9\r\n\r\nHTTP/1.1 503 X\r\ncontent-length: 0\r\n\r\n"
        )
        async with sending(receiver.url) as sender:
            assert await attempt(sender) == Result(503)

    @pytest.mark.parametrize(
        "piece", [b"HTTP/1.1 100 Continue\r\n\r\n", b"x: y\r\n"], ids=["interim", "headers"]
    )
    async def test_endless(self, receiver: Receiver, piece: bytes) -> None:
        """Endless interim answers, or headers, are given up after so many bytes, long before the time is over."""
        sent = 0

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal sent
            await request(reader)
            writer.write(b"HTTP/1.1 100 Continue\r\n" + (b"\r\n" if piece.startswith(b"HTTP") else b""))
            while True:
                writer.write(piece * 1000)
                sent += 1000 * len(piece)
                await writer.drain()

        receiver.serve = serve
        async with sending(receiver.url, timeout=LIMIT) as sender:
            answer = await attempt(sender)
        assert answer == Result(None, error=f"the answer's headers are longer than {MAX_HEAD} bytes")

    async def test_an_answer_before_the_end_of_the_request(self, receiver: Receiver) -> None:
        """A target may answer before it has read all; what it did not read is not sent to it later on."""

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 413 Large\r\ncontent-length: 0\r\n\r\n")
            await writer.drain()
            await done.wait()

        done = asyncio.Event()
        receiver.serve = serve
        async with sending(receiver.url) as sender, asyncio.timeout(LIMIT):
            for _ in range(2):
                assert await sender.attempt("event-1", b"x" * 50_000_000) == Result(413)
            done.set()
        assert receiver.connections == 2


class TestRequests:
    """What goes out."""

    @pytest.mark.parametrize("path", ["/", "/a/../b//c", "/a?b=c&d=%2F%2f", "/a;b=1?c=d?e/f", "/~a/%7eb"])
    async def test_path(self, receiver: Receiver, path: str) -> None:
        """Path and query go out as they were given."""
        async with sending(f"http://127.0.0.1:{receiver.port}{path}") as sender:
            assert await attempt(sender) == Result(204)
        assert receiver.requests[0].line == f"POST {path} HTTP/1.1"
        assert receiver.requests[0].headers["host"] == f"127.0.0.1:{receiver.port}"

    async def test_userinfo(self, receiver: Receiver) -> None:
        """User and password of the URL are sent as HTTP Basic, unless the target has a header of its own for that."""
        url = f"http://ann:s%40cret@127.0.0.1:{receiver.port}/"
        for headers in ({}, {"Authorization": "Bearer x"}):
            async with sending(url, headers=headers) as sender:
                assert await attempt(sender) == Result(204)
        assert [one.headers["authorization"] for one in receiver.requests] == [
            "Basic YW5uOnNAY3JldA==",
            "Bearer x",
        ]
        assert receiver.requests[0].headers["host"] == f"127.0.0.1:{receiver.port}"

    @pytest.mark.parametrize(
        ("name", "value"), [("x", "a\r\nb: c"), ("x", "a\nb"), ("x\r\ny", "a"), ("x y", "a"), ("x", "ü")]
    )
    async def test_injection(self, receiver: Receiver, name: str, value: str) -> None:
        """A header that would end and begin another is refused when the sender is made."""
        with pytest.raises(ValueError, match="cannot be sent as a header"):
            async with sending(receiver.url, headers={name: value}):
                pass

    async def test_ipv6(self) -> None:
        """An IPv6 address stands in brackets in the Host header."""
        lines: list[bytes] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            lines.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(OK)
            await writer.drain()
            writer.close()

        try:
            server = await asyncio.start_server(serve, "::1", 0)
        except OSError:
            pytest.skip("this machine has no IPv6; enable it on its loopback interface")
        port = server.sockets[0].getsockname()[1]
        async with sending(f"http://[::1]:{port}/x") as sender:
            assert await attempt(sender) == Result(200)
        server.close()
        await server.wait_closed()
        assert f"host: [::1]:{port}\r\n".encode() in lines[0]

    async def test_a_name_with_several_addresses(
        self, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Of a name's addresses one that refuses does not matter when another accepts."""
        loop = asyncio.get_running_loop()

        async def getaddrinfo(host: str, port: int, **more: object) -> list[object]:
            refusing = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.2", port))
            return [refusing, (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

        monkeypatch.setattr(loop, "getaddrinfo", getaddrinfo)
        async with sending(f"http://many.example:{receiver.port}/hooks") as sender:
            assert await attempt(sender) == Result(204)
        assert receiver.requests[0].headers["host"] == f"many.example:{receiver.port}"

    async def test_no_such_name(self) -> None:
        """A host that no name can be is an error as any other."""
        async with sending("http://a..b/") as sender:
            answer = await attempt(sender)
        assert answer.status is None
        assert answer.error

    async def test_a_proxy_of_another_kind(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A proxy that cannot be used is an error that says so, without the password that may stand in it."""
        for name in ("http_proxy", "HTTP_PROXY"):
            monkeypatch.setenv(name, "gopher://ann:s3cret@127.0.0.1:9")
        async with sending("http://hooks.example.com/") as sender:
            await asyncio.to_thread(sender.open)
            answer = await attempt(sender)
        assert answer.error is not None
        assert "proxy" in answer.error
        assert "s3cret" not in answer.error

    async def test_a_tunnel(self, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
        """A target that is reached by TLS is asked for through the proxy by CONNECT, whose refusal is an error."""
        for name in ("https_proxy", "HTTPS_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{receiver.port}")
        receiver.answer = lambda _: Answer(403)
        async with sending("https://hooks.example.com/there") as sender:
            answer = await attempt(sender)
        assert answer.status is None
        assert receiver.requests[0].line == "CONNECT hooks.example.com:443 HTTP/1.1"
        assert "webhook-id" not in receiver.requests[0].headers
