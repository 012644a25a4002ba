"""Drive the receiver of webhooks: a process of its own, whose CPU time is not the server's."""

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench import build
from bench.servers import LOAD_CORE, pinned

Report = dict[str, Any]


class Receiver:
    """A receiver that runs."""

    def __init__(self, process: "subprocess.Popen[str]", port: int) -> None:
        self._process = process
        self.port = port

    def reset(self, keep: Path | None = None) -> None:
        """Forget what came; the bodies that follow go to a file, one per line."""
        self._ask(f"reset {keep}" if keep else "reset")

    def report(self) -> Report:
        """Return what came since: `events`, `requests`, `first` and `last` in seconds, latencies."""
        return self._ask("report")

    def wait_for(self, events: int, most: float = 30.0, quiet: float = 10.0) -> Report:
        """Return the report once so many events came, or none came for a while."""
        end = time.monotonic() + most
        found, heard = self.report(), time.monotonic()
        while found["events"] < events and time.monotonic() < min(end, heard + quiet):
            time.sleep(0.05)
            before, found = found, self.report()
            if found["requests"] != before["requests"]:
                heard = time.monotonic()
        return found

    def _ask(self, command: str) -> Report:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        answer: Report = json.loads(self._process.stdout.readline())
        return answer


@contextmanager
def receiving(*words: str) -> Iterator[Receiver]:
    """Start a receiver on a port of its own; with the word `hang` it never answers."""
    command = pinned(LOAD_CORE, [str(build.receiver()), *words])
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        yield Receiver(process, int(process.stdout.readline()))
    finally:
        process.kill()
        process.communicate()
