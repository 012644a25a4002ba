"""Engine.IO v4 on the wire: from polling to WebSocket."""

import asyncio

import pytest

from tests.integration.transport.wire_client import BINARY, Poller, WebSocket, http
from tests.integration.transport.wire_server import Stand, eventually, serving


async def _probed(stand: Stand, poller: Poller) -> WebSocket:
    """Return a second line whose probe was answered."""
    peer = await stand.line(poller.sid)
    await peer.text("2probe")
    assert await peer.receive() == "3probe"
    return peer


async def test_an_upgrade(stand: Stand) -> None:
    """Probe, answer, upgrade: the session goes on over WebSocket, polling is refused, and nobody was disconnected."""
    poller = await stand.poller()
    peer = await _probed(stand, poller)
    await peer.text("5")
    await peer.text("4hello")
    assert await peer.receive() == "4hello"
    await peer.frame(BINARY, b"\x01")
    assert await peer.receive() == b"\x01"
    for method in ("GET", "POST"):
        assert (await http(stand.port, method, poller.path, b"4x" if method == "POST" else b"")).status == 400
    assert len(stand.connected) == 1
    assert stand.ended == []
    assert stand.engine.sockets[poller.sid].upgraded
    await peer.bye()
    await eventually(lambda: stand.ended)


async def test_the_pending_poll_is_released(stand: Stand) -> None:
    """With NOOP, as soon as the probe is there; polls during the upgrade get the same, and no message is in them."""
    poller = await stand.poller()
    poll = await poller.begin("GET")
    await asyncio.sleep(0.02)
    peer = await _probed(stand, poller)
    assert (await poll.answer()).text == "6"
    await stand.engine.send(poller.sid, "waits")
    assert (await poller.poll()).text == "6"
    await peer.text("5")
    assert await peer.receive() == "4waits"
    await peer.bye()


async def test_messages_in_flight_from_the_server(stand: Stand) -> None:
    """While the server keeps sending, every message arrives once and in order, whichever line it takes."""
    poller = await stand.poller()
    go_on = True
    sent = 0

    async def send() -> None:
        nonlocal sent
        while go_on:
            await stand.engine.send(poller.sid, str(sent))
            sent += 1
            await asyncio.sleep(0.001)

    sending = asyncio.ensure_future(send())
    got: list[str] = []

    async def poll() -> None:
        while (packets := (await poller.poll()).text.split("\x1e")) != ["6"]:
            got.extend(packets)

    polling = asyncio.ensure_future(poll())
    await eventually(lambda: len(got) > 5)
    peer = await _probed(stand, poller)
    await polling
    before = len(got)
    await asyncio.sleep(0.02)
    await peer.text("5")
    got += [str(await peer.receive()) for _ in range(30)]
    go_on = False
    await sending
    while len(got) < sent:
        got.append(str(await peer.receive()))
    assert before > 5
    assert got == [f"4{number}" for number in range(sent)]
    await peer.bye()


async def test_messages_in_flight_from_the_client(stand: Stand) -> None:
    """What was posted before and during the probe, and what follows the upgrade, is heard once and in order."""
    stand.echo = False
    poller = await stand.poller()
    await poller.post("40\x1e41")
    peer = await stand.line(poller.sid)
    await poller.post("42")
    await peer.text("2probe")
    assert await peer.receive() == "3probe"
    await poller.post("43\x1e44")
    await peer.text("5")
    for number in range(5, 9):
        await peer.text(f"4{number}")
    await eventually(lambda: len(stand.messages) == 9)
    assert stand.messages == [str(number) for number in range(9)]
    await peer.bye()


async def test_a_post_under_way_during_an_upgrade_is_finished(stand: Stand) -> None:
    """Its body arrives after the upgrade: it is heard and answered, and its task does not stay."""
    poller = await stand.poller()
    post = await poller.begin("POST", b"4ha", length=5)
    await asyncio.sleep(0.02)
    peer = await _probed(stand, poller)
    await peer.text("5")
    await asyncio.sleep(0.02)
    await post.more(b"lf")
    assert (await post.answer()).status in (200, 400)
    await peer.text("4x")
    await eventually(lambda: "x" in stand.messages)
    await peer.bye()


async def test_a_post_that_is_held_back_survives_an_upgrade(stand: Stand) -> None:
    """Handlers wait, the mailbox is full, the session is upgraded, handlers go on: all is heard, and answered."""
    gate = asyncio.Event()

    async def slow(sid: str, data: str) -> None:
        await gate.wait()
        stand.messages.append(data)

    stand.engine.on("message", slow)
    poller = await stand.poller()
    post = asyncio.ensure_future(poller.post("\x1e".join(f"4{number}" for number in range(200))))
    await asyncio.sleep(0.05)
    peer = await _probed(stand, poller)
    await peer.text("5")
    await asyncio.sleep(0.02)
    gate.set()
    assert (await post).status == 200
    await eventually(lambda: len(stand.messages) == 200)
    assert stand.messages == [str(number) for number in range(200)]
    await peer.text("4after")
    await eventually(lambda: stand.messages[-1] == "after")
    await peer.bye()


@pytest.mark.parametrize("says", [[], ["2probe"]])
async def test_half_an_upgrade(stand: Stand, says: list[str]) -> None:
    """A line that dies half-way costs nothing: polling goes on with what waited, and another upgrade succeeds."""
    poller = await stand.poller()
    peer = await stand.line(poller.sid)
    for packet in says:
        await peer.text(packet)
        assert await peer.receive() == "3probe"
    await stand.engine.send(poller.sid, "waits")
    peer.hang_up()
    await eventually(lambda: not stand.connections)
    assert (await poller.poll()).text == "4waits"
    assert stand.ended == []
    again = await _probed(stand, poller)
    await again.text("5")
    await again.text("4x")
    assert await again.receive() == "4x"
    await again.bye()


async def test_a_probe_that_never_ends(way: str) -> None:
    """It is closed after the ping timeout, and the session goes on over polling."""
    async with serving(way, ping_interval=30, ping_timeout=0.1) as stand:
        poller = await stand.poller()
        peer = await _probed(stand, poller)
        await stand.engine.send(poller.sid, "waits")
        assert await peer.closed() == 4000
        assert (await poller.poll()).text == "4waits"
        await poller.post("1")


@pytest.mark.parametrize(
    "says",
    [
        ["5"],
        ["4hello"],
        ["2"],
        ["1"],
        [b"\x01"],
        ["2probe", "2probe"],
        ["2probe", "4x"],
        ["2probe", b"5"],
        ["x"],
    ],
)
async def test_a_probe_in_the_wrong_order(stand: Stand, says: list[str | bytes]) -> None:
    """It ends its own line and nothing else: the session polls on."""
    poller = await stand.poller()
    peer = await stand.line(poller.sid)
    for packet in says:
        await (peer.text(packet) if isinstance(packet, str) else peer.frame(BINARY, packet))
    assert await peer.closed() == 4000
    assert stand.messages == []
    await poller.post("4still here")
    assert (await poller.poll()).text == "4still here"
    await poller.post("1")


async def test_two_upgrades(stand: Stand) -> None:
    """The first probe wins; the second line is closed whether it came before or after, and the winner goes on."""
    poller = await stand.poller()
    early = await stand.line(poller.sid)
    winner = await _probed(stand, poller)
    late = await stand.line(poller.sid)
    assert await late.closed() == 4000
    await early.text("2probe")
    assert await early.closed() == 4000
    await winner.text("5")
    await winner.text("4x")
    assert await winner.receive() == "4x"
    after = await stand.line(poller.sid)
    assert await after.closed() == 4000
    await winner.text("4y")
    assert await winner.receive() == "4y"
    await winner.bye()


async def test_a_failed_upgrade_does_not_disturb_the_next(stand: Stand) -> None:
    """While the failed line is still closing, another probes and upgrades."""
    poller = await stand.poller()
    failed = await _probed(stand, poller)
    await failed.text("nonsense")
    good = await _probed(stand, poller)
    failed.hang_up()
    await asyncio.sleep(0.05)
    await good.text("5")
    await good.text("4x")
    assert await good.receive() == "4x"
    await good.bye()


async def test_upgrading_a_websocket_session(stand: Stand) -> None:
    """There is nothing to upgrade: the second line is closed, the first goes on."""
    peer = await stand.websocket()
    second = await stand.line(peer.sid)
    assert await second.closed() == 4000
    await peer.text("4x")
    assert await peer.receive() == "4x"
    await peer.bye()


async def test_the_session_ends_during_the_probe(stand: Stand) -> None:
    """Closed by the client over polling or by the server: the second line cannot bring it back."""
    for by_client in (True, False):
        poller = await stand.poller()
        peer = await _probed(stand, poller)
        await (poller.post("1") if by_client else stand.engine.disconnect(poller.sid))
        await peer.text("5")
        assert await peer.closed() == 4000
        assert not stand.engine.sockets
    assert len(stand.ended) == 2


async def test_heartbeats_go_on_over_the_new_line(way: str) -> None:
    """A ping that waited for a poll comes over WebSocket, and so do those after it."""
    async with serving(way, ping_interval=0.1, ping_timeout=0.5) as stand:
        poller = await stand.poller()
        peer = await _probed(stand, poller)
        await asyncio.sleep(0.15)
        await peer.text("5")
        for _ in range(3):
            assert await peer.receive() == "2"
            await peer.text("3")
        await peer.bye()
