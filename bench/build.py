"""Build what is not Python: the load generator and the floor with the C compiler, the Node peer with npm."""

import shutil
import subprocess
from pathlib import Path

from bench.paths import BIN, HERE, PEERS


class UnavailableError(Exception):
    """Something that has to be installed by hand is missing; says what."""


def load_generator() -> Path:
    """Return the load generator, compiled when its sources are newer."""
    return _compile("load", sorted((HERE / "load").glob("*.c")), [HERE / "load" / "load.h"])


def receiver() -> Path:
    """Return the receiver of webhooks."""
    load = HERE / "load"
    return _compile("receiver", [HERE / "hooks" / "receiver" / "main.c", load / "meter.c"], [load / "load.h"])


def floor_server() -> Path:
    """Return the bare C server."""
    return _compile("floor", [PEERS / "floor.c"], [])


def node_server() -> list[str]:
    """Return the command of the Node peer, with its packages installed."""
    node = _find("node", "Node.js 18 or newer")
    folder = PEERS / "node"
    if not (folder / "node_modules" / "socket.io").is_dir():
        npm = _find("npm", "npm, which comes with Node.js")
        subprocess.run([npm, "ci", "--no-audit", "--no-fund", "--silent"], cwd=folder, check=True)
    return [node, str(folder / "server.js")]


def _compile(name: str, sources: list[Path], headers: list[Path]) -> Path:
    target = BIN / name
    newest = max(path.stat().st_mtime for path in [*sources, *headers])
    if not target.exists() or target.stat().st_mtime < newest:
        BIN.mkdir(exist_ok=True)
        compiler = shutil.which("cc") or _find("gcc", "a C compiler (gcc or clang)")
        subprocess.run([compiler, "-std=gnu11", "-O2", "-Wall", "-o", target, *sources], check=True)
    return target


def _find(program: str, what: str) -> str:
    found = shutil.which(program)
    if not found:
        raise UnavailableError(f"The benchmark needs {what}; install it and run again.")
    return found
