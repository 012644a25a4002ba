"""The same work with and without: two servers that differ in their targets and take turns."""

from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median

from bench.hooks.targets import Target, serving
from bench.scenarios import Figures, Pace
from bench.servers import RTSERVER, Running, Server

Work = Callable[[Running], Figures]
Pairs = list[tuple[Figures, Figures]]
"""What the work showed, without and with."""

NEVER = 1e6
"""The figure of what did not come to an end."""


@dataclass(frozen=True)
class Comparison:
    """Measures one or more rows on servers that it starts itself."""

    rows: tuple[str, ...]
    measure: Callable[[Pace], dict[str, Figures]]
    servers: tuple[Server, ...] = (RTSERVER,)
    context: tuple[Server, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)

    def figures(self, _server: Server, pace: Pace) -> dict[str, Figures]:
        """Measure."""
        return self.measure(pace)


def compared(without: list[Target], with_them: list[Target], pairs: int, work: Work) -> Pairs:
    """Do the work on a fresh server of either kind, several times; who is first changes from pair to pair."""
    found = []
    for number in range(pairs):
        sides = (without, with_them) if number % 2 == 0 else (with_them, without)
        figures = []
        for targets in sides:
            with serving(targets) as server:
                figures.append(work(server))
        found.append((figures[0], figures[1]) if number % 2 == 0 else (figures[1], figures[0]))
    return found


def times(pairs: Pairs, key: str) -> Figures:
    """Return how many times as much it is with them: the median over the pairs."""
    return _figures(pairs, key, lambda off, on: on / off if off else 0.0)


def more(pairs: Pairs, key: str) -> Figures:
    """Return how much more it is with them: the median over the pairs."""
    return _figures(pairs, key, lambda off, on: on - off)


def _figures(pairs: Pairs, key: str, compare: Callable[[float, float], float]) -> Figures:
    both = [(float(off[key]), float(on[key])) for off, on in pairs]
    unreceived = sum(max(0, on["published"] - on["received"]) for _, on in pairs)
    return {
        "value": NEVER if unreceived else median(compare(off, on) for off, on in both),
        "unreceived": unreceived,
        "off": median(off for off, _ in both),
        "on": median(on for _, on in both),
        "pairs": both,
        "refused": sum(side.get("refused", 0) for pair in pairs for side in pair),
        "missing": sum(side.get("missing", 0) for pair in pairs for side in pair),
        "stuck": any(side.get("stuck") for pair in pairs for side in pair),
        "lost": sum(side.get("lost", 0) for pair in pairs for side in pair),
        "publications": sum(side.get("publications", 0) for pair in pairs for side in pair),
    }
