"""Where the microseconds of a delivery go: python -m bench.profile, by Linux's perf.

The server is sampled while the work of some rows of the table runs on it; samples are sorted by where they were taken.
"""

import re
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bench.generator import Load, load_on
from bench.hooks.flow import OFFERED
from bench.hooks.receiver import receiving
from bench.hooks.targets import batching, serving
from bench.servers import RTSERVER, Running, running

SECONDS = 8
PARTS = {
    "kernel": "kernel",
    "interpreter": "libpython",
    "uvloop": "loop.",
    "SQLite": "sqlite3",
    "C library": "libc.so",
}
UNLIMITED = {"RTSERVER__LIMITS__RATE__MESSAGES": "1000000"}


def sampled(server: Running, load: Load, per_publication: bool = False, **work: Any) -> dict[str, float]:
    """Return the µs per event, delivery or publication, by part of the process."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(1) as pool:
        samples = Path(folder) / "perf.data"
        running_load = pool.submit(load.run, seconds=SECONDS, warm=2, **work)
        record = [
            "perf",
            "record",
            "--quiet",
            "--event",
            "cpu-clock",
            "--freq",
            "2000",
            "--pid",
            str(server.pid),
        ]
        # It begins and ends within the measured seconds.
        wait = ["sleep", str(SECONDS - 2)]
        subprocess.run(["sleep", "3"], check=True)
        subprocess.run([*record, "--output", samples, "--", *wait], check=True, capture_output=True)
        answer = running_load.result()
        total = float(answer["cpu_s"] * 1e6 / answer["publications"] if per_publication else answer["cpu_us"])
        report = subprocess.run(
            ["perf", "report", "--stdio", "--sort", "dso", "--input", samples],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
    shares = {part: _share(report, name) for part, name in PARTS.items()}
    shares["other"] = max(0.0, 1 - sum(shares.values()))
    return {"total": total, **{part: share * total for part, share in shares.items()}}


def _share(report: str, name: str) -> float:
    found = re.findall(r"^\s*([\d.]+)%\s+(\S+)", report, re.MULTILINE)
    return sum(float(percent) for percent, dso in found if name in dso) / 100


def main() -> None:
    """Print both profiles."""
    if not shutil.which("perf"):
        raise SystemExit("Linux's perf is needed.")
    with running(RTSERVER) as server, load_on(server) as load:
        load.open(clients=1000, rooms=1)
        _show(
            "chat to 1000 members, 1 in flight, per delivery",
            sampled(server, load, inflight=1, publishers=1000),
        )
        _show("the same, 32 in flight", sampled(server, load, inflight=32, publishers=1000))
    with running(RTSERVER, UNLIMITED) as server, load_on(server) as load:
        load.open(clients=200, rooms=0)
        _show("event + ack", sampled(server, load, verb="ping", inflight=200, publishers=200))
    with receiving() as receiver:
        for what, targets in (("without", []), ("with", [batching("hooks", receiver.port)])):
            with serving(targets) as server, load_on(server) as load:
                load.open(clients=100, rooms=20)
                work = {"verb": "broadcast", "rate": OFFERED, "publishers": 100, "acks": 1}
                _show(
                    f"3000 broadcasts/s, {what} webhooks", sampled(server, load, per_publication=True, **work)
                )


def _show(title: str, parts: dict[str, float]) -> None:
    print(title, *(f"{part} {micros:.2f} µs" for part, micros in parts.items()), sep="\n  ")


if __name__ == "__main__":
    main()
