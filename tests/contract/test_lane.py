"""What every lane must do, whichever transport it is. A new one is one more entry of `PEERS`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from rtserver.transport import frames, packets
from rtserver.transport.direct import DirectLane, Wire
from rtserver.transport.frames import farewell
from rtserver.transport.lane import Lane, LaneLimits
from rtserver.transport.outbound import Outbound
from rtserver.transport.polling import PollingLane
from rtserver.transport.websocket import AsgiLane

CAP = 1000


class Hearer:
    """Who hears the peer. `busy` is set while the lane is being written to."""

    def __init__(self) -> None:
        self.heard: list[Any] = []
        self.lost: list[str] = []
        self.busy = False

    def on_text(self, packet: str) -> None:
        """Keep it."""
        self.heard.append(packet)

    def on_binary(self, data: bytes) -> None:
        """Keep it."""
        self.heard.append(data)

    def on_closed(self, code: int | None) -> None:
        """Keep it as what it means to a session."""
        self.on_lost(farewell(code))

    def on_lost(self, reason: str) -> None:
        """Keep it; nobody may be told in the middle of a write."""
        assert not self.busy
        self.lost.append(reason)


class Peer:
    """The other end: what it got, and whether it takes anything."""

    lane: Lane

    def __init__(self) -> None:
        self.limits = LaneLimits(max_bytes=CAP, stall=60.0)
        self.hearer = Hearer()
        self.got: list[str | bytes] = []

    def write(self, *parts: str | bytes, volatile: bool = False) -> None:
        """Write packets."""
        self.hearer.busy = True
        try:
            self.lane.write(Outbound(*parts), volatile)
        finally:
            self.hearer.busy = False

    async def settle(self) -> None:
        """Let everything happen that can."""
        for _ in range(20):
            await asyncio.sleep(0)

    async def take(self) -> list[str | bytes]:
        """What arrived since last asked."""
        await self.settle()
        got, self.got = self.got, []
        return got

    async def stall(self) -> None:
        """Take nothing from now on; something is on its way already, so that what comes now has to wait."""
        raise NotImplementedError

    async def go_on(self) -> None:
        """Take everything again."""
        raise NotImplementedError

    async def vanish(self) -> None:
        """Be gone, without a word."""
        raise NotImplementedError

    @property
    def ended(self) -> bool:
        """Whether the lane has told the end."""
        raise NotImplementedError

    async def stop(self) -> None:
        """Leave nothing running."""


class Pipe(asyncio.Transport):
    """A transport whose buffer empties when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.buffer = bytearray()
        self.flowing = True
        self.closing = False
        self.protocol: Any = None
        self.on_data: Callable[[bytes], None] = lambda data: None

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Know whom to tell."""
        self.protocol = protocol

    def write(self, data: Any) -> None:
        """Pass it on, or keep it."""
        if self.closing:
            return
        if self.flowing:
            self.on_data(bytes(data))
        else:
            self.buffer += data

    def get_write_buffer_size(self) -> int:
        """What waits."""
        return len(self.buffer)

    def is_closing(self) -> bool:
        """Whether it is over."""
        return self.closing

    def pause_reading(self) -> None:
        """Nothing comes here."""

    def resume_reading(self) -> None:
        """Nothing comes here."""

    def close(self) -> None:
        """End."""
        self.closing = True

    def abort(self) -> None:
        """End at once."""
        self.buffer.clear()
        if not self.closing:
            self.closing = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)


class DirectPeer(Peer):
    """A WebSocket client of the fast path."""

    def __init__(self) -> None:
        super().__init__()
        self.pipe = Pipe()
        self.raw = bytearray()
        self.pipe.on_data = self._read
        self.closed = False
        self.direct = DirectLane(Wire(self.limits, 10**6))
        self.direct.receiver = self.hearer
        self.direct.attach(self.pipe, set())
        self.lane = self.direct

    def _read(self, data: bytes) -> None:
        self.raw += data
        while len(self.raw) >= 2:
            opcode, length, at = self.raw[0] & 15, self.raw[1] & 127, 2
            if length == 126:
                length, at = int.from_bytes(self.raw[2:4], "big"), 4
            if len(self.raw) < at + length:
                return
            payload = bytes(self.raw[at : at + length])
            del self.raw[: at + length]
            assert not self.closed, "a frame after the close frame"
            if opcode == frames.CLOSE:
                self.closed = True
            else:
                self.got.append(payload.decode() if opcode == frames.TEXT else payload)

    async def stall(self) -> None:
        """The transport's buffer is over its mark."""
        self.pipe.flowing = False
        self.direct.pause_writing()

    async def go_on(self) -> None:
        """The transport's buffer empties."""
        self.pipe.flowing = True
        data = bytes(self.pipe.buffer)
        self.pipe.buffer.clear()
        self._read(data)
        self.direct.resume_writing()

    async def vanish(self) -> None:
        """The connection is reset."""
        self.pipe.abort()

    @property
    def ended(self) -> bool:
        """A close frame came, or the connection is gone."""
        return self.closed or self.pipe.closing

    async def stop(self) -> None:
        """Cut it."""
        self.direct.abort()
        await self.settle()


class AsgiPeer(Peer):
    """A WebSocket client behind an ASGI server."""

    def __init__(self) -> None:
        super().__init__()
        self.inbound: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.flowing = asyncio.Event()
        self.flowing.set()
        self.closed = False
        lane = AsgiLane(self.limits, self.hearer, 1_000_000)
        self.lane = lane
        self.task = asyncio.ensure_future(lane.run(self.inbound.get, self._send))

    async def _send(self, message: dict[str, Any]) -> None:
        await self.flowing.wait()
        assert not self.closed, "a message after the end"
        if message["type"] == "websocket.close":
            self.closed = True
        else:
            self.got.append(message["text"] if "text" in message else message["bytes"])

    async def stall(self) -> None:
        """The server's ``send`` waits, with something in its hands."""
        await self.settle()
        self.flowing.clear()
        self.lane.write(Outbound("4in flight"))
        await self.settle()

    async def go_on(self) -> None:
        """It goes on."""
        self.flowing.set()
        await self.settle()
        self.got = [packet for packet in self.got if packet != "4in flight"]

    async def vanish(self) -> None:
        """The server says that the client is gone."""
        self.inbound.put_nowait({"type": "websocket.disconnect", "code": 1006})

    @property
    def ended(self) -> bool:
        """The lane closed, or is done."""
        return self.closed or self.task.done()

    async def stop(self) -> None:
        """Cut it."""
        self.flowing.set()
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


class PollingPeer(Peer):
    """A client that polls."""

    def __init__(self) -> None:
        super().__init__()
        self.polling = PollingLane(self.limits, self.hearer)
        self.lane = self.polling
        self.closed = False
        self.task: asyncio.Task[None] | None = asyncio.ensure_future(self._poll())

    async def _poll(self) -> None:
        while not self.closed:
            for packet in packets.decode_payload(await self.polling.poll(), 10_000):
                assert not self.closed, "a packet after the end"
                if packet in (packets.CLOSE, packets.NOOP):
                    self.closed = packet == packets.CLOSE
                else:
                    self.got.append(packet)

    async def stall(self) -> None:
        """It polls no more."""
        await self.stop()

    async def go_on(self) -> None:
        """It polls again."""
        self.task = asyncio.ensure_future(self._poll())
        await self.settle()

    async def vanish(self) -> None:
        """A poller has no line that could be cut: its session's heartbeat ends it."""
        pytest.skip("a client that polls has no line")

    @property
    def ended(self) -> bool:
        """A CLOSE packet came."""
        return self.closed

    async def stop(self) -> None:
        """Stop polling."""
        if self.task is not None:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)
            self.task = None


PEERS: dict[str, type[Peer]] = {"direct": DirectPeer, "asgi": AsgiPeer, "polling": PollingPeer}


@pytest.fixture(params=list(PEERS))
async def peer(request: pytest.FixtureRequest) -> AsyncIterator[Peer]:
    """A peer of every transport."""
    one = PEERS[request.param]()
    await one.settle()
    yield one
    await one.stop()


async def eventually(done: Callable[[], Any] | Callable[[], Awaitable[Any]]) -> None:
    """Give the loop some turns until it is so."""
    for _ in range(200):
        if done():
            return
        await asyncio.sleep(0)
    assert done()


class TestOut:
    """From the lane to the peer."""

    async def test_order(self, peer: Peer):
        """Everything arrives once, in the order in which it was written, over as many turns as it takes."""
        for number in range(50):
            peer.write(f"4{number}")
            if number % 7 == 0:
                await asyncio.sleep(0)
        assert await peer.take() == [f"4{number}" for number in range(50)]

    async def test_text_and_binary(self, peer: Peer):
        """Text stays text, binary binary, and packets that belong together stay together."""
        peer.write("4é𝄞", b"\0\xff", b"")
        peer.write("4" + "x" * 500)
        assert await peer.take() == ["4é𝄞", b"\0\xff", b"", "4" + "x" * 500]

    async def test_shared(self, peer: Peer):
        """One Outbound may be written to many lanes, many times."""
        out = Outbound("4same", b"\1")
        for _ in range(3):
            peer.lane.write(out)
        assert await peer.take() == ["4same", b"\1"] * 3

    async def test_waits_for_a_slow_peer(self, peer: Peer):
        """What is written while the peer takes nothing waits for it, in order."""
        await peer.stall()
        for number in range(20):
            peer.write(f"4{number}")
            await asyncio.sleep(0)
        assert await peer.take() == []
        await peer.go_on()
        assert await peer.take() == [f"4{number}" for number in range(20)]
        assert peer.limits.evicted == 0
        assert peer.hearer.lost == []


class TestBounds:
    """What a lane may hold."""

    async def test_a_peer_that_takes_nothing(self, peer: Peer):
        """Past the cap the client is let go: told once, after the write, counted once, and nothing is held for it."""
        await peer.stall()
        for _ in range(100):
            peer.write("4" + "x" * 99)
            await asyncio.sleep(0)
        await eventually(lambda: peer.hearer.lost)
        await peer.settle()
        assert peer.hearer.lost == ["slow consumer"]
        assert peer.limits.evicted == 1
        for _ in range(100):
            peer.write("4" + "x" * 99)
        await peer.settle()
        assert (peer.hearer.lost, peer.limits.evicted) == (["slow consumer"], 1)

    async def test_all_at_once(self, peer: Peer):
        """The same when it all comes in one turn: nobody is told before the write returns."""
        await peer.stall()
        for _ in range(100):
            peer.write("4" + "x" * 99)
        assert peer.hearer.lost == []
        await eventually(lambda: peer.hearer.lost)
        assert peer.limits.evicted == 1

    async def test_a_large_message_to_a_peer_that_reads(self, peer: Peer):
        """A single message may be larger than the cap: the cap is about who is behind."""
        peer.write("4" + "x" * (3 * CAP))
        await peer.settle()
        assert await peer.take() == ["4" + "x" * (3 * CAP)]
        assert peer.limits.evicted == 0

    async def test_volatile(self, peer: Peer):
        """What is volatile is dropped first under pressure and counted; the rest waits."""
        peer.write("4before", volatile=True)
        assert await peer.take() == ["4before"]
        await peer.stall()
        peer.write("4" + "k" * (CAP // 2))
        await peer.settle()
        peer.write("4dropped", volatile=True)
        peer.write("4kept")
        await peer.go_on()
        assert await peer.take() == ["4" + "k" * (CAP // 2), "4kept"]
        assert peer.limits.dropped_volatile == 1
        peer.write("4after", volatile=True)
        assert await peer.take() == ["4after"]


class TestEnd:
    """How a lane ends."""

    async def test_last_words(self, peer: Peer):
        """What was written before the end arrives before it."""
        peer.write("4last", b"words")
        peer.lane.close(4000, "enough")
        assert await peer.take() == ["4last", b"words"]
        assert peer.ended

    async def test_nothing_after_the_end(self, peer: Peer):
        """What is written after the end is dropped."""
        peer.lane.close(4000, "enough")
        await peer.settle()
        for _ in range(3):
            peer.write("4late", b"late")
        peer.write("4late", volatile=True)
        assert await peer.take() == []

    async def test_who_closes_hears_no_more(self, peer: Peer):
        """Who closes a lane, twice even, is not told that it is lost."""
        for _ in range(2):
            peer.lane.close(4000, "enough")
        peer.lane.end()
        await peer.settle()
        await peer.stop()
        assert peer.hearer.lost == []

    async def test_abort(self, peer: Peer):
        """An abort drops what waits; nothing arrives after it, and it is quick to say so again."""
        await peer.stall()
        peer.write("4lost")
        await peer.settle()
        peer.lane.abort()
        peer.lane.abort()
        peer.write("4later")
        await peer.go_on()
        assert [packet for packet in await peer.take() if packet in ("4lost", "4later")] == []
        assert peer.ended

    async def test_a_peer_that_vanishes(self, peer: Peer):
        """When the line is cut the receiver is told once, and writing is harmless."""
        await peer.vanish()
        await eventually(lambda: peer.hearer.lost)
        for _ in range(3):
            peer.write("4late")
        peer.lane.close(4000, "enough")
        await peer.settle()
        assert len(peer.hearer.lost) == 1
        assert peer.limits.evicted == 0

    async def test_is_not_stalled(self, peer: Peer):
        """A peer that takes everything is not stalled, and one lane has one name."""
        peer.write("4x")
        await peer.settle()
        assert peer.lane.stalled is False
        assert peer.lane.name in ("polling", "websocket")

    async def test_reading_can_be_paused(self, peer: Peer):
        """Pausing and going on, in any order and number, is harmless, after the end as well."""
        for _ in range(2):
            peer.lane.pause_reading()
        for _ in range(2):
            peer.lane.resume_reading()
        peer.lane.close(1000, "")
        peer.lane.resume_reading()
        await peer.settle()
        assert peer.hearer.lost == []
