"""How many may come in: at once, per user, per address, and per second."""

from __future__ import annotations

import math
from collections import Counter
from ipaddress import ip_network

from rtserver.config.schema import ConnectionLimits
from rtserver.protocol.errors import TOO_MANY_CONNECTIONS, RtError
from rtserver.rooms.bucket import Bucket, Rate


class Admission:
    """Counts of who is in, held against the limits."""

    def __init__(self, limits: ConnectionLimits, now: float) -> None:
        self._limits = limits
        rate = limits.accept_rate
        self._doorstep = Bucket(Rate(rate, 1.0, rate), now) if rate is not None else None
        self._total = 0
        self._users: Counter[str] = Counter()
        self._ips: Counter[str] = Counter()

    def knock(self, now: float) -> int:
        """Take one of this second's places; return 0, or the whole seconds after which to try again."""
        wait = self._doorstep.take(now) if self._doorstep is not None else 0.0
        return math.ceil(wait)

    def enter(self, client_id: str, ip: str) -> None:
        """Count one more client; raise `RtError` when that is one too many."""
        limits = self._limits
        if limits.total is not None and self._total >= limits.total:
            raise RtError(TOO_MANY_CONNECTIONS, "the server has as many connections as it may")
        if limits.per_user is not None and self._users[client_id] >= limits.per_user:
            raise RtError(TOO_MANY_CONNECTIONS, f"{limits.per_user} connections per user are allowed")
        if limits.per_ip is not None and self._ips[_holder(ip)] >= limits.per_ip:
            raise RtError(TOO_MANY_CONNECTIONS, f"{limits.per_ip} connections per address are allowed")
        self._total += 1
        self._count(client_id, ip, 1)

    def exit(self, client_id: str, ip: str) -> None:
        """Count one less."""
        self._total -= 1
        self._count(client_id, ip, -1)

    def _count(self, client_id: str, ip: str, step: int) -> None:
        # Only what is limited is counted: the counters cost memory per client.
        for limit, counter, key in (
            (self._limits.per_user, self._users, client_id),
            (self._limits.per_ip, self._ips, _holder(ip) if self._limits.per_ip is not None else ip),
        ):
            if limit is not None:
                counter[key] += step
                if not counter[key]:
                    del counter[key]


def _holder(ip: str) -> str:
    """Return what one holder of an address has: of IPv6, its first 64 bits, because everybody has 2**64 of them."""
    if ":" not in ip:
        return ip
    try:
        return str(ip_network((ip.partition("%")[0], 64), strict=False))
    except ValueError:
        return ip
