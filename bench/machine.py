"""What the numbers were measured on and with."""

import json
import os
import platform
import re
import subprocess
from importlib import metadata
from pathlib import Path

from bench.paths import PEERS, REPOSITORY


def describe() -> dict[str, str]:
    """Return the machine and the versions, as shown under the table."""
    return {
        "cpu": f"{_cpu_model()}, {os.cpu_count()} cores",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release().split('-')[0]} {platform.machine()}",
        "python": f"CPython {platform.python_version()}",
        "packages": ", ".join(f"{name} {metadata.version(name)}" for name in _PACKAGES),
        "rtserver": _revision(),
        "node": _output(["node", "--version"]),
        "socket.io": json.loads((PEERS / "node" / "package.json").read_text())["dependencies"]["socket.io"],
        "compiler": _output(["cc", "--version"]).splitlines()[0],
    }


_PACKAGES = ("python-socketio", "python-engineio", "uvicorn", "uvloop", "websockets", "orjson")


def load_average() -> float:
    """Return how busy the machine is before the first measurement."""
    return os.getloadavg()[0]


def _cpu_model() -> str:
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1].strip() if found else platform.processor()


def _revision() -> str:
    revision = _output(["git", "-C", str(REPOSITORY), "rev-parse", "--short", "HEAD"])
    return f"{metadata.version('rtserver')} ({revision})" if revision else metadata.version("rtserver")


def _output(command: list[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
