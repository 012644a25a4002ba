"""A long stream into one target: how fast, what it costs, and that nothing is lost, doubled or out of order."""

import tempfile
from collections import Counter, defaultdict
from functools import partial
from pathlib import Path

import orjson

from bench import processes
from bench.generator import load_on
from bench.hooks.comparison import NEVER, compared
from bench.hooks.receiver import Receiver, receiving
from bench.hooks.targets import batching
from bench.scenarios import Figures, Pace
from bench.servers import Running

RATE = 3000
OFFERED = 1.05 * RATE
"""A little more, so that the rate that is asked for can be reached."""


def measure(pace: Pace) -> dict[str, Figures]:
    """Broadcast at a steady rate, without and with a target."""
    with tempfile.TemporaryDirectory() as folder, receiving() as receiver:
        work = partial(_stream, receiver=receiver, folder=Path(folder), seconds=4 * pace.seconds)
        [(off, on)] = compared([], [batching("hooks", receiver.port)], 1, work)
    rate = min(on["published_per_s"], on["received_per_s"])
    slow = RATE / rate if rate else NEVER
    late = (on["last"] - on["last_ack"]) * 1e3 if not on["unseen"] else NEVER
    wrong = on["unseen"] + on["twice"] + on["disordered"] + on["unanswered"]
    runs = {"without": off, "with": on}
    return {
        "hooks-flow": {"value": slow, "off": RATE / off["published_per_s"], "on": slow, **runs},
        "hooks-lost": {"value": wrong, "on": wrong},
        "hooks-late": {"value": late, "on": late},
    }


def _stream(server: Running, receiver: Receiver, folder: Path, seconds: float) -> Figures:
    """Let 100 clients in 20 rooms broadcast in turn, and wait until the receiver has all that was acknowledged."""
    acks, bodies = folder / "acks", folder / "bodies"
    with load_on(server) as load:
        load.open(clients=100, rooms=20)
        receiver.reset(bodies)
        before = processes.cpu_seconds(server.pids)
        answer = load.run(
            verb="broadcast", rate=OFFERED, publishers=100, seconds=seconds, warm=1, acks=1, ids=acks
        )
        came = receiver.wait_for(answer["acks"], quiet=3)
        cpu = processes.cpu_seconds(server.pids) - before
    took = came["last"] - came["first"]
    return {
        **answer,
        **_compared(acks, bodies),
        "cpu_us_per_event": cpu * 1e6 / answer["published"],
        "published_per_s": answer["publications"] / answer["seconds"],
        "received_per_s": came["events"] / took if took else 0.0,
        "last": came["last"],
        "webhook_p50_ms": came["p50_ms"],
        "webhook_p99_ms": came["p99_ms"],
        "requests": came["requests"],
    }


def _compared(acks: Path, bodies: Path) -> dict[str, int]:
    """Count what was acknowledged and never came, what came twice, and what came after its successor."""
    seen: Counter[str] = Counter()
    offsets: dict[str, int] = defaultdict(int)
    disordered = 0
    for line in bodies.read_bytes().splitlines():
        for event in orjson.loads(line)["data"]["events"]:
            data = event["data"]
            seen[data["id"]] += 1
            disordered += data["offset"] <= offsets[data["room"]] and seen[data["id"]] == 1
            offsets[data["room"]] = max(offsets[data["room"]], data["offset"])
    promised = acks.read_text().split()
    return {
        "promised": len(promised),
        "unseen": sum(id_ not in seen for id_ in promised),
        "twice": sum(count - 1 for count in seen.values()),
        "disordered": disordered,
    }
