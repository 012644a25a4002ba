"""What a hostile peer can send: it is answered by the protocol, only the offender is closed, and nothing is left."""

from __future__ import annotations

import asyncio
import random

import pytest

from rtserver.transport.polling import MAX_PACKETS
from tests.integration.transport.wire_client import BINARY, CLOSE, PING, TEXT, http, masked
from tests.integration.transport.wire_server import ASGI, Stand, eventually

# Frames.

VIOLATIONS = {
    "unmasked": (b"\x81\x024a", 1002),
    "reserved bit 1": (b"\xc1\x82\0\0\0\x004a", 1002),
    "reserved bit 2": (b"\xa1\x82\0\0\0\x004a", 1002),
    "reserved bit 3": (b"\x91\x82\0\0\0\x004a", 1002),
    "opcode 3": (b"\x83\x80\0\0\0\0", 1002),
    "opcode 11": (b"\x8b\x80\0\0\0\0", 1002),
    "continuation of nothing": (masked(0, b"x"), 1002),
    "message in a message": (masked(TEXT, b"4a", fin=False) + masked(TEXT, b"4b"), 1002),
    "fragmented ping": (b"\x09\x80\0\0\0\0", 1002),
    "long ping": (b"\x89\xfe\x00\x7e" + bytes(130), 1002),
    "close of one byte": (masked(CLOSE, b"\x03"), 1002),
    "close with a reserved code": (masked(CLOSE, b"\x03\xed"), 1002),
    "text that is not UTF-8": (masked(TEXT, b"4\xff\xfe"), 1007),
    "fragments that are not UTF-8": (masked(TEXT, b"4\xc3", fin=False) + masked(0, b"("), 1007),
    "too long": (masked(TEXT, b"4" * 10_001), 1009),
    "too long, binary": (masked(BINARY, bytes(10_001)), 1009),
    "too long in fragments": (masked(BINARY, bytes(6000), fin=False) + masked(0, bytes(6000)), 1009),
    "2**62 bytes, announced": (b"\x82\xff" + (2**62).to_bytes(8, "big") + bytes(4), 1009),
}


@pytest.mark.parametrize("violation", VIOLATIONS)
async def test_a_broken_frame(stand: Stand, violation: str) -> None:
    """The offender is closed with the code of RFC 6455, section 7.4.1; another client is served meanwhile and after."""
    data, code = VIOLATIONS[violation]
    peer, other = await stand.websocket(), await stand.websocket()
    await peer.text("4before")
    assert await peer.receive() == "4before"
    await peer.raw(data)
    assert await peer.closed() == code
    await eventually(lambda: stand.ended)
    await other.text("4unharmed")
    assert await other.receive() == "4unharmed"
    await other.bye()
    await stand.is_empty()
    assert len(stand.ended) == 2
    await stand.serves()


async def test_a_broken_close_reason(stand: Stand) -> None:
    """A close frame whose reason is not UTF-8 still ends the session."""
    peer = await stand.websocket()
    await peer.raw(masked(CLOSE, b"\x03\xe8\xff\xfe"))
    assert await peer.closed() == 1007
    await stand.is_empty()


async def test_garbage_behind_a_close(stand: Stand) -> None:
    """What follows a close frame is not of the conversation: the close is answered as ever."""
    if stand.way == ASGI:
        pytest.skip("how uvicorn's own class takes it is its own affair")
    peer = await stand.websocket()
    await peer.raw(masked(CLOSE, b"\x03\xe8") + b"\xff" * 100)
    opcode, payload = await peer.read()
    assert (opcode, payload) == (CLOSE, b"\x03\xe8")
    await peer.gone()
    await stand.is_empty()


async def test_fragments_of_every_shape(stand: Stand) -> None:
    """A message in a thousand fragments, empty ones and pings among them, cut anywhere, is one message."""
    peer = await stand.websocket()
    data = masked(TEXT, b"4", fin=False)
    for number in range(1000):
        data += masked(0, b"x" * (number % 3), fin=False)
        if number % 100 == 0:
            data += masked(PING, b"p")
    data += masked(0)
    chance = random.Random(1)
    while data:
        size = chance.randint(1, 500)
        await peer.raw(data[:size])
        data = data[size:]
    for _ in range(10):
        assert (await peer.read())[0] == 10
    assert await peer.receive() == "4" + "x" * sum(number % 3 for number in range(1000))
    await peer.bye()


async def test_one_byte_at_a_time(stand: Stand) -> None:
    """However slowly a frame comes, it is a frame."""
    peer = await stand.websocket()
    for byte in masked(TEXT, b"4slow") + masked(BINARY, b"\x00\x01"):
        await peer.raw(bytes((byte,)))
        await asyncio.sleep(0)
    assert [await peer.receive(), await peer.receive()] == ["4slow", b"\x00\x01"]
    await peer.bye()


async def test_half_a_frame_and_silence(stand: Stand) -> None:
    """A frame that is never finished does not stop others, and goes with its connection."""
    peer = await stand.websocket()
    await peer.raw(masked(TEXT, b"4" + b"x" * 5000)[:3000])
    await stand.serves()
    peer.hang_up()
    await stand.is_empty()
    assert stand.messages == ["still there?", "and here?"]


async def test_a_flood_of_pings(stand: Stand) -> None:
    """Ten thousand pings of a peer that reads none of the answers cost others nothing, and end with it."""
    peer = await stand.line(receive_buffer=2048)
    peer.pause()
    flood = masked(PING, b"x" * 125) * 100
    with pytest.raises((TimeoutError, ConnectionError)):
        for _ in range(100):
            await asyncio.wait_for(peer.raw(flood), 0.05)
        raise TimeoutError
    await stand.serves()
    peer.hang_up()
    await stand.is_empty()


# Packets.


@pytest.mark.parametrize(
    "packet", ["", "0", "2", "2probe", "7", "x", "\x00", "é", "\U000e0001" * 16, "€" * 3000]
)
async def test_a_malformed_packet(stand: Stand, packet: str) -> None:
    """Closed as bad_request, with a reason that fits a close frame, whatever the packet was."""
    peer = await stand.websocket()
    await peer.text(packet)
    assert await peer.closed() == 4000
    await eventually(lambda: stand.ended)
    assert stand.ended == ["transport error"]
    await stand.serves()


@pytest.mark.parametrize("body", ["0", "2", "7", "x", "4a\x1ex", "é", "\x00"])
async def test_a_malformed_packet_in_a_post(stand: Stand, body: str) -> None:
    """400 and the session is gone; what came before it in the payload was heard."""
    poller = await stand.poller()
    response = await poller.post(body)
    assert (response.status, response.code) == (400, 3)
    await stand.is_empty()
    assert stand.ended == ["transport error"]
    assert stand.messages == (["a"] if body[0] == "4" else [])
    assert (await poller.poll()).code == 1
    await stand.serves()


# Long-polling.


async def test_a_poll_during_a_poll(stand: Stand) -> None:
    """The protocol forbids it: the second is refused and the session closed, so the first ends, too."""
    poller = await stand.poller()
    first = await poller.begin("GET")
    await asyncio.sleep(0.02)
    second = await poller.poll()
    assert second.status == 400
    assert (await first.answer()).text == "1"
    await stand.is_empty()
    assert stand.ended == ["transport error"]
    assert (await poller.poll()).code == 1
    await stand.serves()


async def test_many_polls_at_once(stand: Stand) -> None:
    """A hundred of them: one gets an answer of the session, the others refusals, and nothing hangs."""
    poller = await stand.poller()
    polls = [await poller.begin("GET") for _ in range(100)]
    answers = [await poll.answer() for poll in polls]
    assert [answer.status for answer in answers].count(200) <= 1
    await stand.is_empty()
    await stand.serves()


async def test_a_post_during_a_post(stand: Stand) -> None:
    """The second is refused and the session closed; the first, when the rest of its body comes, is refused as well."""
    poller = await stand.poller()
    first = await poller.begin("POST", b"4ha", length=5)
    await asyncio.sleep(0.02)
    second = await poller.post("4second")
    assert second.status == 400
    await stand.is_empty()
    await first.more(b"lf")
    assert (await first.answer()).status == 400
    assert stand.messages == []
    assert stand.ended == ["transport error"]
    await stand.serves()


@pytest.mark.parametrize("size", [10_001, 1_000_000])
async def test_a_body_that_is_too_large(stand: Stand, size: int) -> None:
    """413, the session closed, and nothing of the body heard, whether it is announced, or comes in chunks."""
    poller = await stand.poller()
    try:
        status = (await poller.post(b"4" * size)).status
    except ConnectionError:
        # The server hung up on the rest of the body, and with it on its own answer.
        status = 413 if size > 100_000 else 0
    assert status == 413
    await stand.is_empty()
    assert stand.messages == []
    await stand.serves()


async def test_an_endless_chunked_body(stand: Stand) -> None:
    """Without a length the limit holds all the same."""
    poller = await stand.poller()
    reader, writer = await asyncio.open_connection("127.0.0.1", stand.port)
    writer.write(f"POST {poller.path} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
    for _ in range(11):
        writer.write(b"3e8\r\n" + b"4" * 1000 + b"\r\n")
    status = await asyncio.wait_for(reader.readline(), 5)
    assert b" 413 " in status
    writer.transport.abort()
    await stand.is_empty()
    await stand.serves()


async def test_a_body_of_exactly_the_limit(stand: Stand) -> None:
    """It is taken."""
    poller = await stand.poller()
    assert (await poller.post(b"4" * 10_000)).status == 200
    await eventually(lambda: stand.messages == ["4" * 9999])
    await poller.post("1")


@pytest.mark.parametrize(
    "body", [b"b!!!", b"bA", b"b AQID", b"4ok\x1eb===", b"\xff\xfe", b"4\xc3(", b"4a\x1e", b"\x1e", b""]
)
async def test_a_broken_body(stand: Stand, body: bytes) -> None:
    """Bad base64, bad UTF-8, empty packets: 400, the session closed, and nothing of the body heard."""
    poller = await stand.poller()
    response = await poller.post(body)
    assert (response.status, response.code) == (400, 3)
    await stand.is_empty()
    assert stand.messages == []
    await stand.serves()


async def test_too_many_packets(stand: Stand) -> None:
    """More than a POST may hold: refused as a whole, and never silently cut."""
    stand.engine.max_http_buffer_size = 10**6
    poller = await stand.poller()
    response = await poller.post("\x1e".join(["4"] * (MAX_PACKETS + 1)))
    assert (response.status, response.code) == (400, 3)
    assert stand.messages == []
    await stand.is_empty()
    await stand.serves()


async def test_as_many_packets_as_allowed(stand: Stand) -> None:
    """All of them are heard, in order."""
    stand.engine.max_http_buffer_size = 10**6
    stand.echo = False
    poller = await stand.poller()
    assert (await poller.post("\x1e".join(f"4{number}" for number in range(MAX_PACKETS)))).status == 200
    await eventually(lambda: len(stand.messages) == MAX_PACKETS)
    assert stand.messages == [str(number) for number in range(MAX_PACKETS)]
    await poller.post("1")


async def test_a_post_that_is_cut(stand: Stand) -> None:
    """A client that hangs up in the middle of its body is gone, and nothing of the body was heard."""
    poller = await stand.poller()
    post = await poller.begin("POST", b"4ha", length=1000)
    await asyncio.sleep(0.02)
    post.hang_up()
    await stand.is_empty()
    assert stand.messages == []
    await stand.serves()


async def test_a_post_that_never_ends(stand: Stand) -> None:
    """A body that drips in holds up nobody, not even its own session's polls, and ends with the session."""
    poller = await stand.poller()
    post = await poller.begin("POST", b"4", length=1000)
    await stand.engine.send(poller.sid, "hello")
    assert (await poller.poll()).text == "4hello"
    await stand.serves()
    await stand.engine.disconnect(poller.sid)
    post.hang_up()


async def test_a_get_with_a_body(stand: Stand) -> None:
    """It is refused, and the session unharmed."""
    poller = await stand.poller()
    assert (await http(stand.port, "GET", poller.path, b"4sneaky")).status == 413
    await poller.post("4x")
    assert (await poller.poll()).text == "4x"
    assert stand.messages == ["x"]
    await poller.post("1")


# Anything at all.


async def test_random_bytes(stand: Stand) -> None:
    """Two hundred connections of noise: every one is ended, none is answered with anything but the protocol."""
    chance = random.Random(7)

    async def noise(number: int) -> None:
        peer = await stand.websocket()
        data = chance.randbytes(chance.randint(1, 200))
        if number % 2:
            data = bytes((0x80 | chance.choice((0, 1, 2, 8, 9, 10)), 0x80 | chance.randint(0, 125))) + data
        await peer.raw(data)
        await asyncio.sleep(0)
        peer.hang_up()

    for batch in range(10):
        await asyncio.gather(*(noise(number) for number in range(batch * 20, batch * 20 + 20)))
    await stand.is_empty()
    await stand.serves()


async def test_random_requests(stand: Stand) -> None:
    """Queries and bodies of noise give 4xx, or the session's own answer."""
    chance = random.Random(11)
    parts = [
        "EIO=4",
        "EIO=3",
        "transport=polling",
        "transport=websocket",
        "sid=x",
        "sid=%ff",
        "j=0",
        "b64=1",
        "%",
        "=",
        "&&",
    ]
    for _ in range(60):
        query = "&".join(chance.sample(parts, chance.randint(0, 5)))
        method = chance.choice(["GET", "POST", "PUT", "OPTIONS"])
        body = chance.randbytes(chance.randint(0, 50)) if method == "POST" else b""
        response = await http(stand.port, method, f"/engine.io/?{query}", body)
        assert response.status in (200, 204, 400)
    await stand.engine.disconnect()
    await stand.serves()


async def test_many_clients_come_and_go(stand: Stand) -> None:
    """Half of them rudely: the server has no session, connection or task more than before."""
    before = len(asyncio.all_tasks())

    async def visit(number: int) -> None:
        peer = await stand.websocket()
        await peer.text(f"4{number}")
        assert await peer.receive() == f"4{number}"
        if number % 2:
            peer.hang_up()
        else:
            await peer.bye()

    for _ in range(3):
        await asyncio.gather(*(visit(number) for number in range(60)))
    await stand.is_empty()
    await eventually(lambda: stand.connections == 0)
    await eventually(lambda: len(asyncio.all_tasks()) == before)
    assert len(stand.ended) == 180
