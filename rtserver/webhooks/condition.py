"""How a target is: well, asked for a pause, or ailing. Pure: times are arguments, of a steady clock."""

from __future__ import annotations

from rtserver.webhooks.retry import Verdict, pause

# After so many failures in a row a target is ailing: it gets one request at a time, with a gap between them in
# seconds, until one succeeds. A target that is down must cost the others nothing.
AILING, GAP = 5, 0.05


class Condition:
    """What the last answers say about the target as a whole."""

    __slots__ = ("_failures", "_most", "closed_until")

    def __init__(self, concurrency: int) -> None:
        self._most = concurrency
        self._failures = 0
        self.closed_until = 0.0

    @property
    def ailing(self) -> bool:
        """Tell whether it only fails."""
        return self._failures >= AILING

    @property
    def concurrency(self) -> int:
        """How many requests it gets at the same time."""
        return 1 if self.ailing else self._most

    def succeeded(self) -> bool:
        """Take note of a success; tell whether it was ailing."""
        ailed, self._failures = self.ailing, 0
        return ailed

    def failed(self, verdict: Verdict, asked: float | None, wait: float, now: float) -> None:
        """Take note of a failure. *asked* is its Retry-After, *wait* what its delivery waits, in seconds."""
        self._failures += 1
        if self.ailing:
            self.closed_until = max(self.closed_until, now + GAP)
        if verdict.pauses:
            self.closed_until = max(self.closed_until, now + pause(asked, wait))

    def reset(self) -> None:
        """Forget everything."""
        self._failures = 0
        self.closed_until = 0.0
