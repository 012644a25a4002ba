"""The receivers of client_demo as processes of their own, and a sender that signs with the reference package."""

from __future__ import annotations

import http.client
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

from tests.ports import free_port

ROOT = Path(__file__).resolve().parents[3]
RECEIVERS = ROOT / "client_demo" / "receivers"
COMMANDS = {"python": [sys.executable, "receive.py"], "node": ["node", "receive.mjs"]}
LIMIT = 30.0  # how long something may take before that is a failure

Headers = dict[str, str]


def missing(language: str) -> str | None:
    """What has to be installed before there is such a receiver, in one line; None when nothing."""
    if language == "node" and shutil.which("node") is None:
        return "Node.js is missing: install it, then run `make test`"
    return None


def need(language: str) -> None:
    """Skip what cannot be run here; in CI that is a failure."""
    lacking = missing(language)
    if lacking is None:
        return
    if os.environ.get("CI", "").lower() in ("1", "true", "yes"):
        pytest.fail(lacking, pytrace=False)
    pytest.skip(lacking)


def new_secret() -> str:
    """A secret as the guide says to make one."""
    return "whsec_" + b64encode(secrets.token_bytes(32)).decode()


def event(message: str = "hi", **more: Any) -> dict[str, Any]:
    """The body of a `message-broadcast`."""
    data = {"message": message, "sender": "ada", "room": "lobby", "seq": 7, **more}
    return {"type": "message-broadcast", "timestamp": "2026-11-22T10:08:49.300Z", "data": data}


def signed(
    secret: str | Sequence[str],
    body: bytes,
    event_id: str | None = None,
    age: timedelta = timedelta(),
) -> Headers:
    """The three headers, with one signature per secret, `age` ago."""
    event_id = event_id or f"msg_{secrets.token_hex(8)}"
    when = datetime.now(UTC) - age
    keys = [secret] if isinstance(secret, str) else secret
    signatures = [Webhook(key).sign(event_id, when, body.decode()) for key in keys]
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(int(when.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


class Receiver:
    """One running receiver."""

    def __init__(self, command: Sequence[str], secret: str) -> None:
        self.secret = secret
        self.stdout: list[str] = []
        self.stderr: list[str] = []
        self.port = free_port()
        self._process = subprocess.Popen(
            [*command, str(self.port)],
            cwd=RECEIVERS,
            env={**os.environ, "WEBHOOK_SECRET": secret},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        pipes = ((self._process.stdout, self.stdout), (self._process.stderr, self.stderr))
        self._readers = [threading.Thread(target=self._read, args=pipe, daemon=True) for pipe in pipes]
        for reader in self._readers:
            reader.start()
        self._eventually(self._listens, "it does not listen")

    def connect(self) -> socket.socket:
        """A connection for who does not speak proper HTTP."""
        return socket.create_connection(("127.0.0.1", self.port), LIMIT)

    def post(self, body: bytes, headers: Mapping[str, str]) -> int:
        """POST it, and return the status."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT)
        try:
            connection.request("POST", "/hooks", body, dict(headers))
            return connection.getresponse().status
        finally:
            connection.close()

    def send(self, post: Any, **how: Any) -> tuple[int, Headers]:
        """Sign with its own secret and POST; the status, and the headers that were sent."""
        body = json.dumps(post).encode()
        headers = signed(self.secret, body, **how)
        return self.post(body, headers), headers

    def printed(self, event_id: str) -> list[str]:
        """The lines about this event so far, printed before what is printed now."""
        marker = f"marker_{secrets.token_hex(8)}"
        assert self.send(event(), event_id=marker)[0] == 204
        self._eventually(lambda: any(marker in line for line in list(self.stdout)), f"no line about {marker}")
        return [line for line in self.stdout if event_id in line]

    def calm(self) -> None:
        """It lives, and complained about nothing with a stack."""
        assert self._process.poll() is None, self.log()
        assert "Traceback" not in self.log(), self.log()
        assert "\n    at " not in self.log(), self.log()

    def log(self) -> str:
        """What it wrote to stderr."""
        return "\n".join(self.stderr)

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send it this signal; its exit code."""
        self._process.send_signal(number)
        code = self._process.wait(LIMIT)
        for reader in self._readers:
            reader.join(LIMIT)
        for pipe in (self._process.stdout, self._process.stderr):
            assert pipe is not None
            pipe.close()
        return code

    def _listens(self) -> bool:
        assert self._process.poll() is None, self.log()
        try:
            self.connect().close()
        except ConnectionRefusedError:
            return False
        return True

    def _eventually(self, holds: Callable[[], bool], otherwise: str) -> None:
        end = time.monotonic() + LIMIT
        while not holds():
            assert time.monotonic() < end, f"{otherwise}\n{self.log()}"
            time.sleep(0.01)

    @staticmethod
    def _read(pipe: Any, lines: list[str]) -> None:
        for line in pipe:
            lines.append(line.rstrip("\n"))  # noqa: PERF401 (each is looked for as soon as it is there)
