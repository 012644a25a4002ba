"""Run the scenarios on the servers in turn, round after round."""

import time
from collections.abc import Callable, Iterable

from bench import generator, servers
from bench.api import API
from bench.hooks import HOOKS, Comparison
from bench.ingest import INGEST, Ingest
from bench.recovery import RECOVERY
from bench.rows import BY_NAME
from bench.scenarios import QUICK, SCENARIOS, Figures, Pace, Scenario
from bench.summary import Round

Say = Callable[[str], None]
Work = Scenario | Comparison | Ingest


def chosen(names: Iterable[str]) -> list[Work]:
    """Return the scenarios that measure one of the rows, all when none is named."""
    wanted = set(names)
    everything: tuple[Work, ...] = (*SCENARIOS, *HOOKS, *RECOVERY, *API, *INGEST)
    return [scenario for scenario in everything if not wanted or wanted & set(scenario.rows)]


def measure(scenarios: list[Work], skipped: set[str], pace: Pace, rounds: int, say: Say) -> list[Round]:
    """Return the figures of every round. The servers of a row follow one another directly."""
    found = []
    for number in range(rounds):
        with_context = number == 0 and pace is not QUICK
        found.append(
            _one_round(_turns(scenarios, skipped, with_context), pace, f"round {number + 1} of {rounds}", say)
        )
    return found


def _turns(scenarios: list[Work], skipped: set[str], with_context: bool) -> list[tuple[Work, servers.Server]]:
    return [
        (scenario, server)
        for scenario in scenarios
        for server in scenario.servers + (scenario.context if with_context else ())
        if server.name not in skipped
    ]


def _one_round(turns: list[tuple[Work, servers.Server]], pace: Pace, label: str, say: Say) -> Round:
    found: Round = {}
    for scenario, server in turns:
        begin = time.monotonic()
        figures = _on(server, scenario, pace, say)
        found.setdefault(server.name, {}).update(figures)
        values = ", ".join(f"{name} {figure['value']:.3g}" for name, figure in figures.items())
        say(f"{label}: {server.title}: {values} ({time.monotonic() - begin:.0f} s)")
    return found


def _on(server: servers.Server, scenario: Work, pace: Pace, say: Say) -> dict[str, Figures]:
    """Measure, and say so when a figure is not what it seems; one failure does not cost the other rows."""
    if server is servers.RTSERVER and scenario.environment:
        say(f"{', '.join(scenario.rows)}: rtserver runs with {_assignments(scenario.environment)}")
    try:
        found = scenario.figures(server, pace)
    except generator.BrokenError as broken:
        say(f"{server.title}: {', '.join(scenario.rows)} could not be measured: {broken}")
        return {}
    return {name: figures for name, figures in found.items() if _sound(server, name, figures, say)}


def _sound(server: servers.Server, row: str, figures: Figures, say: Say) -> bool:
    """Say what went wrong while a row was measured; a figure without its work done is none."""
    for key in ("refused", "missing", "lost", "stuck", "unreceived"):
        if figures.get(key):
            say(f"{server.title}: {row}: {figures[key]} {key}")
    nothing = figures["value"] <= 0 and BY_NAME[row].against != "off"  # a difference may be
    spoilt = figures.get("stuck") or figures.get("lost") or nothing
    too_many = figures.get("refused", 0) > 0.01 * figures.get("publications", 0)
    if spoilt or too_many:
        say(f"{server.title}: {row}: not counted")
    return not (spoilt or too_many)


def _assignments(environment: dict[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in environment.items())
