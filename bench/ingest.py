"""Streams: how fast records of Kafka, and rows of an outbox table, reach a member of a room."""

import asyncio
import json
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from bench import processes
from bench.generator import BrokenError
from bench.scenarios import Figures, Pace
from bench.servers import RTSERVER, Running, Server, running
from tests.acceptance.harness import postgres as postgresql
from tests.acceptance.harness.kafka import Kafka

COUNT = 10_000
"""The rows say how long so many take."""
ROOM = "ingest"
LIMIT = 60.0
_TABLE = (
    "CREATE TABLE outbox (id bigserial PRIMARY KEY, body jsonb NOT NULL, "
    "created_at timestamptz NOT NULL DEFAULT now(), error text, failed_at timestamptz)"
)
_ROWS = "INSERT INTO outbox (body) SELECT $1::jsonb FROM generate_series(1, $2::int)"


@dataclass(frozen=True)
class Ingest:
    """Measures one row on a server that reads one source."""

    rows: tuple[str, ...]
    measure: Callable[[int], Figures]
    each: int
    """Records per second of the pace."""
    servers: tuple[Server, ...] = (RTSERVER,)
    context: tuple[Server, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)

    def figures(self, _server: Server, pace: Pace) -> dict[str, Figures]:
        """Measure."""
        return {self.rows[0]: self.measure(int(self.each * pace.seconds))}


def kafka(count: int) -> Figures:
    """Read what stands in four partitions."""
    cluster = Kafka()
    try:
        cluster.create("bench", 4)

        def fill() -> None:
            for part in range(4):
                cluster.produce("bench", [_body()] * (count // 4), partition=part, **{"linger.ms": 20})

        source = {"name": "bench", "bootstrap_servers": cluster.servers, "topics": "bench"}
        with running(RTSERVER, {"RTSERVER__INGEST__KAFKA": json.dumps([source])}) as server:
            # The group begins at the end, which it has to know before there is something behind it.
            _until_up(server)
            return _heard(server, fill, count // 4 * 4)
    finally:
        cluster.close()


def outbox(count: int) -> Figures:
    """Read a table that was filled in one transaction."""
    programs = postgresql.programs()
    if programs is None:
        raise BrokenError(postgresql.MISSING)
    database = postgresql.Postgres(programs)
    try:
        dsn = database.database()
        asyncio.run(postgresql.execute(dsn, _TABLE))

        def fill() -> None:
            asyncio.run(postgresql.execute(dsn, (_ROWS, _body().decode(), count)))

        source = {"name": "bench", "dsn": dsn, "table": "outbox"}
        with running(RTSERVER, {"RTSERVER__INGEST__POSTGRES": json.dumps([source])}) as server:
            _until_up(server)
            return _heard(server, fill, count)
    finally:
        database.close()


def _body() -> bytes:
    return json.dumps({"room": ROOM, "event": "tick", "data": {"n": 1, "text": "x" * 64}}).encode()


def _heard(server: Running, fill: Callable[[], None], count: int) -> Figures:
    """Return how long a member hears them, from the first to the last."""
    with _member(server) as member:
        begin, before = time.monotonic(), processes.cpu_seconds(server.pids)
        fill()
        filled = time.monotonic()
        took, heard = _counted(member, count, begin + LIMIT)
        cpu = processes.cpu_seconds(server.pids) - before
    return {
        "value": took * COUNT / heard if heard else LIMIT,
        "records": heard,
        "missing": count - heard,
        "per_s": heard / took if took else 0.0,
        "cpu_us_per_record": cpu * 1e6 / heard if heard else 0.0,
        "filled_in_s": filled - begin,
    }


def _counted(member: socket.socket, count: int, end: float) -> tuple[float, int]:
    """Count frames by what each has once; return the seconds between the first and the last, and how many."""
    heard, first, last, rest = 0, 0.0, 0.0, b""
    mark = b'42["tick"'
    while heard < count and time.monotonic() < end:
        try:
            data = rest + member.recv(1 << 20)
        except TimeoutError:
            break
        last = time.monotonic()
        first = first or last
        heard += data.count(mark)
        # A mark that is cut in two is counted with what follows.
        rest = data[len(data) - len(mark) + 1 :]
    return last - first, heard


def _member(server: Running) -> socket.socket:
    """Connect by WebSocket and join the room, with nothing that costs time later."""
    member = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    member.sendall(
        b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
    )
    join = f'420["join",{{"room":"{ROOM}"}}]'
    for text, answer in (("", b'0{"sid"'), ("40", b'40{"sid"'), (join, b"430[")):
        if text:
            member.sendall(_frame(text))
        found = b""
        while answer not in found:
            found += member.recv(65536)
    return member


def _frame(text: str) -> bytes:
    mask, data = os.urandom(4), text.encode()
    return bytes([0x81, 0x80 | len(data)]) + mask + bytes(b ^ mask[at & 3] for at, b in enumerate(data))


def _until_up(server: Running) -> None:
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        told: Any = httpx.get(f"http://127.0.0.1:{server.port}/readyz", trust_env=False).json()
        if all(source["state"] == "up" for source in told["sources"]):
            return
        time.sleep(0.1)
    raise BrokenError("the source did not come up")


INGEST = (
    Ingest(("ingest-kafka",), kafka, 20_000),
    Ingest(("ingest-outbox",), outbox, 10_000),
)
