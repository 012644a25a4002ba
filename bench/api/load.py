"""The load: python -m bench.api.load PORT CONNECTIONS BATCH WARM SECONDS, one line of JSON on stdout.

Requests are made once and written as they are, answers only looked at as far as needed: on uvloop this offers several
times what a server in Python takes.
"""

import asyncio
import json
import sys
import time
from typing import Any

import orjson
import uvloop

ITEM = {"room": "bench", "event": "tick", "data": {"n": 1, "text": "x" * 64}}


class Counter:
    """What was answered since the beginning, and since the measuring began."""

    def __init__(self) -> None:
        self.answers = 0
        self.times: list[float] = []
        self.wrong = ""


class Connection(asyncio.Protocol):
    """Sends the next request when the last was answered."""

    def __init__(self, request: bytes, counter: Counter) -> None:
        self._request = request
        self._counter = counter
        self._received = b""
        self._sent = 0.0

    def connection_made(self, transport: Any) -> None:
        """Begin."""
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        """Wait for the whole answer; anything but a good one ends the measuring."""
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found or len(body) < _length(head):
            return
        if not head.startswith(b"HTTP/1.1 200 ") or b'"error"' in body:
            self._counter.wrong = self._received[:300].decode(errors="replace")
            self._transport.close()
            return
        self._received = b""
        self._counter.answers += 1
        self._counter.times.append(time.perf_counter() - self._sent)
        self._send()

    def _send(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(self._request)


def _length(head: bytes) -> int:
    _, _, rest = head.lower().partition(b"content-length:")
    return int(rest.partition(b"\r\n")[0])


def _request(batch: int) -> bytes:
    path = "/api/publish" if batch == 1 else "/api/publish/batch"
    body = orjson.dumps(ITEM if batch == 1 else {"publications": [ITEM] * batch})
    head = (
        f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def _run(port: int, connections: int, batch: int, warm: float, seconds: float) -> dict[str, object]:
    counter, request, loop = Counter(), _request(batch), asyncio.get_running_loop()
    for _ in range(connections):
        await loop.create_connection(lambda: Connection(request, counter), "127.0.0.1", port)
    await asyncio.sleep(warm)
    counter.times.clear()
    before, begin = counter.answers, time.perf_counter()
    await asyncio.sleep(seconds)
    answers, took = counter.answers - before, time.perf_counter() - begin
    if counter.wrong or not answers:
        raise SystemExit(counter.wrong or "no answers")
    times = sorted(counter.times)
    return {
        "published": counter.answers * batch,
        "publications": answers * batch,
        "seconds": took,
        "p50_ms": times[len(times) // 2] * 1e3,
        "p99_ms": times[int(len(times) * 0.99)] * 1e3,
    }


if __name__ == "__main__":
    port, connections, batch = map(int, sys.argv[1:4])
    warm, seconds = map(float, sys.argv[4:])
    print(json.dumps(uvloop.run(_run(port, connections, batch, warm, seconds))))
