"""The servers that are compared: how each is started, pinned to its core, and stopped."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import build, processes
from bench.paths import PEERS, RAW, REPOSITORY

SERVER_CORE = 0
LOAD_CORE = 1
START_TIMEOUT = 30.0
STOP_TIMEOUT = 20.0


@dataclass(frozen=True)
class Server:
    """One of the servers, not running."""

    name: str
    title: str
    command: Callable[[int], list[str]]
    """Its command line for a port."""


@dataclass(frozen=True)
class Running:
    """A server that accepts connections."""

    server: Server
    port: int
    pid: int
    started_in: float = 0.0
    """Seconds from the start of the process until it accepted a connection."""

    @property
    def pids(self) -> list[int]:
        """Return its processes."""
        return processes.family(self.pid)


def _rtserver(port: int) -> list[str]:
    program = str(Path(sys.executable).with_name("rtserver"))
    return [
        program,
        "serve",
        "--config",
        str(REPOSITORY / "config.yaml"),
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]


RTSERVER = Server("rtserver", "rtserver", _rtserver)
NODE = Server("node", "Node socket.io", lambda port: [*build.node_server(), str(port)])
STOCK = Server("stock", "python-socketio", lambda port: [sys.executable, str(PEERS / "stock.py"), str(port)])
FLOOR = Server("floor", "C, one write per delivery", lambda port: [str(build.floor_server()), str(port)])
ALL = (RTSERVER, NODE, STOCK, FLOOR)


def pinned(core: int, command: list[str]) -> list[str]:
    """Return the command, bound to one core when the machine has two."""
    return ["taskset", "-c", str(core), *command] if (os.cpu_count() or 1) > 1 else command


@contextmanager
def running(server: Server, environment: dict[str, str] | None = None) -> Iterator[Running]:
    """Run a server in an empty directory, so that what it stores goes with it."""
    port = _free_port()
    command = pinned(SERVER_CORE, server.command(port))
    RAW.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, (RAW / f"{server.name}.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, stdout=log, stderr=log, env={**os.environ, **(environment or {})}
        )
        try:
            started_in = _wait_until_it_listens(process, server, port)
            yield Running(server, port, process.pid, started_in)
        finally:
            _stop(process)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_it_listens(process: subprocess.Popen[bytes], server: Server, port: int) -> float:
    begin = time.monotonic()
    while time.monotonic() < begin + START_TIMEOUT:
        if process.poll() is not None:
            break
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            took = time.monotonic() - begin
            time.sleep(0.5)  # what a server still does after its socket listens is not part of the load
            return took
    raise build.UnavailableError(f"{server.title} did not start; see {RAW / server.name}.log")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
