"""Whether a URL of PostgreSQL can be used: its driver is there, and libpq's parameters are what they can be.

https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS
"""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from rtserver.config.explain import nearest
from rtserver.config.problem import Problem

_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl")
_NUMBERS = ("connect_timeout", "port")


def postgres_problems(path: str, url: str) -> Iterator[Problem]:
    """Yield what is wrong with the URL at *path* of the configuration; its password is in none of the words."""
    if find_spec("asyncpg") is None:
        yield Problem(
            path,
            "needs the Python package asyncpg, which is not installed",
            'pip install "rtserver[postgres]"',
        )
    try:
        parts = urlsplit(url)
        # Of several hosts each may have a port.
        ports = [host.rpartition("]")[2].rpartition(":")[2] for host in _hosts(parts.netloc) if ":" in host]
        query = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    except ValueError:
        yield Problem(path, "is no URL", "postgresql://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=require")
        return
    for port in ports:
        if port and not port.isdecimal():
            yield Problem(
                path,
                "has a port that is no number",
                "what is special in a password is written as %40 for @, %3A for :",
            )
    yield from (Problem(path, *found) for found in _parameters(query))


def _parameters(query: dict[str, str]) -> Iterator[tuple[str, str | None]]:
    mode = query.get("sslmode")
    if mode is not None and mode not in _MODES:
        near = nearest(mode, _MODES, 0.6)
        yield (
            f"sslmode must be {', '.join(_MODES[:-1])} or {_MODES[-1]}",
            f"did you mean {near}?" if near is not None else None,
        )
    for name in _FILES:
        if name in query and query[name] != "system" and not Path(query[name]).is_file():
            yield f"{name}: {query[name]} is not a file", None
    for name in _NUMBERS:
        if name in query and not query[name].replace(",", "").isdecimal():
            yield f"{name} must be a number", None
    if query.get("channel_binding") == "require":
        yield "channel_binding=require is not available", "use sslmode=verify-full"


def _hosts(netloc: str) -> list[str]:
    return netloc.rpartition("@")[2].split(",")
