"""Clients that say exactly what they are told to, byte by byte."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any, NamedTuple

from websockets.frames import Frame, Opcode

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10

_KEY = "dGhlIHNhbXBsZSBub25jZQ=="
_ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # RFC 6455, section 1.3

# Nothing here takes as long as this.
PATIENCE = 30.0


class Response(NamedTuple):
    """An HTTP response, read whole."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body."""
        return self.body.decode()

    @property
    def code(self) -> int:
        """The Engine.IO error code in a denial's body."""
        found: int = json.loads(self.body)["code"]
        return found


async def _read_head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)).decode("latin-1")
    first, *lines = head.split("\r\n")[:-2]
    headers = dict(line.split(": ", 1) for line in lines)
    return int(first.split()[1]), {name.lower(): value for name, value in headers.items()}


async def _read_response(reader: asyncio.StreamReader, *, with_body: bool = True) -> Response:
    status, headers = await _read_head(reader)
    size = int(headers.get("content-length", "0")) if with_body else 0
    return Response(status, headers, await asyncio.wait_for(reader.readexactly(size), PATIENCE))


def _head(method: str, path: str, headers: dict[str, str]) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode("latin-1")


async def http(
    port: int, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> Response:
    """Make one request on a connection of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        fields = {"Host": f"127.0.0.1:{port}", "Connection": "close", "Content-Length": str(len(body))}
        writer.write(_head(method, path, fields | (headers or {})) + body)
        return await _read_response(reader, with_body=method != "HEAD")
    finally:
        writer.close()


class Poller:
    """A long-polling client."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.hello: dict[str, Any] = {}

    @property
    def sid(self) -> str:
        """The session id that the server gave."""
        found: str = self.hello["sid"]
        return found

    @property
    def path(self) -> str:
        """Path and query of the session's requests."""
        return f"/engine.io/?EIO=4&transport=polling&sid={self.sid}"

    async def open(self) -> None:
        """Shake hands."""
        response = await http(self.port, "GET", "/engine.io/?EIO=4&transport=polling")
        assert response.status == 200
        assert response.text[0] == "0"
        self.hello = json.loads(response.text[1:])

    async def poll(self) -> Response:
        """GET what waits."""
        return await http(self.port, "GET", self.path)

    async def post(self, body: str | bytes) -> Response:
        """POST packets."""
        return await http(self.port, "POST", self.path, body.encode() if isinstance(body, str) else body)

    async def begin(self, method: str, body: bytes = b"", length: int | None = None) -> HalfRequest:
        """Begin a request, announcing a body of *length*, and do not wait for its answer."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        fields = {
            "Host": "h",
            "Connection": "close",
            "Content-Length": str(len(body) if length is None else length),
        }
        writer.write(_head(method, self.path, fields) + body)
        await writer.drain()
        return HalfRequest(reader, writer)


class HalfRequest:
    """A request whose answer, or rest, is still to come."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def more(self, body: bytes) -> None:
        """Send more of the body."""
        self._writer.write(body)
        await self._writer.drain()

    async def answer(self) -> Response:
        """Wait for the answer."""
        try:
            return await _read_response(self._reader)
        finally:
            self._writer.close()

    def hang_up(self) -> None:
        """Cut the connection."""
        self._writer.transport.abort()


class Refused(Exception):
    """The WebSocket handshake was answered with another status."""

    def __init__(self, response: Response) -> None:
        super().__init__(f"{response.status} {response.text}")
        self.response = response


class WebSocket:
    """One end of a WebSocket, frame by frame."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.headers: dict[str, str] = {}
        self.hello: dict[str, Any] = {}

    @classmethod
    async def connect(
        cls,
        port: int,
        path: str,
        headers: dict[str, str] | None = None,
        early: bytes = b"",
        receive_buffer: int | None = None,
    ) -> WebSocket:
        """Shake hands, with *early* bytes right behind the request; raise `Refused` for anything but 101."""
        line = socket.socket()
        line.setblocking(False)
        if receive_buffer is not None:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        await asyncio.get_running_loop().sock_connect(line, ("127.0.0.1", port))
        # A small limit keeps the stream from reading ahead of a test that does not read.
        limit = 2**16 if receive_buffer is None else 1024
        reader, writer = await asyncio.open_connection(sock=line, limit=limit)
        fields = {
            "Host": f"127.0.0.1:{port}",
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Key": _KEY,
            "Sec-WebSocket-Version": "13",
        }
        writer.write(_head("GET", path, fields | (headers or {})) + early)
        try:
            status, found = await _read_head(reader)
            if status != 101:
                size = int(found.get("content-length", "0"))
                body = await asyncio.wait_for(reader.readexactly(size), PATIENCE)
                raise Refused(Response(status, found, body))
        except BaseException:
            writer.transport.abort()
            raise
        assert found["sec-websocket-accept"] == _ACCEPT
        peer = cls(reader, writer)
        peer.headers = found
        return peer

    async def opened(self) -> None:
        """Read the OPEN packet."""
        packet = await self.receive()
        assert isinstance(packet, str)
        assert packet[0] == "0"
        self.hello = json.loads(packet[1:])

    @property
    def sid(self) -> str:
        """The session id that the server gave."""
        found: str = self.hello["sid"]
        return found

    def pause(self) -> None:
        """Read nothing more from the kernel."""
        self.writer.transport.pause_reading()  # type: ignore[attr-defined]

    def resume(self) -> None:
        """Read again."""
        self.writer.transport.resume_reading()  # type: ignore[attr-defined]

    async def raw(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.writer.write(data)
        await self.writer.drain()

    async def frame(self, opcode: int, payload: bytes = b"", *, fin: bool = True) -> None:
        """Send one masked frame."""
        await self.raw(masked(opcode, payload, fin=fin))

    async def text(self, packet: str) -> None:
        """Send a text message."""
        await self.frame(TEXT, packet.encode())

    async def read(self) -> tuple[int, bytes]:
        """Return the next frame's opcode and payload; the server's frames are whole and not masked."""
        first, second = await self._take(2)
        assert first & 0xF0 == 0x80
        assert second < 0x80
        length = second
        if second > 125:
            length = int.from_bytes(await self._take(2 if second == 126 else 8), "big")
        return first & 0x0F, await self._take(length)

    async def _take(self, size: int) -> bytes:
        return await asyncio.wait_for(self.reader.readexactly(size), PATIENCE)

    async def receive(self) -> str | bytes:
        """Return the next message."""
        opcode, payload = await self.read()
        assert opcode in (TEXT, BINARY), (opcode, payload)
        return payload.decode() if opcode == TEXT else payload

    async def closed(self) -> int:
        """Read on to the server's close frame, answer it, wait for the end, and return its code."""
        while True:
            opcode, payload = await self.read()
            if opcode == CLOSE:
                break
        payload[2:].decode()
        await self.frame(CLOSE, payload[:2])
        await self.gone()
        return int.from_bytes(payload[:2], "big")

    async def gone(self) -> None:
        """Wait until the server has closed the connection; what still came is thrown away."""
        try:
            while await asyncio.wait_for(self.reader.read(65536), PATIENCE):
                pass
        except ConnectionError:
            pass
        finally:
            self.writer.close()

    async def bye(self) -> None:
        """Close by the protocol."""
        await self.frame(CLOSE, b"\x03\xe8")
        await self.gone()

    def hang_up(self) -> None:
        """Cut the connection."""
        self.writer.transport.abort()


def masked(opcode: int, payload: bytes = b"", *, fin: bool = True) -> bytes:
    """Return the frame that a client would send, by the library."""
    return Frame(Opcode(opcode), payload, fin).serialize(mask=True)
