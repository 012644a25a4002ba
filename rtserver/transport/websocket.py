"""WebSocket over plain ASGI, for any server: slower than `transport.direct`, the same in behaviour."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from rtserver.transport import frames
from rtserver.transport.lane import WEBSOCKET, LaneLimits, Receiver
from rtserver.transport.outbound import Outbound

Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]


class AsgiLane:
    """A bounded buffer and one task that empties it into ASGI's ``send``."""

    __slots__ = (
        "_ending",
        "_limits",
        "_max_payload",
        "_out",
        "_over",
        "_readable",
        "_size",
        "_wake",
        "_writing",
        "receiver",
    )
    name = WEBSOCKET

    def __init__(self, limits: LaneLimits, receiver: Receiver, max_payload: int) -> None:
        self.receiver = receiver
        self._max_payload = max_payload
        self._limits = limits
        self._out: list[Outbound] = []
        self._size = 0
        self._wake = asyncio.Event()
        self._readable: asyncio.Event | None = None
        self._ending: tuple[int, str] | None = None
        # Whether the receiver knows that it is over: it is told once, and not when it closed the lane itself.
        self._over = False
        self._writing = False

    @property
    def stalled(self) -> bool:
        """Tell whether a write is under way: it has a time limit of its own."""
        return self._writing

    def write(self, out: Outbound, volatile: bool = False) -> None:
        """Queue for the writer task; evict a client that would hold too much."""
        if self._ending is not None:
            return
        if volatile and self._writing and self._out:
            self._limits.dropped_volatile += 1
        elif self._out and self._size + out.size > self._limits.max_bytes:
            self._evict()
        else:
            self._out.append(out)
            self._size += out.size
            self._wake.set()

    def close(self, code: int, reason: str) -> None:
        """Let the writer send what waits, then close."""
        if self._ending is None:
            self._ending = (code, reason)
            self._over = True
            self._wake.set()
            self.resume_reading()

    def end(self) -> None:
        """Close normally."""
        self.close(frames.NORMAL, "")

    def abort(self) -> None:
        """Drop what waits, then close: ASGI knows no harder way."""
        self._out.clear()
        self._size = 0
        self.close(frames.GOING_AWAY, "")

    def pause_reading(self) -> None:
        """Take no more from the ASGI server, which then pauses its transport."""
        self._readable = asyncio.Event()

    def resume_reading(self) -> None:
        """Read on."""
        if self._readable is not None:
            self._readable.set()
            self._readable = None

    async def run(self, receive: Receive, send: Send) -> None:
        """Serve the connection until it ends, whoever ends it."""
        closed: tuple[int | None] | None = None
        reader = asyncio.ensure_future(self._read(receive))
        writer = asyncio.ensure_future(self._write(send))
        try:
            await asyncio.wait({reader, writer}, return_when=asyncio.FIRST_COMPLETED)
            if reader.done() and not reader.cancelled() and reader.exception() is None:
                closed = (reader.result(),)
        finally:
            self._ending = self._ending or (frames.GOING_AWAY, "")
            reader.cancel()
            writer.cancel()
            await asyncio.gather(reader, writer, return_exceptions=True)
            self._out.clear()
            if not self._over:
                self._over = True
                if closed is None:
                    self.receiver.on_lost("transport close")
                else:
                    self.receiver.on_closed(*closed)

    async def _read(self, receive: Receive) -> int | None:
        """Hand over what comes; return the peer's close code."""
        while True:
            message = await receive()
            if message["type"] != "websocket.receive":
                code: int | None = message.get("code")
                if code != frames.NO_STATUS:
                    return code
                # ASGI's number for a close frame without a code. uvicorn has it for a cut line too, without a reason.
                return None if "reason" in message else frames.ABNORMAL
            text = message.get("text")
            if _size(text if text is not None else message["bytes"]) > self._max_payload:
                self.close(frames.TOO_BIG, f"message over {self._max_payload} bytes")
                self.receiver.on_lost("transport error")
            elif text is not None:
                self.receiver.on_text(text)
            else:
                self.receiver.on_binary(message["bytes"])
            if self._readable is not None:
                await self._readable.wait()

    async def _write(self, send: Send) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            out, self._out, self._size = self._out, [], 0
            try:
                await asyncio.wait_for(self._send(send, out), self._limits.stall)
            except TimeoutError:
                self._evict()
                return
            if self._ending is not None and not self._out:
                code, reason = self._ending
                await asyncio.wait_for(_close(send, code, reason), self._limits.stall)
                return

    async def _send(self, send: Send, out: list[Outbound]) -> None:
        self._writing = True
        for one in out:
            for packet in one.packets:
                kind = "text" if isinstance(packet, str) else "bytes"
                await send({"type": "websocket.send", kind: packet})
        self._writing = False

    def _evict(self) -> None:
        if self._ending is None:
            self._limits.evicted += 1
            self.abort()
            asyncio.get_running_loop().call_soon(self.receiver.on_lost, "slow consumer")


def _size(data: str | bytes) -> int:
    if isinstance(data, bytes) or data.isascii():
        return len(data)
    return len(data.encode("utf-8", "replace"))


async def _close(send: Send, code: int, reason: str) -> None:
    await send({"type": "websocket.close", "code": code, "reason": frames.close_reason(reason)})
