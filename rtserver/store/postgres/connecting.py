"""How a connection to PostgreSQL is made: what its URL means, and the settings of its session.

asyncpg reads the URL as libpq does (https://www.postgresql.org/docs/current/libpq-connect.html): TLS by ``sslmode`` and
its kin, several hosts, the environment's ``PG…`` variables, ``~/.pgpass``.
"""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg

# Tables have a schema of their own: a database is often an application's, too.
SCHEMA = "rtserver"
# How long connecting may take, and any one statement of a server, in seconds.
CONNECTING, ANSWERING = 3.0, 5.0
# libpq's parameters for what asyncpg and the system do in their own way.
_PASSED_OVER = frozenset(
    ("keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout")
) | {"gssencmode", "client_encoding", "channel_binding", "fallback_application_name"}


class Address:
    """Where the database is. *place* is how messages call it: without a name and a password.

    Raises `ValueError` for a URL that cannot be one.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        self.timeout = _seconds(query.pop("connect_timeout", None))
        for name in _PASSED_OVER:
            query.pop(name, None)
        self.dsn = urlunsplit((parts.scheme, parts.netloc, parts.path, urlencode(query), ""))
        hosts = parts.netloc.rpartition("@")[2] or query.get("host", "")
        self.place = f"postgresql://{hosts}{parts.path or '/' + query.get('dbname', '')}"

    async def connect(self, answering: float | None) -> Any:
        """Return a new connection, each of whose statements takes *answering* seconds at most.

        Raises `OSError`, `asyncpg.PostgresError`, `asyncpg.InterfaceError` and `ValueError`.
        """
        # With several hosts each has its time, and all of them have not much more.
        async with asyncio.timeout(2 * self.timeout):
            return await asyncpg.connect(
                self.dsn,
                timeout=self.timeout,
                command_timeout=answering,
                server_settings=_settings(answering),
            )


def _settings(answering: float | None) -> dict[str, str]:
    limit = f"{answering:g}s" if answering is not None else "0"
    return {
        "application_name": "rtserver",
        "search_path": SCHEMA,
        "statement_timeout": limit,
        "lock_timeout": limit,
        # A node that stands still in a transaction must not hold up the others.
        "idle_in_transaction_session_timeout": f"{ANSWERING:g}s",
        # A plan that was made for an empty table is a bad one for a million rows, and planning is cheap.
        "plan_cache_mode": "force_custom_plan",
        "jit": "off",
    }


def _seconds(text: str | None) -> float:
    """Return libpq's connect_timeout; 0 and none at all mean ours."""
    if text is None:
        return CONNECTING
    try:
        return float(text) or CONNECTING
    except ValueError:
        raise ValueError(f"connect_timeout must be a number of seconds, not {text!r}") from None
