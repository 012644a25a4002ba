"""The HTTP API against its own description: schemathesis asks what the document allows, and what it forbids."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .harness.receiver import Receivers
from .harness.server import Server, Servers
from .harness.shapes import SECRET, token

KEY = "conformance-key"
HERE = Path(__file__).parent
ROOT = HERE.parents[1]

# Seconds that one run may take: it goes on looking until they are over.
BUDGET = 20


def look(server: Server, where: Path, *args: str) -> None:
    """Let schemathesis ask with all its checks; it must find nothing."""
    where.mkdir(exist_ok=True)
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("schemathesis")),
            *("run", f"{server.url}/openapi.json", "--checks", "all", "--no-color"),
            *("--max-time", str(BUDGET), "--max-examples", "10", "--seed", "7"),
            # That an operation was never asked about what is really there is no failure of the server.
            *("--warnings", "off"),
            *("--suppress-health-check", "filter_too_much"),
            *args,
        ],
        cwd=where,
        env={
            **{name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")},
            "SCHEMATHESIS_HOOKS": "tests.acceptance.harness.names_format",
            "PYTHONPATH": str(ROOT),
        },
        check=False,
        capture_output=True,
        text=True,
        timeout=4 * BUDGET,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "No issues found" in done.stdout, done.stdout[-3000:]


@pytest.fixture
def secured(receivers: Receivers, servers: Servers) -> Server:
    """A server with keys and tokens, and a webhook target."""
    config: dict[str, Any] = {
        "auth": {"mode": "required", "jwt": {"secret": SECRET}},
        "api": {"keys": [KEY]},
        "webhooks": {"targets": [receivers.open().target()]},
    }
    return servers.serve(config)


def test_open(serve: Any, tmp_path: Path):
    """An open server does what its document says, and refuses what it forbids, with documented errors only."""
    look(serve(), tmp_path / "open")


def test_secured(secured: Server, tmp_path: Path):
    """So does one with keys, of which every call wants one."""
    look(
        secured,
        tmp_path / "backend",
        *("-H", f"Authorization: Bearer {KEY}", "--exclude-tag", "inbox"),
    )


def test_a_users_own(secured: Server, tmp_path: Path):
    """So do the calls for which users have their own tokens."""
    look(
        secured,
        tmp_path / "user",
        *("-H", f"Authorization: Bearer {token('ada')}", "--include-tag", "inbox", "--max-time", "6"),
    )
