"""The token bucket: how often a client may do something."""

from __future__ import annotations


class Rate:
    """*messages* per *per* seconds on average, *burst* of them at once. Shared by all buckets it rules."""

    __slots__ = ("burst", "per_second")

    def __init__(self, messages: float, per: float, burst: float) -> None:
        self.per_second = messages / per
        self.burst = max(burst, 1.0)


class Bucket:
    """One client's tokens under a `Rate`. It starts full."""

    __slots__ = ("_rate", "_tokens", "_updated")

    def __init__(self, rate: Rate, now: float) -> None:
        self._rate = rate
        self._tokens = rate.burst
        self._updated = now

    @property
    def spent(self) -> float:
        """How many tokens were missing after the last was taken."""
        return self._rate.burst - self._tokens

    def skip(self, seconds: float) -> None:
        """Let so much time pass from now on without earning anything."""
        self._updated += seconds

    def take(self, now: float, cost: float = 1.0) -> float:
        """Take *cost* tokens and return 0.0, or return the seconds after which they will be there.

        What costs more than the bucket ever holds costs all of it: else it could never be had.
        """
        rate = self._rate
        tokens = self._tokens
        if now > self._updated:
            tokens = min(rate.burst, tokens + (now - self._updated) * rate.per_second)
            self._updated = now
        if cost > rate.burst:
            cost = rate.burst
        if tokens >= cost:
            self._tokens = tokens - cost
            return 0.0
        self._tokens = tokens
        return (cost - tokens) / rate.per_second
