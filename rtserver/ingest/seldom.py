"""A line of the log that a flood must not repeat: one in a while, with how many were left out."""

from __future__ import annotations


class Seldom:
    """Lets one through every *pause* seconds, and counts the others."""

    def __init__(self, pause: float) -> None:
        self._pause = pause
        self._next: float | None = None
        self._left_out = 0

    def ask(self, now: float) -> int | None:
        """Return how many were left out since the last one when there may be another; None when not."""
        if self._next is not None and now < self._next:
            self._left_out += 1
            return None
        left_out, self._left_out = self._left_out, 0
        self._next = now + self._pause
        return left_out
