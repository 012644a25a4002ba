"""An engine served by uvicorn in this process, and what a test needs to know of it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import uvicorn

from rtserver.transport.engine import EngineServer
from rtserver.transport.uvicorn_ws import DirectWebSocketProtocol
from tests.integration.transport.wire_client import Poller, WebSocket

# The two ways a WebSocket takes through uvicorn: handed straight to the session, or over plain ASGI.
DIRECT, ASGI = "direct", "asgi"


async def eventually(holds: Callable[[], Any], within: float = 30.0) -> None:
    """Wait until *holds* returns something true; fail when it does not in time."""
    deadline = asyncio.get_running_loop().time() + within
    while not holds():  # a condition on the outside of several layers, none of which has an event
        assert asyncio.get_running_loop().time() < deadline, "it did not come true in time"
        await asyncio.sleep(0.002)


class Stand:
    """The server under test. Its application echoes every message, unless a test says otherwise."""

    def __init__(self, way: str, engine: EngineServer, server: uvicorn.Server, port: int) -> None:
        self.way = way
        self.engine = engine
        self.server = server
        self.port = port
        self.connected: list[str] = []
        self.messages: list[Any] = []
        self.ended: list[str] = []
        self.peers: list[WebSocket] = []
        self.echo = True
        self.troubles = Troubles()
        engine.on("connect", self._on_connect)
        engine.on("message", self.on_message)
        engine.on("disconnect", self._on_disconnect)

    def _on_connect(self, sid: str, environ: dict[str, Any]) -> None:
        self.connected.append(sid)

    async def on_message(self, sid: str, data: Any) -> None:
        """Keep and echo a message."""
        self.messages.append(data)
        if self.echo:
            await self.engine.send(sid, data)

    def _on_disconnect(self, sid: str, reason: str) -> None:
        self.ended.append(reason)

    @property
    def connections(self) -> int:
        """How many TCP connections the server has."""
        return len(self.server.server_state.connections)

    def url(self, transport: str = "websocket", sid: str | None = None, more: str = "") -> str:
        """Return the path and query of a request."""
        return f"/engine.io/?EIO=4&transport={transport}" + (f"&sid={sid}" if sid else "") + more

    async def websocket(self, **options: Any) -> WebSocket:
        """Open a WebSocket session of raw frames; its OPEN packet has been read."""
        peer = await self.line(**options)
        await peer.opened()
        return peer

    async def line(self, sid: str | None = None, **options: Any) -> WebSocket:
        """Open a WebSocket of raw frames and read nothing."""
        peer = await WebSocket.connect(self.port, self.url(sid=sid), **options)
        self.peers.append(peer)
        return peer

    async def poller(self) -> Poller:
        """Open a long-polling session."""
        poller = Poller(self.port)
        await poller.open()
        return poller

    async def serves(self) -> None:
        """Check that another client, on each transport, is served."""
        peer = await self.websocket()
        await peer.text("4still there?")
        expected = "4still there?"
        if self.echo:
            assert await peer.receive() == expected
        await peer.bye()
        poller = await self.poller()
        assert (await poller.post("4and here?")).status == 200
        if self.echo:
            assert (await poller.poll()).text == "4and here?"
        assert (await poller.post("1")).status == 200

    async def is_empty(self) -> None:
        """Check that no session is left."""
        await eventually(lambda: not self.engine.sockets)


# What uvicorn's own class says of every handshake that is refused with a status, and of text that is not UTF-8.
_EXPECTED = {
    "ASGI callable returned without completing handshake.",
    "Invalid UTF-8 sequence received from client.",
}


class Troubles(logging.Handler):
    """What was logged as an error: a hostile client must not cause any."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it."""
        if record.getMessage() not in _EXPECTED:
            self.texts.append(logging.Formatter().format(record))


@contextlib.asynccontextmanager
async def serving(
    way: str, *, deflate: bool = False, send_buffer: int | None = None, **options: Any
) -> AsyncIterator[Stand]:
    """Serve an engine with *options*; afterwards nothing of it may be left, and no error may have been logged.

    With *send_buffer* the kernel holds about so many bytes for each client, and the server has to hold the rest.
    """
    tasks = asyncio.all_tasks()
    engine = EngineServer(**options)
    config = uvicorn.Config(
        engine.handle_request,
        interface="asgi3",
        ws=DirectWebSocketProtocol if way == DIRECT else "websockets-sansio",
        ws_max_size=engine.max_http_buffer_size,
        ws_per_message_deflate=deflate,
        ws_ping_interval=None,
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_keep_alive=1,
    )
    config.load()
    listener = socket.create_server(("127.0.0.1", 0))
    if send_buffer is not None:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup([listener])
    stand = Stand(way, engine, server, listener.getsockname()[1])
    # An application that embedded us in another test may have cut our loggers off from the root.
    ours = logging.getLogger("rtserver")
    cut_off, ours.propagate = not ours.propagate, True
    logging.getLogger().addHandler(stand.troubles)
    try:
        yield stand
        await eventually(lambda: not engine.sockets)
        if server.server_state.connections:
            # A lane that was closed waits a moment for its peer, and no longer.
            await asyncio.wait_for(server.shutdown([listener]), 4)
        await eventually(lambda: asyncio.all_tasks() - {asyncio.current_task()} <= tasks)
        assert stand.troubles.texts == []
    finally:
        await engine.shutdown()
        for accepting in server.servers:
            accepting.close()
        for peer in stand.peers:
            peer.hang_up()
        listener.close()
        for connection in list(server.server_state.connections):
            connection.transport.abort()
        logging.getLogger().removeHandler(stand.troubles)
        ours.propagate = not cut_off
