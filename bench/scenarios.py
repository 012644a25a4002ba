"""What is done to a server for each group of rows that shares one set of clients."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from statistics import median
from typing import Any

from bench import processes
from bench.generator import load_on
from bench.servers import FLOOR, NODE, RTSERVER, STOCK, Running, Server, running

Figures = dict[str, Any]
"""`value`, the figure of the row, and whatever explains it."""


@dataclass(frozen=True)
class Pace:
    """How long and how large."""

    seconds: float
    warm: float
    idle: int
    """Clients of the memory row."""
    leaving: tuple[int, int]
    """Fewest and most clients that leave at once."""
    stall_seconds: float
    pairs: int
    """How often webhooks are measured off and on."""


FULL = Pace(seconds=3, warm=1, idle=5000, leaving=(1000, 8000), stall_seconds=14, pairs=3)
QUICK = Pace(seconds=1, warm=0.5, idle=2000, leaving=(500, 2000), stall_seconds=3, pairs=1)


@dataclass(frozen=True)
class Scenario:
    """Measures one or more rows on a freshly started server."""

    rows: tuple[str, ...]
    servers: tuple[Server, ...]
    measure: Callable[[Running, Pace], dict[str, Figures]]
    context: tuple[Server, ...] = ()
    """Servers on whose figures no limit depends: measured in the first round of a full run only."""
    environment: dict[str, str] = field(default_factory=dict)
    """What rtserver is run with besides its shipped configuration."""

    def figures(self, server: Server, pace: Pace) -> dict[str, Figures]:
        """Measure on a server that is started for it."""
        with running(server, self.environment) as started:
            return self.measure(started, pace)


def _cpu(answer: Figures) -> Figures:
    return {"value": answer["cpu_us"], **answer}


def _acknowledged(server: Running, pace: Pace) -> dict[str, Figures]:
    """Let every client send one event after the other, each when the last was acknowledged."""
    with load_on(server) as load:
        load.open(clients=200, rooms=0)
        answer = load.run(verb="ping", inflight=200, publishers=200, seconds=pace.seconds, warm=pace.warm)
    return {"ack": _cpu(answer)}


def _crowd(server: Running, pace: Pace) -> dict[str, Figures]:
    """Fill one room; all members publish in turn, so that none of them meets a rate limit."""
    found = {}
    with load_on(server) as load:
        load.open(clients=1000, rooms=1)
        for inflight in (1, 4, 32):
            answer = load.run(inflight=inflight, publishers=1000, seconds=pace.seconds, warm=pace.warm)
            found[f"chat-{inflight}"] = _cpu(answer)
    return found


def _small_rooms(server: Running, pace: Pace) -> dict[str, Figures]:
    """Fill 200 rooms, one publication per room under way."""
    with load_on(server) as load:
        load.open(clients=1000, rooms=200)
        answer = load.run(inflight=200, publishers=1000, seconds=pace.seconds, warm=pace.warm)
    return {"rooms": _cpu(answer)}


def _memory(server: Running, pace: Pace) -> dict[str, Figures]:
    """Hold clients that joined a room of 50 and then do nothing."""
    before = processes.resident_kb(server.pids)
    with load_on(server) as load:
        load.open(clients=pace.idle, rooms=max(1, pace.idle // 50))
        time.sleep(1)
        after = processes.resident_kb(server.pids)
    return {"memory": {"value": (after - before) / pace.idle, "before_kb": before, "after_kb": after}}


def _leaving(server: Running, pace: Pace) -> dict[str, Figures]:
    """Hang up all clients and count the CPU until nothing follows; rtserver lets them go after 5 s."""
    few, many = ((count, _cpu_of_leaving(server, count)) for count in pace.leaving)
    per_client = {count: seconds * 1e6 / count for count, seconds in (few, many)}
    return {
        "leaving": {
            "value": per_client[many[0]],
            "flat": per_client[many[0]] / per_client[few[0]] if per_client[few[0]] else 0.0,
            "us_per_client": per_client,
        }
    }


def _cpu_of_leaving(server: Running, clients: int) -> float:
    with load_on(server) as load:
        load.open(clients=clients, rooms=max(1, clients // 50))
        time.sleep(1)
        before = processes.cpu_seconds(server.pids)
        load.leave()
        return _cpu_until_quiet(server) - before


def _cpu_until_quiet(server: Running, most: float = 60.0) -> float:
    """Return the CPU clock at the end of the last busy moment."""
    quiet = 6.5 if server.server is RTSERVER else 2.0
    end = time.monotonic() + most
    used = seen = processes.cpu_seconds(server.pids)
    busy_until = time.monotonic()
    while time.monotonic() < min(end, busy_until + quiet):
        time.sleep(0.25)
        before, seen = seen, processes.cpu_seconds(server.pids)
        if seen - before > 0.25 * 0.02:  # less is timers, not work
            busy_until = time.monotonic()
            used = seen
    return used


def _steady(server: Running, pace: Pace) -> dict[str, Figures]:
    """Publish by the clock: latency counts from the moment a publication was due, late or not."""
    with load_on(server) as load:
        load.open(clients=100, rooms=1)
        answer = load.run(rate=300, publishers=100, seconds=2 * pace.seconds, warm=pace.warm)
    return {"steady": {"value": answer["p99_ms"], **answer}}


def _stalled(server: Running, pace: Pace) -> dict[str, Figures]:
    """Look at the same 200 members before and after 10 others in their room stop reading for good.

    Messages are long, so that the kernel's buffers fill and rtserver has to evict the ten while it is measured.
    """
    options = {
        "rate": 300,
        "publishers": 200,
        "seconds": pace.stall_seconds,
        "warm": 2 * pace.warm,
        "size": 256,
    }
    with load_on(server) as load:
        load.open(clients=210, rooms=1, narrow=10)
        without = load.run(**options)
        load.stall(10)
        stalled = load.run(**options)
    return {"stall": {**stalled, "value": _ratio(stalled, without), "without": without}}


FLOODERS = 200


def _flooded(server: Running, pace: Pace, row: str, apart: int, **flood: int) -> dict[str, Figures]:
    """Look at the same 100 members of a room before and while 200 others send 100 events a second each.

    The flooders are in *apart* rooms of their own, or with 0 in the same room.
    """
    # Warm is when every flooder has used up its burst, and the server has lost its patience.
    options = {"rate": 100, "publishers": 100, "seconds": 5 * pace.seconds, "warm": 4 + pace.warm}
    with load_on(server) as load:
        load.open(clients=100 + FLOODERS, rooms=1, flooders=FLOODERS, apart=apart)
        without = load.run(**options)
        flooded = load.run(**options, flood=100 * FLOODERS, **flood)
    # Flooders that are cut are members no more, so what is missing cannot be told.
    return {row: {**flooded, "value": _ratio(flooded, without), "without": without, "missing": 0}}


def _flood(row: str, environment: dict[str, str], apart: int = FLOODERS, **flood: int) -> Scenario:
    measure = partial(_flooded, row=row, apart=apart, **flood)
    return Scenario((row,), (RTSERVER,), measure, environment=environment)


def _plain(server: Running, pace: Pace) -> dict[str, Figures]:
    """Compare members by plain WebSocket with as many by Socket.IO, on a second server of the same kind, in turns."""
    with running(server.server) as second, load_on(server) as socketio, load_on(second) as plain:
        socketio.open(clients=1000, rooms=1)
        plain.open(clients=1000, rooms=1, plain=1)
        turns = [
            [load.run(inflight=1, publishers=1000, seconds=pace.seconds, warm=pace.warm) for load in pair]
            for pair in [(socketio, plain)] * pace.pairs
        ]
    without, with_ = ([turn[which]["cpu_us"] for turn in turns] for which in (0, 1))
    last = turns[-1][1]
    value = median(plain / other for other, plain in zip(without, with_, strict=True))
    return {"plain": {**last, "value": value, "socketio_us": without, "plain_us": with_}}


def _ratio(stalled: Figures, without: Figures) -> float:
    return float(stalled["p99_ms"] / without["p99_ms"]) if without["p99_ms"] else 0.0


# The shipped configuration allows one client 100 events a second, so such a flood is none by its rules.
MODEST = {"RTSERVER__LIMITS__RATE__MESSAGES": "10", "RTSERVER__LIMITS__RATE__BURST": "20"}
# What a member says costs as often as there are members: a large room needs a lower rate.
STRICT = {"RTSERVER__LIMITS__RATE__MESSAGES": "2", "RTSERVER__LIMITS__RATE__BURST": "5"}

SCENARIOS = (
    # 200 clients that never wait send far more than the 100 a second that each is allowed; the limiter stays on.
    Scenario(
        ("ack",), (RTSERVER, NODE), _acknowledged, (STOCK,), {"RTSERVER__LIMITS__RATE__MESSAGES": "1000000"}
    ),
    Scenario(("chat-1", "chat-4", "chat-32"), (RTSERVER, NODE, FLOOR), _crowd, (STOCK,)),
    Scenario(("rooms",), (RTSERVER, NODE), _small_rooms, (FLOOR, STOCK)),
    Scenario(("memory",), (RTSERVER, NODE), _memory, (STOCK,)),
    Scenario(("leaving",), (RTSERVER, NODE), _leaving, (STOCK,)),
    Scenario(("steady",), (RTSERVER, NODE), _steady, (STOCK,)),
    Scenario(("stall",), (RTSERVER,), _stalled, (NODE,)),
    _flood("flood", MODEST),
    _flood("flood-acks", MODEST, flood_acks=1),
    _flood("flood-room", STRICT, apart=0),
    _flood("flood-back", MODEST, back=1),
    Scenario(("plain",), (RTSERVER,), _plain),
)
