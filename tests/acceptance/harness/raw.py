# ruff: noqa: ASYNC109 (a noun says what it returns; a limit in seconds belongs to the call)
"""Bare Engine.IO and Socket.IO by hand, for what no decent client would send."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import urlencode

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from .node_client import LIMIT

PATH = "/socket.io/"
SEPARATOR = "\x1e"


class RawWebSocket:
    """A WebSocket that speaks Engine.IO packets; it answers pings and shows everything else."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.seen: list[str | bytes] = []
        self.handshake: dict[str, Any] = {}

    async def send(self, frame: str | bytes) -> None:
        """Send one frame as it is."""
        await self.connection.send(frame)

    async def event(self, event: str, *args: Any, ack: int | None = None, namespace: str = "") -> None:
        """Send one EVENT packet."""
        prefix = f"{namespace}," if namespace else ""
        await self.send(f"42{prefix}{'' if ack is None else ack}{json.dumps([event, *args])}")

    async def receive(self, timeout: float = LIMIT) -> str | bytes:
        """The next frame that is not an Engine.IO ping."""
        while True:
            frame = await asyncio.wait_for(self.connection.recv(), timeout)
            if frame == "2":
                await self.send("3")
                continue
            self.seen.append(frame)
            return frame

    async def until(self, prefix: str, timeout: float = LIMIT) -> str:
        """The next text frame that starts so; others are passed over (see `seen`)."""
        while True:
            frame = await self.receive(timeout)
            if isinstance(frame, str) and frame.startswith(prefix):
                return frame

    async def until_event(self, event: str, timeout: float = LIMIT) -> Any:
        """The payload of the next EVENT of that name in the main namespace."""
        return json.loads((await self.until(f'42["{event}"', timeout))[2:])[1]

    async def call(self, event: str, *args: Any, ack: int = 77) -> Any:
        """Send an EVENT with an ack id and return the ack's argument."""
        await self.event(event, *args, ack=ack)
        return json.loads((await self.until(f"43{ack}["))[len(f"43{ack}") :])[0]

    async def open_namespace(self, auth: Mapping[str, Any] | None = None, namespace: str = "") -> str:
        """CONNECT; returns the server's answer (`40{…}` or `44{…}`)."""
        prefix = f"{namespace}," if namespace else ""
        await self.send(f"40{prefix}{json.dumps(dict(auth)) if auth is not None else ''}")
        while True:
            frame = await self.receive()
            if isinstance(frame, str) and frame[:2] in ("40", "44"):
                return frame

    async def until_closed(self, timeout: float = LIMIT) -> int | None:
        """Wait until the server has closed; the code of its close frame, None without one."""
        with contextlib.suppress(ConnectionClosed):
            while True:
                await self.receive(timeout)
        frame = self.connection.protocol.close_rcvd
        return frame.code if frame is not None else None


@contextlib.asynccontextmanager
async def engine(
    url: str,
    *,
    query: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    compression: str | None = None,
) -> AsyncIterator[RawWebSocket]:
    """An Engine.IO session over WebSocket, without any namespace."""
    address = (
        url.replace("http", "ws", 1)
        + PATH
        + "?"
        + urlencode({"EIO": "4", "transport": "websocket", **(query or {})})
    )
    async with connect(
        address,
        additional_headers=dict(headers or {}),
        proxy=None,
        compression=compression,
        ping_interval=None,
        open_timeout=LIMIT,
        close_timeout=2,
        max_size=None,
        max_queue=None,
    ) as connection:
        raw = RawWebSocket(connection)
        opened = await raw.receive()
        assert isinstance(opened, str), opened
        assert opened.startswith("0{"), opened
        raw.handshake = json.loads(opened[1:])
        yield raw


@contextlib.asynccontextmanager
async def client(url: str, client_id: str, **auth: Any) -> AsyncIterator[RawWebSocket]:
    """A connected client of the main namespace."""
    async with engine(url) as raw:
        answer = await raw.open_namespace({"client_id": client_id, **auth})
        assert answer.startswith("40{"), answer
        yield raw


class RawPolling:
    """An Engine.IO session over HTTP long-polling."""

    def __init__(self, http: httpx.AsyncClient, sid: str, handshake: dict[str, Any]) -> None:
        self.http = http
        self.sid = sid
        self.handshake = handshake
        self._arrived: deque[str] = deque()

    @property
    def _params(self) -> dict[str, str]:
        return {"EIO": "4", "transport": "polling", "sid": self.sid}

    async def post(self, body: str | bytes, headers: Mapping[str, str] | None = None) -> httpx.Response:
        """One POST with this body as it is."""
        return await self.http.post(
            PATH,
            params=self._params,
            content=body,
            headers={"Content-Type": "text/plain;charset=UTF-8", **(headers or {})},
        )

    async def poll(self) -> httpx.Response:
        """One GET."""
        return await self.http.get(PATH, params=self._params)

    async def packets(self) -> list[str]:
        """The packets of one successful GET; pings are answered and left out."""
        response = await self.poll()
        assert response.status_code == 200, (response.status_code, response.text)
        packets = response.text.split(SEPARATOR)
        if "2" in packets:
            await self.post("3")
        return [packet for packet in packets if packet != "2"]

    async def until(self, prefix: str) -> str:
        """The next packet that starts so."""
        async with asyncio.timeout(LIMIT):
            while True:
                while self._arrived:
                    packet = self._arrived.popleft()
                    if packet.startswith(prefix):
                        return packet
                self._arrived.extend(await self.packets())

    async def until_closed(self) -> int:
        """Poll until the session is refused; returns the HTTP status."""
        async with asyncio.timeout(LIMIT):
            while True:
                response = await self.poll()
                if response.status_code != 200:
                    return response.status_code


def http(url: str, **more: Any) -> httpx.AsyncClient:
    """An HTTP client that looks at nobody's proxy settings."""
    return httpx.AsyncClient(base_url=url, trust_env=False, timeout=LIMIT, **more)


@contextlib.asynccontextmanager
async def polling(url: str, *, connect_as: str | None = None) -> AsyncIterator[RawPolling]:
    """A long-polling session; with `connect_as`, a connected client of the main namespace."""
    async with http(url) as session:
        response = await session.get(PATH, params={"EIO": "4", "transport": "polling"})
        assert response.status_code == 200, (response.status_code, response.text)
        assert response.text.startswith("0{"), response.text
        handshake = json.loads(response.text.split(SEPARATOR)[0][1:])
        raw = RawPolling(session, handshake["sid"], handshake)
        if connect_as is not None:
            await raw.post("40" + json.dumps({"client_id": connect_as}))
            await raw.until("40")
        yield raw
