"""Drive the load generator: one process per server, commands in, one line of JSON per command out."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bench import build
from bench.servers import LOAD_CORE, Running, pinned

Answer = dict[str, Any]


class BrokenError(Exception):
    """The load generator gave up; says why."""


class Load:
    """A running load generator."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def open(self, **options: int) -> Answer:
        """Connect clients: `clients`, `rooms`, `narrow`, `sources`, `plain`."""
        return self._do("open", options)

    def run(self, **options: object) -> Answer:
        """Publish: `verb`, `inflight` or `rate`, `seconds`, `warm`, `publishers`, `size`, `acks`, `ids`."""
        return self._do("run", options)

    def stall(self, count: int) -> Answer:
        """Let the last clients stop reading."""
        return self._do("stall", {"count": count})

    def leave(self) -> Answer:
        """Hang up every client at once."""
        return self._do("leave", {})

    def status(self) -> Answer:
        """Return how many clients are there, and how many were lost."""
        return self._do("status", {})

    def _do(self, command: str, options: dict[str, Any]) -> Answer:
        assert self._process.stdin
        assert self._process.stdout
        words = [command, *(f"{key}={value}" for key, value in options.items())]
        self._process.stdin.write(" ".join(words) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            assert self._process.stderr
            raise BrokenError(f"{' '.join(words)}: {self._process.stderr.read().strip() or 'no answer'}")
        answer: Answer = json.loads(line)
        return answer


@contextmanager
def load_on(server: Running) -> Iterator[Load]:
    """Start a load generator beside a server."""
    pids = ",".join(map(str, server.pids))
    command = [str(build.load_generator()), str(server.port), pids]
    process = subprocess.Popen(
        pinned(LOAD_CORE, command),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield Load(process)
    finally:
        process.kill()
        process.communicate()
