"""One Socket.IO client over WebSocket, lean enough that a process can be hundreds of them.

The websockets library shakes hands, answers pings and masks what is sent. Plain text frames, nearly all that
arrives, are cut out of the stream here and given on as bytes: a load test that spends more than the server
does would measure itself.
"""

import asyncio
import json
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidHandshake, InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.uri import parse_uri

TEXT = 0x81
"""First byte of a text frame that is a whole message."""
SWITCHING = b"HTTP/1.1 101"


class Refused(Exception):
    """The server does not take this client; says why."""

    def __init__(self, why: str, retry_after: float | None = None) -> None:
        super().__init__(why)
        self.retry_after = retry_after


@dataclass(frozen=True)
class Address:
    """Where the server is."""

    host: str
    port: int
    secure: bool
    path: str

    @classmethod
    def of(cls, url: str) -> "Address":
        """Read an address as a user gives it: http://host:port, and a path when Engine.IO's is not the usual one."""
        parts = urlsplit(url if "//" in url else f"http://{url}")
        if parts.scheme not in ("http", "https", "ws", "wss") or not parts.hostname:
            raise ValueError(f"not a http:// or https:// address: {url}")
        secure = parts.scheme in ("https", "wss")
        path = parts.path if parts.path.strip("/") else "/socket.io/"
        return cls(parts.hostname, parts.port or (443 if secure else 80), secure, path)

    @property
    def uri(self) -> str:
        """Return the address of the WebSocket transport."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        scheme = "wss" if self.secure else "ws"
        return f"{scheme}://{host}:{self.port}{self.path}?EIO=4&transport=websocket"


class Client(asyncio.Protocol):
    """A connected client: it emits with acknowledgements and hands on every event as bytes."""

    def __init__(self, address: Address, auth: dict[str, Any], on_event: Callable[[bytes], None]) -> None:
        self.lost = False
        self._websocket = ClientProtocol(parse_uri(address.uri), max_size=None)
        self._auth = auth
        self._on_event = on_event
        self._transport: asyncio.WriteTransport
        self._upgraded = False
        self._pending = b""
        self._fragments = b""
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._acks: dict[int, Callable[[Any], None]] = {}
        self._next_ack = 0

    async def ready(self) -> None:
        """Wait until the namespace is joined; raise Refused when it is not."""
        await self._ready

    def emit(self, event: str, payload: dict[str, Any], on_ack: Callable[[Any], None]) -> None:
        """Send an event; `on_ack` gets what the server answers."""
        number, self._next_ack = self._next_ack, self._next_ack + 1
        self._acks[number] = on_ack
        self._send(f"42{number}{json.dumps([event, payload])}")

    async def call(self, event: str, payload: dict[str, Any]) -> Any:
        """Send an event and return what the server answers."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.emit(event, payload, lambda found: None if answer.done() else answer.set_result(found))
        return await answer

    def close(self) -> None:
        """Say goodbye and hang up."""
        if not self.lost:
            self._send("1")
            self._transport.close()

    # asyncio calls these

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade."""
        self._transport = cast("asyncio.WriteTransport", transport)
        self._websocket.send_request(self._websocket.connect())
        self._write()

    def connection_lost(self, exc: Exception | None) -> None:
        """Remember it; somebody may be waiting."""
        self.lost = True
        self._fail(Refused(f"the server closed the connection{f': {exc}' if exc else ''}"))

    def data_received(self, data: bytes) -> None:
        """Cut frames out of the stream."""
        self._pending += data
        if self._upgraded or self._upgrade():
            self._cut()

    def _upgrade(self) -> bool:
        """Shake hands; what follows the upgrade's answer in the same read is ours to cut."""
        rest = b""
        if self._pending.startswith(SWITCHING[: len(self._pending)]):
            head, end, rest = self._pending.partition(b"\r\n\r\n")
            if not end:
                return False
            self._websocket.receive_data(head + end)
        else:  # a refusal, whose body may come in pieces
            self._websocket.receive_data(self._pending)
        self._pending = rest
        self._upgraded = any(isinstance(event, Response) for event in self._websocket.events_received())
        if self._websocket.handshake_exc is not None:
            self._fail(_why_not(self._websocket.handshake_exc))
            self._transport.close()
        return self._upgraded

    def _cut(self) -> None:
        data, at = self._pending, 0
        while (end := _frame_end(data, at)) is not None:
            if data[at] == TEXT:
                self._text(data[at + _head_size(data[at + 1]) : end])
            else:
                self._other(data[at:end])
            at = end
        self._pending = data[at:]

    def _other(self, frame: bytes) -> None:
        """Leave a ping, a close, a fragment to the library, always whole frames."""
        self._websocket.receive_data(frame)
        for event in self._websocket.events_received():
            if isinstance(event, Frame) and event.opcode in (Opcode.TEXT, Opcode.CONT):
                self._fragment(event)
        self._write()
        if self._websocket.close_expected():
            self._transport.close()

    def _fragment(self, frame: Frame) -> None:
        self._fragments += frame.data
        if frame.fin:
            whole, self._fragments = self._fragments, b""
            self._text(whole)

    def _text(self, packet: bytes) -> None:
        if packet.startswith(b"42"):
            self._on_event(packet)
        elif packet.startswith(b"43"):
            self._acknowledged(packet)
        elif packet == b"2":
            self._send("3")
        elif packet.startswith(b"0"):
            self._send(f"40{json.dumps(self._auth)}")
        elif packet.startswith(b"40") and not self._ready.done():
            self._ready.set_result(None)
        elif packet.startswith(b"44"):
            self._fail(Refused(json.loads(packet[2:])["message"]))

    def _acknowledged(self, packet: bytes) -> None:
        bracket = packet.index(b"[")
        on_ack = self._acks.pop(int(packet[2:bracket]), None)
        if on_ack:
            on_ack(next(iter(json.loads(packet[bracket:])), None))

    def _fail(self, error: Refused) -> None:
        if not self._ready.done():
            self._ready.set_exception(error)

    def _send(self, text: str) -> None:
        if not self.lost:
            self._websocket.send_text(text.encode())
            self._write()

    def _write(self) -> None:
        self._transport.write(b"".join(self._websocket.data_to_send()))


async def connect(address: Address, auth: dict[str, Any], on_event: Callable[[bytes], None]) -> Client:
    """Return a client that is in; raise OSError or Refused."""
    loop = asyncio.get_running_loop()
    context = ssl.create_default_context() if address.secure else None
    _, client = await loop.create_connection(
        lambda: Client(address, auth, on_event), address.host, address.port, ssl=context
    )
    await client.ready()
    return client


def _why_not(error: Exception) -> Refused:
    if isinstance(error, InvalidStatus):
        response = error.response
        after = response.headers.get("Retry-After", "1") if response.status_code == 503 else None
        return Refused(f"it answered HTTP {response.status_code}", _seconds(after))
    if isinstance(error, InvalidHandshake):
        return Refused("it does not speak WebSocket there")
    return Refused(str(error))


def _seconds(text: str | None) -> float | None:
    return float(text) if text and text.isdecimal() else None


def _head_size(second: int) -> int:
    return 2 if second < 126 else 4 if second == 126 else 10


def _frame_end(data: bytes, at: int) -> int | None:
    """Return where the frame that starts at `at` ends; None when it is not all there. Servers do not mask."""
    if len(data) - at < 2:
        return None
    head = _head_size(data[at + 1])
    if len(data) - at < head:
        return None
    size = data[at + 1] if head == 2 else int.from_bytes(data[at + 2 : at + head], "big")
    end = at + head + size
    return end if end <= len(data) else None
