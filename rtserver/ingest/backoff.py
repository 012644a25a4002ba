"""How long to wait before something is tried again: longer every time, and never in step with others."""

from __future__ import annotations

import random
from collections.abc import Callable


class Backoff:
    """Waits that double from *first* to *most* seconds; a random half of each is left out."""

    def __init__(self, first: float, most: float, chance: Callable[[], float] = random.random) -> None:
        self._first = first
        self._most = most
        self._chance = chance
        self._wait = first

    def next(self) -> float:
        """Return the seconds to wait now."""
        wait, self._wait = self._wait, min(self._wait * 2, self._most)
        return wait * (1 - self._chance() / 2)

    def reset(self) -> None:
        """Begin anew: it went well."""
        self._wait = self._first
