"""Publications over HTTP, from a backend that keeps its connections."""

import json
import subprocess
import sys
from typing import Any

from bench import processes
from bench.generator import BrokenError
from bench.scenarios import Figures, Pace
from bench.servers import LOAD_CORE, RTSERVER, Running, pinned, running

SINGLE, BATCHED = 2000, 20_000
"""Publications per second that are asked for."""
BATCH = 100
CONNECTIONS = 8


def measure_single(pace: Pace) -> dict[str, Figures]:
    """Publish one by one."""
    return {"http-one": _measure(pace, 1, SINGLE)}


def measure_batches(pace: Pace) -> dict[str, Figures]:
    """Publish in batches."""
    return {"http-batch": _measure(pace, BATCH, BATCHED)}


def _measure(pace: Pace, batch: int, wanted: int) -> Figures:
    # The shipped configuration, with all its defaults; history is kept.
    with running(RTSERVER) as server:
        before = processes.cpu_seconds(server.pids)
        answer = _load(server, batch, pace)
        cpu = processes.cpu_seconds(server.pids) - before
    rate = answer["publications"] / answer["seconds"]
    return {
        **answer,
        "value": wanted / rate if rate else 1e6,
        "per_second": rate,
        "cpu_us_per_publication": cpu * 1e6 / answer["published"] if answer["published"] else 0.0,
    }


def _load(server: Running, batch: int, pace: Pace) -> dict[str, Any]:
    options = (server.port, CONNECTIONS, batch, pace.warm, pace.seconds)
    command = [sys.executable, "-m", "bench.api.load", *map(str, options)]
    done = subprocess.run(
        pinned(LOAD_CORE, command), check=False, capture_output=True, text=True, timeout=120
    )
    if done.returncode:
        raise BrokenError(done.stderr.strip().splitlines()[-1] if done.stderr else "no answer")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer
