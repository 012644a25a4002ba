"""The server's own share: frames go in and come out inside one process, with nothing of the kernel or the event loop.

What remains of a figure of the table when this is taken off belongs to system calls and to uvloop.
"""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import uvloop

from rtserver import create_app
from rtserver.telemetry import log
from rtserver.transport.endpoint import DIRECT

MASK = b"\x5a\xc3\x17\xe9"


class Sink:
    """A transport that takes everything and does nothing."""

    def __init__(self) -> None:
        self.writes = 0
        self.taken = 0

    def write(self, data: bytes) -> None:
        """Take frames."""
        self.writes += 1
        self.taken += len(data)

    def get_write_buffer_size(self) -> int:
        """Hold nothing."""
        return 0

    def is_closing(self) -> bool:
        """Stay open."""
        return False

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_: None


def masked(text: str) -> bytes:
    """Return a client's text frame."""
    data = text.encode()
    size = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + len(data).to_bytes(2, "big")
    return b"\x81" + size + MASK + bytes(byte ^ MASK[at & 3] for at, byte in enumerate(data))


async def enter(app: Any, room: str | None) -> tuple[Any, Sink]:
    """Connect a client through the same door as the fast path, and let it join a room."""
    sink = Sink()
    lanes: list[Any] = []

    def take_over(lane: Any, greeting: bytes) -> None:
        lane.attach(sink, set())
        lanes.append(lane)

    scope = {
        "type": "websocket",
        "path": "/socket.io/",
        "query_string": b"EIO=4&transport=websocket",
        "headers": [(b"host", b"localhost")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8000),
        "scheme": "ws",
        "subprotocols": [],
        "extensions": {DIRECT: take_over},
    }
    events = [{"type": "websocket.connect"}]

    async def receive() -> dict[str, Any]:
        return events.pop() if events else await asyncio.Future()

    async def send(message: Any) -> None:
        raise AssertionError(f"not the direct lane: {message}")

    await app(scope, receive, send)
    lane = lanes[0]
    lane.data_received(masked("40"))
    for _ in range(4):
        await asyncio.sleep(0)
    if room is not None:
        lane.data_received(masked(f'421["join",{{"room":"{room}"}}]'))
        await asyncio.sleep(0)
    return lane, sink


async def acknowledged(app: Any, events: int) -> float:
    """Return the µs of an event and its acknowledgement."""
    lanes = [(await enter(app, None))[0] for _ in range(200)]
    frame = masked('4212["ping",{"data":"' + "x" * 64 + '"}]')
    return await _time([partial(lane.data_received, frame) for lane in lanes], events, each=200)


async def broadcast(app: Any, members: int, inflight: int, events: int) -> float:
    """Return the µs of a publication to one room, all its deliveries included."""
    room = f"room-{members}-{inflight}"
    lanes = [(await enter(app, room))[0] for _ in range(members)]
    frame = masked(f'42["chat",{{"room":"{room}","message":"{"x" * 64}"}}]')
    return await _time([partial(lane.data_received, frame) for lane in lanes], events, each=inflight)


async def _time(actions: list[Callable[[], None]], count: int, each: int) -> float:
    """Time *count* actions, *each* of them per turn of the loop; the best of five, which is the least disturbed."""
    best = float("inf")
    turn = 0
    for _ in range(5):
        spent = 0.0
        for _ in range(0, count, each):
            begin = time.perf_counter()
            for _ in range(each):
                actions[turn % len(actions)]()
                turn += 1
            await asyncio.sleep(0)
            spent += time.perf_counter() - begin
        best = min(best, spent / count * 1e6)
    return best


async def measure() -> dict[str, float]:
    """Return the figures."""
    log.configure("warning", "json", whole_process=True)
    app = create_app({"limits": {"rate": {"messages": 1_000_000}}})
    found = {"ack": await acknowledged(app, 20000)}
    for inflight in (1, 4, 32):
        found[f"chat-{inflight}"] = await broadcast(app, 1000, inflight, 320) / 1000
    found["rooms"] = await broadcast(app, 5, 1, 5000) / 5
    found["publication"] = await broadcast(app, 1, 1, 5000)
    return found


if __name__ == "__main__":
    for name, micros in uvloop.run(measure()).items():
        print(f"{name:<12} {micros:8.3f} µs")
