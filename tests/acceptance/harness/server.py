"""The real command, `rtserver serve`, as a process of its own."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.ports import free_port

START_LIMIT = 60.0
STOP_LIMIT = 30.0

# Quiet limits and a quick goodbye, so that a test meets the one limit it is about.
COMMON: dict[str, Any] = {
    "auth": {"mode": "none"},
    "limits": {
        "rate": {"messages": 100_000, "per": "1s", "burst": 100_000},
        "connections": {"total": 10_000, "per_ip": 10_000},
    },
    "server": {"drain": {"delay": "0s", "spread": "100ms", "timeout": "3s"}},
}


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `over` laid over it, section by section."""
    result = dict(base)
    for key, value in over.items():
        old = result.get(key)
        result[key] = merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return result


def command() -> list[str]:
    """How the `rtserver` of this environment is called."""
    script = Path(sys.executable).with_name("rtserver")
    return [str(script)] if script.exists() else [sys.executable, "-m", "rtserver"]


def environment(**more: str) -> dict[str, str]:
    """This process's environment without anything that would configure a server."""
    return {k: v for k, v in os.environ.items() if not k.startswith("RTSERVER__")} | more


def run_command(
    *args: str, cwd: Path, env: Mapping[str, str] | None = None, timeout: float = 60.0
) -> subprocess.CompletedProcess[str]:
    """Run `rtserver ARGS` to its end."""
    return subprocess.run(
        [*command(), *args],
        cwd=cwd,
        env=environment(**(env or {})),
        check=False,
        capture_output=True,
        text=True,
        timeout=timeout,
    )


class Server:
    """One running server; `url` answers once `start` has returned."""

    def __init__(
        self,
        argv: Sequence[str],
        cwd: Path,
        port: int,
        env: Mapping[str, str] | None = None,
        *,
        codes: Sequence[int] = (0,),
        says_so_on: str = "stdout",
    ) -> None:
        self.argv = list(argv)
        self.cwd = cwd
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.env = environment(**(env or {}))
        self.stdout: list[str] = []
        self.stderr: list[str] = []
        self.codes = codes
        self.says_so_on = says_so_on
        self.stopped_in = 0.0
        self._process: subprocess.Popen[str] | None = None
        self._readers: list[threading.Thread] = []
        self._ready = threading.Event()

    def start(self) -> Server:
        """Start it and wait until it says where it answers."""
        self._process = process = subprocess.Popen(
            self.argv,
            cwd=self.cwd,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        for stream, lines in ((process.stdout, self.stdout), (process.stderr, self.stderr)):
            reader = threading.Thread(target=self._read, args=(stream, lines), daemon=True)
            reader.start()
            self._readers.append(reader)
        if not self._ready.wait(START_LIMIT) or not self._announced():
            self.stop()
            raise AssertionError(f"the server did not say where it answers:\n{self.logs()}")
        return self

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def logs(self) -> str:
        """Everything it wrote so far."""
        return "\n".join([*self.stdout, *self.stderr])

    def terminate(self) -> None:
        """Ask it to stop, and do not wait."""
        assert self._process is not None
        # Another thread may have killed it just now.
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()

    def wait(self) -> int:
        """Wait for its end; one that does not end in time is killed, and that is a failure."""
        process = self._process
        assert process is not None
        begun = time.monotonic()
        try:
            code = process.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_LIMIT)
            raise AssertionError(
                f"SIGTERM did not stop the server in {STOP_LIMIT} s:\n{self.tail()}"
            ) from None
        finally:
            for reader in self._readers:
                reader.join(5)
            for stream in (process.stdout, process.stderr):
                if stream is not None:
                    stream.close()
        self.stopped_in = time.monotonic() - begun
        return code

    def stop(self) -> int:
        """SIGTERM, and its exit code."""
        self.terminate()
        return self.wait()

    def kill(self) -> None:
        """SIGKILL: what a crash looks like."""
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        self.wait()

    def check_log(self) -> None:
        """No traceback but of what an application raised itself, and no task or coroutine left behind."""
        logs = self.logs()
        for sign in ("Traceback (most recent call last)", "was never awaited", "was never retrieved"):
            for after in logs.split(sign)[1:]:
                assert "my_app.py" in after, f"the log has {sign!r}:\n{self.tail(120)}"

    def tail(self, lines: int = 60) -> str:
        """The last of what it wrote."""
        return "\n".join(["--- stdout", *self.stdout[-lines:], "--- stderr", *self.stderr[-lines:]])

    def _read(self, stream: Any, lines: list[str]) -> None:
        for line in stream:
            lines.append(line.rstrip("\n"))
            if self._announced():
                self._ready.set()
        self._ready.set()  # an end without an announcement is an answer, too

    def _announced(self) -> bool:
        return any(
            re.search(rf"https?://[^\s/]*:{self.port}\b", line)
            for line in list(getattr(self, self.says_so_on))
        )


class Servers:
    """Starts servers, each in a directory of its own, and stops what it started."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.started: list[Server] = []

    def directory(self) -> Path:
        """A fresh directory."""
        path = self.root / f"server{len(list(self.root.glob('server*')))}"
        path.mkdir(parents=True)
        return path

    def serve(
        self,
        config: Mapping[str, Any] | None = None,
        *args: str,
        port: int | None = None,
        env: Mapping[str, str] | None = None,
        common: Mapping[str, Any] = COMMON,
        cwd: Path | None = None,
    ) -> Server:
        """`rtserver serve` with this config laid over the common one."""
        where = cwd or self.directory()
        port = port or free_port()
        file = where / "config.yaml"
        file.write_text(yaml.safe_dump(merged(common, config or {})))
        argv = [*command(), "serve", "--config", str(file), "--port", str(port), *args]
        return self.start(Server(argv, where, port, env))

    def start(self, server: Server) -> Server:
        """Start a server of another command line; it is stopped like the others."""
        self.started.append(server)
        return server.start()

    def close(self) -> None:
        """Stop them all; each must end by itself, with 0, and without a traceback in its log."""
        problems = []
        for server in self.started:
            try:
                if server.running:
                    code = server.stop()
                    assert code in server.codes, (
                        f"SIGTERM ended the server with exit code {code}:\n{server.tail()}"
                    )
                server.check_log()
            except AssertionError as problem:
                problems.append(str(problem))
        self.started.clear()
        assert not problems, "\n\n".join(problems)
