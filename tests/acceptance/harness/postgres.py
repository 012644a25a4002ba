"""PostgreSQL as a process of the tests' own: a cluster in a temporary directory, a free port, a database per test."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import asyncpg

from tests.ports import free_port

LIMIT = 60.0
MISSING = (
    "PostgreSQL is missing: install it (Debian, Ubuntu: apt-get install postgresql; "
    "macOS: brew install postgresql)"
)

# What a test writes need not outlive the machine.
_FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "unix_socket_directories=")


def programs() -> Path | None:
    """The folder with initdb and postgres; None when there is none."""
    homes = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name.partition(".")[0])
    )
    for home in reversed(homes):
        if (home / "initdb").exists():
            return home
    found = shutil.which("initdb")
    return Path(found).resolve().parent if found else None


def _user() -> str | None:
    """Who runs it: it refuses to be run by root."""
    if sys.platform == "win32" or os.geteuid() != 0:
        return None
    import pwd

    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise AssertionError("PostgreSQL does not run as root, and there is neither a user postgres nor nobody")


class Postgres:
    """A running server. `dsn(name)` is how a database is reached."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._user = _user()
        self._numbers = itertools.count(1)
        self._folder = Path(tempfile.mkdtemp(prefix="rtserver-postgres-"))
        if self._user is not None:
            shutil.chown(self._folder, self._user)
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._run("initdb", "-D", "data", "-U", "tests", "-A", "trust", "-E", "UTF8", "--no-locale", "-N")
        self.start()

    @property
    def stopped(self) -> bool:
        """Whether it was stopped."""
        return self._process is None

    def dsn(self, database: str = "postgres") -> str:
        """Where a database is."""
        return f"postgresql://tests@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = [f"-c{option}" for option in (*_FAST, "listen_addresses=127.0.0.1")]
        command = [str(self._home / "postgres"), "-D", "data", "-p", str(self.port), *options]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment(),
                **self._identity(),
            )
        end = time.monotonic() + LIMIT
        while not self._answers():
            assert self._process.poll() is None, f"PostgreSQL did not start:\n{self.log()}"
            assert time.monotonic() < end, f"PostgreSQL does not answer:\n{self.log()}"
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop it and cut its connections, as a restart does."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGINT)
        try:
            process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def database(self) -> str:
        """Make a fresh database; returns its dsn."""
        name = f"test{next(self._numbers)}"
        self._run("psql", "-q", "-c", f"CREATE DATABASE {name}", self.dsn())
        return self.dsn(name)

    def log(self) -> str:
        """What it wrote."""
        return (self._folder / "log").read_text(errors="replace")

    def close(self) -> None:
        """End it, and leave nothing behind."""
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _answers(self) -> bool:
        answer = subprocess.run(
            [str(self._home / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)], check=False
        )
        return answer.returncode == 0

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(self._home / program), *arguments],
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            check=False,
            capture_output=True,
            text=True,
            env=self._environment(),
            timeout=LIMIT,
            **self._identity(),
        )
        assert done.returncode == 0, f"{program} failed:\n{done.stdout}{done.stderr}"

    def _identity(self) -> dict[str, Any]:
        return {"user": self._user, "extra_groups": ()} if self._user is not None else {}

    def _environment(self) -> dict[str, str]:
        return {name: value for name, value in os.environ.items() if not name.startswith("PG")}


async def execute(dsn: str, *statements: str | tuple[Any, ...]) -> list[Any]:
    """Run statements on a connection of their own, each perhaps with arguments; returns the rows of the last."""
    connection = await asyncpg.connect(dsn)
    rows: Sequence[Any] = []
    try:
        for statement in statements:
            sql, *arguments = (statement,) if isinstance(statement, str) else statement
            rows = await connection.fetch(sql, *arguments)
        return list(rows)
    finally:
        await connection.close()
