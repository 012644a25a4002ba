"""permessage-deflate (RFC 7692) on the fast path."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory, PerMessageDeflate
from websockets.frames import Frame, Opcode

from rtserver.transport.outbound import Outbound
from tests.integration.transport.wire_client import TEXT, masked
from tests.integration.transport.wire_server import DIRECT, Stand, serving

LONG = "".join(f"{number} is a number, " for number in range(2000))


@pytest.fixture
async def stand() -> AsyncIterator[Stand]:
    """Give a server that compresses."""
    async with serving(DIRECT, deflate=True, max_http_buffer_size=100_000) as stand:
        yield stand


async def _client(stand: Stand, **offer: object) -> ClientConnection:
    factory = ClientPerMessageDeflateFactory(**offer)  # type: ignore[arg-type]
    client = await connect(
        f"ws://127.0.0.1:{stand.port}{stand.url()}", extensions=[factory], compression=None, max_size=None
    )
    opening = await client.recv()
    assert opening[0] == "0"
    return client


OFFERS: dict[str, dict[str, object]] = {
    "what browsers offer": {"client_max_window_bits": True},
    "nothing said": {},
    "no context takeover": {"client_no_context_takeover": True, "server_no_context_takeover": True},
    "a small window for the client": {"client_max_window_bits": 9},
    "a small window for the server": {"server_max_window_bits": 9},
    "small windows": {"client_max_window_bits": 10, "server_max_window_bits": 10},
}


@pytest.mark.parametrize("offer", OFFERS)
async def test_messages_both_ways(stand: Stand, offer: str) -> None:
    """Whatever a client offers, long and short texts and binary arrive whole, in order, many times over."""
    client = await _client(stand, **OFFERS[offer])
    for _ in range(3):
        for message in ("4hi", "4" + LONG, "4" + "x" * 50_000, b"\x01\x02", bytes(40_000), LONG.encode()):
            await client.send(message)
            assert await client.recv() == message
    await client.close()


async def test_it_is_compressed(stand: Stand) -> None:
    """No context takeover either way is agreed, and a long text takes a fraction of its size on the wire."""
    headers = {"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"}
    peer = await stand.line(headers=headers)
    agreed = peer.headers["sec-websocket-extensions"]
    assert "server_no_context_takeover" in agreed
    assert "client_no_context_takeover" in agreed
    await peer.read()
    (sid,) = stand.engine.sockets
    await stand.engine.send(sid, LONG)
    first, second = await peer.reader.readexactly(2)
    assert first == 0xC1
    size = int.from_bytes(await peer.reader.readexactly(2), "big") if second == 126 else second
    assert size < len(LONG) / 4
    await peer.reader.readexactly(size)
    await peer.bye()


async def test_a_client_that_does_not_offer_it(stand: Stand) -> None:
    """It gets plain frames, and may not send compressed ones."""
    peer = await stand.websocket()
    assert "sec-websocket-extensions" not in peer.headers
    await peer.text("4" + "x" * 5000)
    assert await peer.receive() == "4" + "x" * 5000
    await peer.raw(_squeezed(b"4" + b"x" * 100))
    assert await peer.closed() == 1002


async def test_a_broadcast_is_compressed_once(stand: Stand) -> None:
    """Clients of every kind get the same message, and the compressed form is made once for all that want it."""
    clients = [await _client(stand) for _ in range(5)]
    plain = await stand.websocket()
    out = Outbound("4" + LONG)
    assert out._deflated is None
    deflated = set()
    for session in stand.engine.sockets.values():
        session.send(out)
        deflated.add(id(out._deflated))
    for client in clients:
        assert await client.recv() == "4" + LONG
    assert await plain.receive() == "4" + LONG
    assert len(deflated) == 1
    for client in clients:
        await client.close()
    await plain.bye()


def _squeezed(data: bytes) -> bytes:
    deflate = PerMessageDeflate(True, True, 15, 15)
    return Frame(Opcode.TEXT, data).serialize(mask=True, extensions=[deflate])


@pytest.mark.parametrize("size", [100_001, 50_000_000])
async def test_a_decompression_bomb(stand: Stand, size: int) -> None:
    """A small frame that would inflate over the limit is refused with 1009, and others are served."""
    bomb = await asyncio.to_thread(_squeezed, bytes(size))
    assert len(bomb) < 100_000
    peer = await stand.line(headers={"Sec-WebSocket-Extensions": "permessage-deflate"})
    await peer.read()
    await peer.raw(bomb)
    assert await peer.closed() == 1009
    await stand.is_empty()
    await stand.serves()


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\xc1\x84\0\0\0\0\xff\xff\xff\xff", 1007),
        (b"\xc9\x80\0\0\0\0", 1002),
        (b"\xe1\x80\0\0\0\0", 1002),
        (masked(TEXT, b"4a", fin=False) + b"\xc0\x81\0\0\0\0x", 1002),
    ],
    ids=["what does not inflate", "a compressed ping", "another reserved bit", "a mark in the middle"],
)
async def test_broken_compression(stand: Stand, data: bytes, code: int) -> None:
    """It is refused with the fitting code."""
    peer = await stand.line(headers={"Sec-WebSocket-Extensions": "permessage-deflate"})
    await peer.read()
    await peer.raw(data)
    assert await peer.closed() == code
    await stand.is_empty()
    await stand.serves()
