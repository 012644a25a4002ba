"""Readers that stop: they cost no memory, no task, and no shutdown; and readers that are merely slow are served."""

from __future__ import annotations

import asyncio

import pytest

from rtserver.transport.lane import LaneLimits
from tests.integration.transport.wire_client import WebSocket
from tests.integration.transport.wire_server import DIRECT, Stand, eventually, serving

BLOCK = "x" * 65536


async def _stopped(stand: Stand) -> WebSocket:
    """Return a client that reads nothing after its OPEN packet."""
    peer = await stand.websocket(receive_buffer=4096)
    peer.pause()
    return peer


async def _fill(stand: Stand, sid: str, blocks: int) -> None:
    for _ in range(blocks):
        await stand.engine.send(sid, BLOCK)
        await asyncio.sleep(0)


async def _gone(stand: Stand, peer: WebSocket, tasks: int) -> None:
    """Check that nothing of *peer* is left. Over plain ASGI the connection itself is the HTTP server's."""
    await stand.is_empty()
    await eventually(lambda: stand.ended)
    assert stand.ended == ["slow consumer"]
    assert stand.engine.limits.evicted == 1
    await eventually(lambda: len(asyncio.all_tasks()) == tasks)
    if stand.way == DIRECT:
        await eventually(lambda: stand.connections == 0)
        await asyncio.wait_for(stand.server.shutdown(), 4)
    peer.hang_up()


async def test_a_reader_that_stops_is_evicted_by_time(way: str) -> None:
    """Nothing taken for the stall time: gone, with its connection, session and tasks; a stop does not wait for it."""
    limits = LaneLimits(max_bytes=10**9, stall=0.2)
    async with serving(way, limits=limits) as stand:
        tasks = len(asyncio.all_tasks())
        peer = await _stopped(stand)
        await _fill(stand, peer.sid, 200)
        assert stand.engine.sockets
        await _gone(stand, peer, tasks)


async def test_a_reader_that_stops_is_evicted_by_size(way: str) -> None:
    """More than max_bytes waiting: gone without waiting for the stall time."""
    limits = LaneLimits(max_bytes=300_000, stall=3 if way == DIRECT else 0.5)
    async with serving(way, limits=limits) as stand:
        tasks = len(asyncio.all_tasks())
        peer = await _stopped(stand)
        started = asyncio.get_running_loop().time()
        for _ in range(1000):
            if not stand.engine.sockets:
                break
            await _fill(stand, peer.sid, 1)
        await stand.is_empty()
        assert asyncio.get_running_loop().time() - started < 2
        await _gone(stand, peer, tasks)


async def test_others_do_not_notice(way: str) -> None:
    """While ten clients read nothing, another gets everything, in order."""
    limits = LaneLimits(max_bytes=400_000, stall=0.3)
    async with serving(way, limits=limits) as stand:
        stuck = [await _stopped(stand) for _ in range(10)]
        reader = await stand.websocket()

        for number in range(150):
            for sid in list(stand.engine.sockets):
                await stand.engine.send(sid, f"{number} " + BLOCK)
            packet = await reader.receive()
            assert isinstance(packet, str)
            assert packet.startswith(f"4{number} ")
        await eventually(lambda: len(stand.engine.sockets) == 1)
        assert stand.engine.limits.evicted == 10
        await reader.text("4ping")
        assert await reader.receive() == "4ping"
        await reader.bye()
        for peer in stuck:
            peer.hang_up()


async def test_a_reader_that_is_slow_but_reads_is_served() -> None:
    """The stall time is one without any progress: who always takes something, however slowly, gets everything."""
    limits = LaneLimits(max_bytes=10**9, stall=0.3)
    async with serving(DIRECT, limits=limits, send_buffer=32_768) as stand:
        peer = await _stopped(stand)
        await _fill(stand, peer.sid, 60)
        total = await _read(peer, 0)
        for _ in range(20):
            total += await _read(peer, 100_000)
            await asyncio.sleep(0.05)
        assert total < 60 * 65536, "the test is too fast to show anything"
        assert stand.ended == []
        assert stand.engine.sockets
        await _read(peer, 60 * 65536 - total)
        assert limits.evicted == 0
        peer.resume()
        await peer.bye()


async def _read(peer: WebSocket, size: int) -> int:
    """Read about *size* bytes, then nothing more, and return how many it were."""
    peer.resume()
    read = 0
    while read < size:
        data = await asyncio.wait_for(peer.reader.read(65536), 5)
        assert data, "the server has cut the line"
        read += len(data)
    peer.pause()
    return read


async def test_volatile_messages_are_dropped_first(way: str) -> None:
    """For a client that is behind they are dropped and counted; for one that reads they are not."""
    from rtserver.transport.outbound import Outbound

    limits = LaneLimits(max_bytes=10**9, stall=30)
    async with serving(way, limits=limits) as stand:
        stuck, reader = await _stopped(stand), await stand.websocket()
        await _fill(stand, stuck.sid, 200)
        for sid in (stuck.sid, reader.sid):
            stand.engine.sockets[sid].send(Outbound("4" + BLOCK))
            stand.engine.sockets[sid].send(Outbound("4typing"), volatile=True)
            stand.engine.sockets[sid].send(Outbound("4chat"))
        assert limits.dropped_volatile == 1
        assert [await reader.receive() for _ in range(3)][1:] == ["4typing", "4chat"]
        stuck.hang_up()
        await reader.bye()


async def test_a_poller_that_stops_polling_is_evicted(way: str) -> None:
    """Past max_bytes what waits is dropped, and the session is over; a late poll is told so."""
    limits = LaneLimits(max_bytes=300_000)
    async with serving(way, limits=limits) as stand:
        poller = await stand.poller()
        await _fill(stand, poller.sid, 6)
        await stand.is_empty()
        await eventually(lambda: stand.ended)
        assert stand.ended == ["slow consumer"]
        assert limits.evicted == 1
        assert (await poller.poll()).status == 400


async def test_a_poller_with_a_backlog_still_has_a_heartbeat(way: str) -> None:
    """Nobody polls, and what waits stays below the limit: the ping timeout ends the session."""
    limits = LaneLimits(max_bytes=300_000)
    async with serving(way, limits=limits, ping_interval=0.1, ping_timeout=0.1) as stand:
        poller = await stand.poller()
        await _fill(stand, poller.sid, 4)
        assert poller.sid in stand.engine.sockets
        await stand.is_empty()
        assert stand.ended == ["ping timeout"]


async def test_a_poll_whose_answer_is_not_read(way: str) -> None:
    """A polling client that stops reading in the middle of an answer loses session and task like any other."""
    async with serving(way, ping_interval=0.1, ping_timeout=0.2) as stand:
        tasks = len(asyncio.all_tasks())
        poller = await stand.poller()
        await _fill(stand, poller.sid, 60)
        reader, writer = await asyncio.open_connection("127.0.0.1", stand.port, limit=1024)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(f"GET {poller.path} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
        await stand.is_empty()
        assert stand.ended == ["ping timeout"]
        await eventually(lambda: len(asyncio.all_tasks()) == tasks)
        writer.transport.abort()
        assert reader


@pytest.mark.parametrize("stops", ["before the close", "after the close"])
async def test_a_client_that_reads_nothing_is_disconnected_all_the_same(
    stops: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A close frame behind a full line is given a moment, and no more."""
    monkeypatch.setattr("rtserver.transport.direct.CLOSE_TIMEOUT", 0.2)
    limits = LaneLimits(max_bytes=10**9, stall=30)
    async with serving(DIRECT, limits=limits) as stand:
        peer = (
            await _stopped(stand)
            if stops == "before the close"
            else await stand.websocket(receive_buffer=4096)
        )
        await _fill(stand, peer.sid, 200)
        await stand.engine.disconnect(peer.sid)
        peer.pause()
        assert stand.ended == ["server disconnect"]
        await eventually(lambda: stand.connections == 0, within=4)
        assert limits.evicted == 0
        peer.hang_up()
