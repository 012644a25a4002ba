"""WebSocket over plain ASGI: a bounded buffer and the task that empties it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from rtserver.transport.lane import LaneLimits
from rtserver.transport.outbound import Outbound
from rtserver.transport.websocket import AsgiLane
from tests.unit.transport.stand_ins import Hearer


class _Server:
    """An ASGI server's end of one connection: it takes messages only while its *gate* is open."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.sent: list[dict[str, Any]] = []
        self.incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def send(self, message: dict[str, Any]) -> None:
        await self.gate.wait()
        self.sent.append(message)

    async def receive(self) -> dict[str, Any]:
        return await self.incoming.get()

    @property
    def said(self) -> list[Any]:
        """Texts, binary messages and close codes that were sent."""
        return [m.get("text", m.get("bytes", m.get("code"))) for m in self.sent]


class _Line:
    """A lane that is being served."""

    def __init__(self, **limits: Any) -> None:
        self.limits = LaneLimits(**limits)
        self.hearer = Hearer()
        self.lane = AsgiLane(self.limits, self.hearer, max_payload=300)
        self.server = _Server()
        self.serving = asyncio.ensure_future(self.lane.run(self.server.receive, self.server.send))

    async def settle(self) -> None:
        """Let everything happen that can happen without time passing."""
        for _ in range(20):
            await asyncio.sleep(0)

    async def ended(self) -> None:
        """Wait for the end of the connection."""
        await asyncio.wait_for(self.serving, 2)


async def _hangs_up(line: _Line) -> None:
    line.server.incoming.put_nowait({"type": "websocket.disconnect", "code": 1006})
    await line.ended()


async def test_packets_leave_in_order() -> None:
    """Text as text and binary as bytes, what was written before the lane was served first."""
    line = _Line()
    line.lane.write(Outbound.message("a", b"\x01"))
    await line.settle()
    line.lane.write(Outbound("4b"))
    line.lane.write(Outbound("4c"))
    await line.settle()
    assert line.server.said == ["4a", b"\x01", "4b", "4c"]
    await _hangs_up(line)


async def test_messages_reach_the_receiver() -> None:
    """In order, whichever of the two fields the server leaves out or sets to None."""
    line = _Line()
    for message in (
        {"text": "4a"},
        {"bytes": b"b"},
        {"text": None, "bytes": b"c"},
        {"text": "4d", "bytes": None},
    ):
        line.server.incoming.put_nowait({"type": "websocket.receive", **message})
    await line.settle()
    assert line.hearer.heard == [("text", "4a"), ("binary", b"b"), ("binary", b"c"), ("text", "4d")]
    await _hangs_up(line)


async def test_hanging_up_is_told_once() -> None:
    """The connection is over, and with it both tasks."""
    line = _Line()
    await _hangs_up(line)
    assert [what for what, _ in line.hearer.heard] == ["lost"]
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_closing_sends_what_waits_first() -> None:
    """Then the code and reason; nothing is written after it, and a second close is nothing."""
    line = _Line()
    line.lane.write(Outbound("4a"))
    line.lane.close(4016, "kicked")
    line.lane.write(Outbound("4late"))
    line.lane.close(1000, "")
    await line.ended()
    assert line.server.said == ["4a", 4016]
    assert line.server.sent[-1] == {"type": "websocket.close", "code": 4016, "reason": "kicked"}


@pytest.mark.parametrize(
    "reason", ["x" * 1000, "é" * 100, "\U000e0001" * 50], ids=["long", "two bytes", "four bytes"]
)
async def test_a_long_reason_is_cut(reason: str) -> None:
    """To what a close frame holds, between characters: servers refuse to send more."""
    line = _Line()
    line.lane.close(4000, reason)
    await line.ended()
    told = line.server.sent[-1]["reason"]
    assert reason.startswith(told)
    assert 100 < len(told.encode()) <= 123


@pytest.mark.parametrize(
    "data", ["x" * 301, "é" * 151, b"x" * 301, "x" * 10_000], ids=["text", "two bytes each", "binary", "long"]
)
async def test_a_message_over_the_limit(data: str | bytes) -> None:
    """It counts in bytes, as on the fast path: 1009, whatever limit the server has of its own."""
    line = _Line()
    kind = "text" if isinstance(data, str) else "bytes"
    line.server.incoming.put_nowait({"type": "websocket.receive", kind: data[:150]})
    line.server.incoming.put_nowait({"type": "websocket.receive", kind: data})
    await line.ended()
    assert line.server.said == [1009]
    assert [what for what, _ in line.hearer.heard] == ["text" if isinstance(data, str) else "binary", "lost"]


async def test_aborting_drops_what_waits() -> None:
    """Only the close is sent."""
    line = _Line()
    line.lane.write(Outbound("4a"))
    line.lane.abort()
    await line.ended()
    assert line.server.said == [1001]


async def test_too_much_evicts() -> None:
    """Past max_bytes behind a write that does not move: dropped, counted once, told once, in the next turn."""
    line = _Line(max_bytes=100, stall=0.05)
    line.server.gate.clear()
    line.lane.write(Outbound("4first"))
    await line.settle()
    for _ in range(20):
        line.lane.write(Outbound("4" + "x" * 20))
    assert line.hearer.heard == []
    await line.settle()
    assert line.hearer.heard == [("lost", "slow consumer")]
    await line.ended()
    assert line.limits.evicted == 1
    assert line.server.said == []


async def test_a_write_that_does_not_move_evicts() -> None:
    """After the stall time, without more being written."""
    line = _Line(stall=0.02)
    line.server.gate.clear()
    line.lane.write(Outbound("4a"))
    await line.settle()
    assert line.lane.stalled
    await line.ended()
    assert line.hearer.heard[0] == ("lost", "slow consumer")
    assert line.limits.evicted == 1
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_close_that_does_not_move_is_given_up() -> None:
    """Bounded by the stall time; it is no eviction, for the lane had been closed."""
    line = _Line(stall=0.02)
    line.server.gate.clear()
    line.lane.write(Outbound("4a"))
    await line.settle()
    line.lane.close(1000, "")
    await line.ended()
    assert line.limits.evicted == 0


async def test_volatile_is_dropped_first() -> None:
    """While something waits behind a write under way, and only then."""
    line = _Line()
    line.lane.write(Outbound("4a"), volatile=True)
    await line.settle()
    line.server.gate.clear()
    line.lane.write(Outbound("4b"))
    await line.settle()
    line.lane.write(Outbound("4c"))
    line.lane.write(Outbound("4d"), volatile=True)
    line.lane.write(Outbound("4e"))
    line.server.gate.set()
    await line.settle()
    assert line.server.said == ["4a", "4b", "4c", "4e"]
    assert line.limits.dropped_volatile == 1
    await _hangs_up(line)


@pytest.mark.parametrize("go_on", [AsgiLane.resume_reading, AsgiLane.end, AsgiLane.abort])
async def test_reading_is_held_back(go_on: Callable[[AsgiLane], None]) -> None:
    """While it is paused nothing is taken from the server; it goes on when resumed, and the end is not held up."""
    line = _Line()
    line.lane.pause_reading()
    for text in ("4a", "4b", "4c"):
        line.server.incoming.put_nowait({"type": "websocket.receive", "text": text})
    await line.settle()
    assert len(line.hearer.heard) <= 1
    go_on(line.lane)
    await line.settle()
    if go_on is AsgiLane.resume_reading:
        assert [packet for _, packet in line.hearer.heard] == ["4a", "4b", "4c"]
        await _hangs_up(line)
    else:
        await line.ended()


async def test_a_server_that_fails_ends_the_connection() -> None:
    """Whatever sending raises, the receiver is told and no task stays."""
    line = _Line()

    async def fails(message: dict[str, Any]) -> None:
        raise OSError("gone")

    line.serving.cancel()
    await asyncio.gather(line.serving, return_exceptions=True)
    serving = asyncio.ensure_future(line.lane.run(line.server.receive, fails))
    line.lane.write(Outbound("4a"))
    await asyncio.wait_for(asyncio.gather(serving, return_exceptions=True), 2)
    assert ("lost", "transport close") in line.hearer.heard
    assert asyncio.all_tasks() == {asyncio.current_task()}
