"""Targets as the configuration names them, and a server that has them."""

import json
import os
import socket
import tempfile
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.servers import RTSERVER, Running, running

Target = dict[str, Any]
STORE = "RTSERVER_BENCH_STORE"
"""Names the URL of a store to measure in the place of a new SQLite file."""
SECRET = "whsec_" + b64encode(bytes(range(32))).decode()


def batching(name: str, port: int) -> Target:
    """Return a target that wants what is said, signed and in batches."""
    return {
        "name": name,
        "url": f"http://127.0.0.1:{port}/hooks",
        "secrets": [SECRET],
        "events": ["message-broadcast"],
        "batch": {"max_events": 100, "max_wait": "50ms"},
    }


@contextmanager
def serving(targets: list[Target], store: Path | None = None) -> Iterator[Running]:
    """Run rtserver with targets, and with a store of its own, the one that is there, or that of the environment."""
    with tempfile.TemporaryDirectory() as folder:
        elsewhere = os.environ.get(STORE) if store is None else None
        environment = {
            "RTSERVER__STORE__URL": elsewhere or f"sqlite:///{store or Path(folder) / 'rtserver.db'}",
            "RTSERVER__WEBHOOKS__TARGETS": json.dumps(targets),
        }
        with running(replace(RTSERVER, name="rtserver-hooks"), environment) as server:
            yield server


@contextmanager
def refusing() -> Iterator[int]:
    """Hold a port at which nobody listens."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield int(holder.getsockname()[1])
