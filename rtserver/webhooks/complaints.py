"""When it is worth a line of the log that a target fails: hundreds may, each many times a second. Pure."""

from __future__ import annotations

from typing import NamedTuple

# How long one target's failures are gathered for the next line, in seconds.
QUIET = 10.0


class Count(NamedTuple):
    """What came since the last line: failed attempts, and deliveries that died by them."""

    attempts: int = 0
    dead: int = 0


class Complaints:
    """Those about one target. Times are of a steady clock, in seconds."""

    __slots__ = ("_since", "_told", "_until")

    def __init__(self) -> None:
        self._since = Count()
        self._until = float("-inf")
        self._told = False

    def failed(self, dead: int, now: float) -> Count | None:
        """Take note of a failed attempt, by which so many deliveries died; return what a line is due about, if any."""
        self._since = Count(self._since.attempts + 1, self._since.dead + dead)
        if now < self._until:
            return None
        self._until, self._told = now + QUIET, True
        return self._take()

    def succeeded(self) -> Count | None:
        """Take note of a success after failures; return what no line was about when the log says that it fails."""
        if not self._told:
            return None
        self._told = False
        return self._take()

    def _take(self) -> Count:
        since, self._since = self._since, Count()
        return since
