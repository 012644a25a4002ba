"""A plain WebSocket as a device would use one: JSON objects out and in, by their `type`."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

LIMIT = 10.0
_numbers = itertools.count(1)


class Plain:
    """The client. It answers the server's pings, unless *mute*."""

    def __init__(self, connection: ClientConnection, *, mute: bool = False) -> None:
        self.connection = connection
        self.mute = mute
        self.story: list[dict[str, Any]] = []
        self._unread: deque[dict[str, Any]] = deque()

    async def send(self, frame: Any) -> None:
        """Send text and binary as they are, anything else as JSON."""
        await self.connection.send(frame if isinstance(frame, str | bytes) else json.dumps(frame))

    async def receive(self) -> dict[str, Any]:
        """The next frame that is no ping of the server, whatever it is."""
        while True:
            async with asyncio.timeout(LIMIT):
                text = await self.connection.recv()
            assert isinstance(text, str)
            frame: dict[str, Any] = json.loads(text)
            self.story.append(frame)
            if frame["type"] != "ping":
                return frame
            assert frame.keys() == {"type", "timestamp"}
            if not self.mute:
                await self.send({"type": "pong"})

    async def next(self, type_: str) -> dict[str, Any]:
        """The next frame of that type; what came before is kept for later."""
        return await self.find(lambda frame: frame["type"] == type_)

    async def find(self, fits: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The next frame that fits."""
        for frame in self._unread:
            if fits(frame):
                self._unread.remove(frame)
                return frame
        while True:
            frame = await self.receive()
            if fits(frame):
                return frame
            self._unread.append(frame)

    async def ask(self, type_: str, **fields: Any) -> dict[str, Any]:
        """Send an event and return the answer without what makes it one."""
        number = next(_numbers)
        await self.send({"type": type_, **fields, "id": number})
        answer = await self.find(lambda frame: frame["type"] == "ack" and frame["id"] == number)
        return {key: value for key, value in answer.items() if key not in ("type", "id")}

    async def none(self, *types: str) -> None:
        """Nothing of these types came until now."""
        await self.ask("ping")
        assert not [frame for frame in self._unread if frame["type"] in types], self._unread

    async def closed(self) -> tuple[int | None, str]:
        """Wait for the server to close; code and reason of its close frame, None without one."""
        with contextlib.suppress(ConnectionClosed):
            while True:
                self._unread.append(await self.receive())
        frame = self.connection.protocol.close_rcvd
        return (frame.code, frame.reason) if frame is not None else (None, "")

    def cut(self) -> None:
        """Be gone without a word."""
        self.connection.transport.abort()


@contextlib.asynccontextmanager
async def plain(
    url: str, path: str = "/ws", *, mute: bool = False, welcome: bool = True, **options: Any
) -> AsyncIterator[Plain]:
    """A connection to *path* on the server at *url*, which begins with ``http``; it has heard its welcome."""
    settings = {"proxy": None, "compression": None, "ping_interval": None, "close_timeout": 1, **options}
    async with connect("ws" + url.removeprefix("http") + path, **settings) as connection:
        client = Plain(connection, mute=mute)
        if welcome:
            assert (await client.receive())["type"] == "welcome"
        yield client
