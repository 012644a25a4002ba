"""The client connects like socket.io-client does and hands on what it hears."""

import asyncio
from typing import Any

import pytest

from rtserver.bench.client import Address, Client, Refused, connect
from tests.unit.bench.chatty_peer import Peer


async def _connect(
    peer: Peer, heard: list[bytes] | None = None, auth: dict[str, Any] | None = None
) -> Client:
    return await connect(Address.of(peer.url), auth or {}, (heard if heard is not None else []).append)


@pytest.mark.parametrize(
    ("url", "uri"),
    [
        ("http://127.0.0.1:8000", "ws://127.0.0.1:8000/socket.io/?EIO=4&transport=websocket"),
        ("example.com:81", "ws://example.com:81/socket.io/?EIO=4&transport=websocket"),
        ("https://example.com/", "wss://example.com:443/socket.io/?EIO=4&transport=websocket"),
        ("http://[::1]:8000/engine/", "ws://[::1]:8000/engine/?EIO=4&transport=websocket"),
    ],
)
def test_addresses(url: str, uri: str) -> None:
    """What a user types becomes the address of the WebSocket transport."""
    assert Address.of(url).uri == uri


@pytest.mark.parametrize("url", ["ftp://example.com", "http://", ""])
def test_no_address(url: str) -> None:
    """What is no HTTP address is refused."""
    with pytest.raises(ValueError, match="not a http"):
        Address.of(url)


async def test_it_sends_its_auth_and_answers_heartbeats(peer: Peer) -> None:
    """The handshake carries the auth payload; a ping gets its pong."""
    client = await _connect(peer, auth={"token": "t"})
    assert await client.call("join", {"room": "r"}) == {"ok": True}
    assert peer.auth == [{"token": "t"}]
    assert "3" in peer.said
    client.close()


async def test_events_arrive_whole(peer: Peer) -> None:
    """A message of any length is handed on, the short, the 16-bit and the 64-bit kind of frame."""
    heard: list[bytes] = []
    client = await _connect(peer, heard)
    await client.call("join", {"room": "r"})
    for size in (1, 200, 70_000):
        await client.call("chat", {"room": "r", "message": "x" * size})
    assert [len(packet) for packet in heard] == [
        len(b'42["chat",{"room":"r","message":""}]') + n for n in (1, 200, 70_000)
    ]
    client.close()


async def test_a_fragmented_message_arrives_too(peer: Peer) -> None:
    """Servers may split a message into frames."""
    peer.fragmented = True
    heard: list[bytes] = []
    client = await _connect(peer, heard)
    await client.call("join", {"room": "r"})
    await client.call("chat", {"room": "r", "message": "a long enough message"})
    assert heard == [b'42["chat",{"room":"r","message":"a long enough message"}]']
    client.close()


async def test_a_refusal_says_why(peer: Peer) -> None:
    """A connect_error is raised with the server's reason."""
    peer.refusal = {"message": "unauthorized"}
    with pytest.raises(Refused, match=r"^unauthorized$"):
        await _connect(peer)


async def test_a_busy_server_says_when_to_come_back(peer: Peer) -> None:
    """A 503 carries its Retry-After."""
    peer.busy = 1
    with pytest.raises(Refused, match="HTTP 503") as caught:
        await _connect(peer)
    assert caught.value.retry_after == 0


async def test_something_else_listens_there() -> None:
    """A server that does not speak HTTP is told apart from one that refuses."""

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 smtp\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(Refused, match="does not speak WebSocket"):
            await connect(Address.of(f"127.0.0.1:{port}"), {}, lambda packet: None)
