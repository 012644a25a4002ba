"""Engine.IO v4 on the wire: messages, polling, heartbeat and the end of a session."""

import asyncio

import pytest

from rtserver.transport.requests import Denial
from tests.integration.transport.wire_client import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    Refused,
    http,
    masked,
)
from tests.integration.transport.wire_server import DIRECT, Stand, eventually, serving

# Messages over WebSocket.


async def test_text_and_binary(stand: Stand) -> None:
    """Each message comes back as what it is: text with its digit, binary without."""
    peer = await stand.websocket()
    for packet in ("4hello", "4", "4€ 😀 \x1e \x00", "44", "4" + "x" * 9000):
        await peer.text(packet)
        assert await peer.receive() == packet
    for data in (b"\x00\x01\x02", b"", b"4", bytes(9000)):
        await peer.frame(BINARY, data)
        assert await peer.receive() == data
    await peer.bye()


async def test_order_is_kept(stand: Stand) -> None:
    """A thousand messages in arbitrary chunks are answered in the order in which they were sent."""
    peer = await stand.websocket()
    packets = [f"4{number} " + "x" * (number % 300) for number in range(1000)]
    data = b"".join(masked(1, packet.encode()) for packet in packets)
    sending = asyncio.ensure_future(_in_chunks(peer.raw, data, 777))
    assert [await peer.receive() for _ in packets] == packets
    await sending
    await peer.bye()


async def _in_chunks(send, data: bytes, size: int) -> None:  # type: ignore[no-untyped-def]
    for at in range(0, len(data), size):
        await send(data[at : at + size])
        await asyncio.sleep(0)


async def test_slow_handlers_keep_order_and_hold_the_line_back(way: str) -> None:
    """While handlers wait, messages wait in order; when they go on, everything is done once."""
    async with serving(way) as stand:
        gate = asyncio.Event()
        seen: list[str] = []

        async def slow(sid: str, data: str) -> None:
            if not seen:
                await gate.wait()
            seen.append(data)

        stand.engine.on("message", slow)
        peer = await stand.websocket()
        await peer.raw(b"".join(masked(1, f"4{number}".encode()) for number in range(500)))
        await asyncio.sleep(0.05)
        assert seen == []
        gate.set()
        await eventually(lambda: len(seen) == 500)
        assert seen == [str(number) for number in range(500)]
        await peer.bye()


async def test_a_handler_that_fails_fails_alone(stand: Stand) -> None:
    """At once or later: the client is served on, and the error is logged."""

    def at_once(sid: str, data: str) -> None:
        raise RuntimeError("at once")

    async def later(sid: str, data: str) -> None:
        await asyncio.sleep(0)
        raise UnicodeDecodeError("utf-8", b"", 0, 1, "later")

    peer, poller = await stand.websocket(), await stand.poller()
    for number, handler in enumerate((at_once, later), 1):
        stand.engine.on("message", handler)
        await peer.text("4x")
        assert (await poller.post("4x")).status == 200
        await eventually(lambda expected=2 * number: len(stand.troubles.texts) == expected)
    stand.engine.on("message", stand.on_message)
    assert [
        name in text for name, text in zip(["at once"] * 2 + ["later"] * 2, stand.troubles.texts, strict=True)
    ]
    stand.troubles.texts.clear()
    await peer.text("4y")
    assert await peer.receive() == "4y"
    await peer.bye()
    await poller.post("1")


async def test_a_message_from_the_server(stand: Stand) -> None:
    """Text, binary, and lists and dictionaries as JSON; to whom is not there, to nobody."""
    peer = await stand.websocket()
    for data, packet in (("hi", "4hi"), (b"\x01", b"\x01"), ({"a": 1}, '4{"a":1}'), ([1, "é"], '4[1,"é"]')):
        await stand.engine.send(peer.sid, data)
        assert await peer.receive() == packet
    await stand.engine.send("nobody", "hi")
    await peer.bye()


# Polling.


async def test_polling_carries_messages_both_ways(stand: Stand) -> None:
    """A POST of several packets, answered "ok"; a GET with all that waits, text and binary."""
    poller = await stand.poller()
    response = await poller.post("4one\x1e4two\x1ebAQID\x1e4€")
    assert (response.status, response.text) == (200, "ok")
    await eventually(lambda: len(stand.messages) == 4)
    assert (await poller.poll()).text == "4one\x1e4two\x1ebAQID\x1e4€"
    assert stand.messages == ["one", "two", b"\x01\x02\x03", "€"]
    await poller.post("1")


async def test_a_poll_waits_for_a_message(stand: Stand) -> None:
    """It is answered when there is one, and not before."""
    poller = await stand.poller()
    poll = asyncio.ensure_future(poller.poll())
    await asyncio.sleep(0.05)
    assert not poll.done()
    await stand.engine.send(poller.sid, "at last")
    assert (await poll).text == "4at last"
    await poller.post("1")


async def test_polling_keeps_order(stand: Stand) -> None:
    """Messages in many posts come back in many polls, in order and once."""
    poller = await stand.poller()
    sent = [f"4{number}" for number in range(60)]
    for at in range(0, 60, 7):
        await poller.post("\x1e".join(sent[at : at + 7]))
    got: list[str] = []
    while len(got) < 60:
        got += (await poller.poll()).text.split("\x1e")
    assert got == sent
    await poller.post("1")


async def test_a_post_is_held_back_while_handlers_wait(stand: Stand) -> None:
    """The answer to a POST that overfills the mailbox comes when there is room again."""
    gate = asyncio.Event()

    async def slow(sid: str, data: str) -> None:
        await gate.wait()
        stand.messages.append(data)

    stand.engine.on("message", slow)
    poller = await stand.poller()
    post = asyncio.ensure_future(poller.post("\x1e".join(f"4{number}" for number in range(200))))
    await asyncio.sleep(0.05)
    assert not post.done()
    gate.set()
    assert (await post).status == 200
    await eventually(lambda: len(stand.messages) == 200)
    assert stand.messages == [str(number) for number in range(200)]
    await poller.post("1")


async def test_a_post_that_is_held_back_ends_with_its_session(stand: Stand) -> None:
    """Nobody waits for ever: neither the request nor its task."""
    never = asyncio.Event()

    async def hangs(sid: str, data: str) -> None:
        await never.wait()

    stand.engine.on("message", hangs)
    poller = await stand.poller()
    post = await poller.begin("POST", "\x1e".join("4x" for _ in range(200)).encode())
    await asyncio.sleep(0.02)
    await stand.engine.disconnect(poller.sid)
    assert (await post.answer()).status == 400
    never.set()


# The heartbeat.

QUICK = {"ping_interval": 0.1, "ping_timeout": 0.1}


async def test_pings_are_sent_and_answered(way: str) -> None:
    """Over WebSocket: one per interval, as long as each is answered."""
    async with serving(way, **QUICK) as stand:
        peer = await stand.websocket()
        assert (peer.hello["pingInterval"], peer.hello["pingTimeout"]) == (100, 100)
        for _ in range(4):
            assert await peer.receive() == "2"
            await peer.text("3")
        await peer.bye()


async def test_pings_over_polling(way: str) -> None:
    """A poll brings the ping, a post takes the pong."""
    async with serving(way, **QUICK) as stand:
        poller = await stand.poller()
        for _ in range(3):
            assert (await poller.poll()).text == "2"
            assert (await poller.post("3")).status == 200
        await poller.post("1")


@pytest.mark.parametrize("answer", ["4anything", None])
async def test_silence_closes(way: str, answer: str | None) -> None:
    """Who does not answer a ping is closed; any packet is an answer."""
    async with serving(way, **QUICK) as stand:
        peer = await stand.websocket()
        if answer is not None:
            for _ in range(3):
                assert await peer.receive() == "2"
                await peer.text(answer)
                assert await peer.receive() == answer
        assert await peer.closed() == 1000
        assert stand.ended == ["ping timeout"]
        assert not stand.engine.sockets


async def test_silence_over_polling_closes(way: str) -> None:
    """A client that polls and never answers is told CLOSE in its poll; one that never polls is simply gone."""
    async with serving(way, **QUICK) as stand:
        polls, silent = await stand.poller(), await stand.poller()
        assert (await polls.poll()).text == "2"
        assert (await polls.poll()).text == "1"
        await stand.is_empty()
        assert stand.ended == ["ping timeout"] * 2
        assert (await silent.poll()).code == 1


async def test_a_ping_from_the_client_is_no_packet(stand: Stand) -> None:
    """In v4 the server pings: who sends a PING is closed as malformed."""
    peer = await stand.websocket()
    await peer.text("2")
    assert await peer.closed() == 4000


async def test_a_ping_frame_is_answered(stand: Stand) -> None:
    """That is WebSocket's own, and comes back with its payload."""
    peer = await stand.websocket()
    await peer.frame(PING, b"payload")
    assert await peer.read() == (PONG, b"payload")
    await peer.frame(PONG, b"unasked")
    await peer.text("4x")
    assert await peer.receive() == "4x"
    await peer.bye()


# The end.


@pytest.mark.parametrize(
    ("code", "reason"), [(1000, "client disconnect"), (1001, "transport close"), (4321, "transport close")]
)
async def test_a_close_frame_ends_the_session(stand: Stand, code: int, reason: str) -> None:
    """It is answered with its own code, and the owner learns how the line ended."""
    peer = await stand.websocket()
    await peer.frame(CLOSE, code.to_bytes(2, "big"))
    opcode, payload = await peer.read()
    assert (opcode, int.from_bytes(payload[:2], "big")) == (CLOSE, code)
    await peer.gone()
    await eventually(lambda: stand.ended)
    assert stand.ended == [reason]


async def test_a_close_packet_ends_the_session(stand: Stand) -> None:
    """What follows it is not heard."""
    peer = await stand.websocket()
    await peer.raw(masked(TEXT, b"1") + masked(TEXT, b"4late"))
    assert await peer.closed() == 1000
    await eventually(lambda: stand.ended)
    assert stand.messages == []


async def test_hanging_up_ends_the_session(stand: Stand) -> None:
    """Without a word, with and without unread data."""
    for greeting in ("", "4x"):
        peer = await stand.websocket()
        if greeting:
            await peer.text(greeting)
        peer.hang_up()
        await stand.is_empty()
    await eventually(lambda: len(stand.ended) == 2)


async def test_a_close_packet_over_polling(stand: Stand) -> None:
    """The waiting poll is answered with NOOP, the session is gone, and what follows the packet is not heard."""
    poller = await stand.poller()
    poll = await poller.begin("GET")
    await asyncio.sleep(0.02)
    assert (await poller.post("4first\x1e1\x1e4late")).status == 200
    assert (await poll.answer()).text in ("6", "4first")
    await stand.is_empty()
    assert stand.messages == ["first"]
    for method in ("GET", "POST"):
        response = await http(stand.port, method, poller.path, b"4x" if method == "POST" else b"")
        assert (response.status, response.code) == (400, 1)


async def test_a_poll_that_hangs_up_ends_the_session(stand: Stand) -> None:
    """As a page that is closed does."""
    poller = await stand.poller()
    poll = await poller.begin("GET")
    await asyncio.sleep(0.02)
    poll.hang_up()
    await stand.is_empty()
    assert stand.ended == ["transport close"]


async def test_the_server_closes_a_websocket(stand: Stand) -> None:
    """What was sent before arrives before the close frame; the owner hears of the end once."""
    peer = await stand.websocket()
    await stand.engine.send(peer.sid, "last words")
    await stand.engine.disconnect(peer.sid)
    assert not stand.engine.sockets
    assert await peer.receive() == "4last words"
    assert await peer.closed() == 1000
    assert stand.ended == ["server disconnect"]


async def test_the_server_closes_a_waiting_poll(stand: Stand) -> None:
    """It is answered with CLOSE at once."""
    poller = await stand.poller()
    poll = await poller.begin("GET")
    await asyncio.sleep(0.02)
    await stand.engine.disconnect(poller.sid)
    assert (await poll.answer()).text == "1"
    assert (await poller.poll()).code == 1


async def test_last_words_are_heard_by_the_next_poll(stand: Stand) -> None:
    """What waited when the server closed, then CLOSE, in the polls that come shortly after; then nothing is known."""
    poller = await stand.poller()
    await stand.engine.send(poller.sid, "last words")
    await stand.engine.disconnect(poller.sid)
    assert (await poller.poll()).text == "4last words"
    assert (await poller.poll()).text == "1"
    assert (await poller.poll()).code == 1
    assert (await poller.post("4x")).code == 1


async def test_all_are_closed_at_once(stand: Stand) -> None:
    """disconnect() without a session id closes every one, on both transports."""
    peers = [await stand.websocket() for _ in range(5)]
    pollers = [await stand.poller() for _ in range(5)]
    await stand.engine.disconnect()
    assert not stand.engine.sockets
    for peer in peers:
        assert await peer.closed() == 1000
    for poller in pollers:
        assert (await poller.poll()).text == "1"
    assert stand.ended == ["server disconnect"] * 10


async def test_the_server_stops(way: str) -> None:
    """Clients are closed with 1012 so that they come back, waiting polls end, and the stop is not held up."""
    async with serving(way) as stand:
        peer = await stand.websocket()
        closing = asyncio.ensure_future(peer.closed())
        await asyncio.wait_for(stand.server.shutdown(), 3)
        assert await closing == 1012
        await stand.is_empty()
        assert stand.ended == ["transport close"]


async def test_a_client_that_ignores_the_close_is_cut_off(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It neither answers nor hangs up: after a moment the server does. Over ASGI that is the HTTP server's affair."""
    if stand.way != DIRECT:
        pytest.skip("uvicorn's own class waits for its own timeout")
    monkeypatch.setattr("rtserver.transport.direct.CLOSE_TIMEOUT", 0.2)
    peer = await stand.websocket()
    await stand.engine.disconnect(peer.sid)
    for _ in range(10):
        await peer.text("4talking on")
    await eventually(lambda: not stand.connections, within=4)
    assert stand.messages == []
    peer.hang_up()


async def test_the_sessions_own_dictionary(stand: Stand) -> None:
    """python-engineio's session storage works, and ends with the session."""
    peer = await stand.websocket()
    async with stand.engine.session(peer.sid) as session:
        session["name"] = "Ada"
    assert await stand.engine.get_session(peer.sid) == {"name": "Ada"}
    await peer.bye()
    await stand.is_empty()
    with pytest.raises(KeyError):
        await stand.engine.get_session(peer.sid)


# The door.


async def test_admission_can_be_refused(stand: Stand) -> None:
    """Who is over a limit gets the denial with its headers on both transports; upgrades are not asked again."""
    poller = await stand.poller()
    stand.engine.admit = lambda scope: Denial(503, 3, "later", [(b"retry-after", b"1")])
    response = await http(stand.port, "GET", stand.url("polling"))
    assert (response.status, response.headers["retry-after"]) == (503, "1")
    with pytest.raises(Refused) as refused:
        await stand.line()
    assert refused.value.response.status == 503
    peer = await stand.line(poller.sid)
    await peer.text("2probe")
    assert await peer.receive() == "3probe"
    await peer.text("5")
    await peer.bye()
