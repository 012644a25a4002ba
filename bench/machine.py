"""What the numbers were measured on and with."""

import json
import os
import platform
import re
import resource
import subprocess
import time
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


class Neighbours:
    """Counts what others use of the machine while we measure: they cost us caches, turns and latency."""

    def __init__(self) -> None:
        self._since = time.monotonic()
        self._used = _used_by_others()

    def cores(self) -> float:
        """Return how many cores others kept busy on average, a hypervisor's other guests among them."""
        return max(0.0, (_used_by_others() - self._used) / (time.monotonic() - self._since))


def _used_by_others() -> float:
    """Return the machine's CPU seconds so far without those of ourselves and of the children that have ended."""
    names = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
    ticks = dict(zip(names, map(int, Path("/proc/stat").read_text().split()[1:9]), strict=True))
    busy = sum(ticks.values()) - ticks["idle"] - ticks["iowait"]
    ours = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return busy / os.sysconf("SC_CLK_TCK") - sum(used.ru_utime + used.ru_stime for used in ours)


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
