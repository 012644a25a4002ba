"""A line between a client and the server: TCP that can be cut at any byte, on one end or on both."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator


class End(asyncio.Protocol):
    """One end of a call. What comes in goes out at the other."""

    def __init__(self, line: Line, *, server: bool) -> None:
        self.line = line
        self.server = server
        self.transport: asyncio.Transport | None = None
        self.other: End | None = None
        self.waiting = b""
        # Cut off from the other: what comes is lost, and the other's end is not ours.
        self.alone = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.line.ends.add(self)
        if self.alone or self.line.closed:
            transport.abort()
        elif self.waiting:
            transport.write(self.waiting)
            self.waiting = b""

    def data_received(self, data: bytes) -> None:
        """Carry it over."""
        if self.server:
            data = self.line.let_through(data)
        if self.other is not None and not self.alone and data:
            self.other.write(data)
        if self.server and self.line.left == 0:
            self.line.cut()

    def write(self, data: bytes) -> None:
        """Send, as soon as there is somebody to send it to."""
        if self.transport is None:
            self.waiting += data
        else:
            self.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """End the other one, too."""
        self.line.ends.discard(self)
        if self.other is not None and not self.alone and self.other.transport is not None:
            self.other.transport.close()


class Line:
    """The line. `url` is the client's end."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._server: asyncio.Server | None = None
        self._dialling: set[asyncio.Task[None]] = set()
        self.ends: set[End] = set()
        self.left: int | None = None
        self._goes_down = False
        self.closed = False
        self.down = False
        self.cuts = 0
        self.url = ""

    async def open(self) -> None:
        """Begin to listen."""
        self._server = await asyncio.get_running_loop().create_server(self._answer, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def close(self) -> None:
        """Cut everything and listen no more."""
        assert self._server is not None
        self.down = self.closed = True
        quiet = 0
        while quiet < 30:
            # Whoever still calls is sent away first: asyncio loses a connection that it takes while it stops to listen.
            quiet = 0 if self.ends or self._dialling else quiet + 1
            for end in self.ends:
                assert end.transport is not None
                end.transport.abort()
            await asyncio.sleep(0.002)
        self._server.close()

    def cut(self, *, half: bool = False) -> None:
        """Cut every call; a *half* one only for the client: the server goes on talking into it and hears nothing."""
        self.cuts += 1
        self.left = None
        self.down = self.down or self._goes_down
        self._goes_down = False
        for end in list(self.ends):
            end.alone = True
            if end.transport is not None and not (half and end.server):
                end.transport.abort()

    def cut_after(self, size: int, *, down: bool = False) -> None:
        """Cut every call when so many more bytes of the server have gone through, in the middle of whatever it is.

        *down*: nobody gets through afterwards.
        """
        self.left = size
        self._goes_down = down

    def let_through(self, data: bytes) -> bytes:
        """Return what goes through of the server's bytes."""
        if self.left is not None:
            data = data[: self.left]
            self.left -= len(data)
        return data

    def _answer(self) -> End:
        client, server = End(self, server=False), End(self, server=True)
        client.other, server.other = server, client
        task = asyncio.ensure_future(self._dial(client, server))
        self._dialling.add(task)
        task.add_done_callback(self._dialling.discard)
        return client

    async def _dial(self, client: End, server: End) -> None:
        # The call is made out before anybody hangs up.
        await asyncio.sleep(0)
        with contextlib.suppress(OSError):
            if not self.down:
                await asyncio.get_running_loop().create_connection(lambda: server, "127.0.0.1", self._port)
        if server.transport is None or self.down or client.alone:
            for end in (client, server):
                end.alone = True
                if end.transport is not None:
                    end.transport.abort()


@contextlib.asynccontextmanager
async def line(port: int) -> AsyncIterator[Line]:
    """Yield a line to the server on *port*."""
    one = Line(port)
    await one.open()
    try:
        yield one
    finally:
        await one.close()
