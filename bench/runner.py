"""Run the scenarios on the servers in turn, round after round."""

import time
from collections.abc import Callable, Iterable

from bench import generator, servers
from bench.scenarios import SCENARIOS, Figures, Pace, Scenario
from bench.summary import Round

Say = Callable[[str], None]


def chosen(names: Iterable[str]) -> list[Scenario]:
    """Return the scenarios that measure one of the rows, all when none is named."""
    wanted = set(names)
    return [scenario for scenario in SCENARIOS if not wanted or wanted & set(scenario.rows)]


def measure(scenarios: list[Scenario], skipped: set[str], pace: Pace, rounds: int, say: Say) -> list[Round]:
    """Return the figures of every round. The servers of a row follow one another directly."""
    return [
        _one_round(scenarios, skipped, pace, f"round {number + 1} of {rounds}", say)
        for number in range(rounds)
    ]


def _one_round(scenarios: list[Scenario], skipped: set[str], pace: Pace, label: str, say: Say) -> Round:
    found: Round = {}
    for scenario in scenarios:
        for server in scenario.servers:
            if server.name in skipped:
                continue
            begin = time.monotonic()
            figures = _on(server, scenario, pace, say)
            found.setdefault(server.name, {}).update(figures)
            values = ", ".join(f"{name} {figure['value']:.3g}" for name, figure in figures.items())
            say(f"{label}: {server.title}: {values} ({time.monotonic() - begin:.0f} s)")
    return found


def _on(server: servers.Server, scenario: Scenario, pace: Pace, say: Say) -> dict[str, Figures]:
    """Measure, and say so when a figure is not what it seems; one failure does not cost the other rows."""
    try:
        with servers.running(server) as running:
            figures = scenario.measure(running, pace)
    except generator.BrokenError as broken:
        say(f"{server.title}: {', '.join(scenario.rows)} could not be measured: {broken}")
        return {}
    for name, figure in figures.items():
        for key in ("refused", "missing", "lost"):
            if figure.get(key):
                say(f"{server.title}: {name}: {figure[key]} {key}")
    return figures
