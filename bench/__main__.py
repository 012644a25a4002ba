"""The command line: python -m bench [--quick] [--only NAME] [--rounds N] [--json] | python -m bench soak."""

import argparse
import json
import sys
from datetime import UTC, datetime
from typing import Any

from bench import build, chart, machine, report, runner
from bench.paths import DOCUMENT, RAW, RESULTS
from bench.rows import BY_NAME, HOOKS, RECOVERY
from bench.scenarios import FULL, QUICK
from bench.servers import ALL
from bench.soak import soak
from bench.summary import Line, Round, summarize

GROUPS = {"hooks": HOOKS, "recovery": RECOVERY}
"""Names that stand for several rows."""
BUSY = 0.1
"""Cores that others keep busy, on average, from which on they disturb the measurement."""


def say(text: str) -> None:
    """Tell how it goes, apart from the result."""
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    """Run what the command line asks for; the exit code says whether every limit was kept."""
    options = _parser().parse_args()
    try:
        return _soak(options) if options.command == "soak" else _compare(options)
    except build.UnavailableError as missing:
        say(str(missing))
        return 2
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    names = [*BY_NAME, *GROUPS]
    parser.add_argument("--quick", action="store_true", help="one short round, in under two minutes")
    parser.add_argument(
        "--only", action="append", default=[], metavar="NAME", choices=names, help=", ".join(names)
    )
    parser.add_argument(
        "--skip", action="append", default=[], metavar="SERVER", choices=[s.name for s in ALL]
    )
    parser.add_argument("--rounds", type=int, help="rounds to take the median of (default: 5, quick: 1)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    commands = parser.add_subparsers(dest="command")
    long = commands.add_parser("soak", help="hold idle clients for a while and watch the memory")
    long.add_argument("--clients", type=int, default=10000)
    long.add_argument("--minutes", type=float, default=10)
    long.add_argument("--json", action="store_true")
    return parser


def _compare(options: argparse.Namespace) -> int:
    pace = QUICK if options.quick else FULL
    rounds = options.rounds or (1 if options.quick else 5)
    skipped = set(options.skip)
    neighbours = machine.Neighbours()
    measured = runner.measure(runner.chosen(_rows(options.only)), skipped, pace, rounds, say)
    lines = summarize(measured)
    full = not (options.quick or options.only or options.skip)
    others = neighbours.cores()
    result = _result(lines, measured, others)
    text = report.markdown(lines, result["machine"], _measured(options.quick, result["date"], rounds, others))
    _write(RESULTS if full else RAW, result, text, lines)
    if full:
        DOCUMENT.write_text(report.embedded(DOCUMENT.read_text(), text))
    print(json.dumps(result, indent=2) if options.json else f"{text}\n{report.method()}")
    return 0 if all(line.met for line in lines) or "rtserver" in skipped else 1


def _rows(names: list[str]) -> list[str]:
    """Let one name stand for all rows of a group."""
    return [
        row for name in names for row in ([row.name for row in GROUPS[name]] if name in GROUPS else [name])
    ]


def _measured(quick: bool, date: str, rounds: int, others: float) -> str:
    """Say when and how well it was measured."""
    parts = [f"Measured on {date}, {rounds} round{'s' if rounds != 1 else ''}."]
    if quick:
        parts.append(
            f"Quick: {QUICK.idle} idle clients, not 5000, and {QUICK.leaving[1]} that leave, not 8000."
        )
    if others > BUSY:
        parts.append(f"Others kept {others:.1f} cores busy meanwhile: preliminary, and the spread is wide.")
    return " ".join(parts)


def _result(lines: list[Line], rounds: list[Round], others: float) -> dict[str, Any]:
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": machine.describe(),
        "cores_used_by_others": round(others, 2),
        "method": report.METHOD,
        "rows": [_row(line) for line in lines],
        "rounds": rounds,
    }


def _row(line: Line) -> dict[str, Any]:
    return {
        "name": line.row.name,
        "title": line.row.title,
        "unit": line.row.unit,
        "values": line.values,
        "ratio": line.ratio,
        "spread": line.spread,
        "to_floor": line.to_floor,
        "flat": line.flat,
        "without_and_with": line.beside if line.row.against == "off" else None,
        "at_most": line.row.at_most,
        "goal": line.row.goal,
        "met": line.met,
        "goal_reached": line.goal_reached,
        "refused": line.refused,
    }


def _write(folder: Any, result: dict[str, Any], text: str, lines: list[Line]) -> None:
    """Write the three forms; a partial run does not replace the last full one."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "latest.json").write_text(json.dumps(result, indent=2) + "\n")
    (folder / "latest.md").write_text(f"{text}\n{report.method()}")
    caption = f"{result['machine']['cpu']} · {result['machine']['system']} · {result['date']}"
    (folder / "latest.svg").write_text(chart.svg(lines, caption))
    say(f"written to {folder.name}/latest.json, .md and .svg")


def _soak(options: argparse.Namespace) -> int:
    soaked = soak(options.clients, options.minutes, say)
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "soak.json").write_text(json.dumps(soaked.figures(), indent=2) + "\n")
    if options.json:
        print(json.dumps(soaked.figures(), indent=2))
    else:
        memory = f"{soaked.kb_per_client:.1f} KB per client, memory {100 * (soaked.growth - 1):+.1f} %"
        print(f"{soaked.clients} clients for {soaked.minutes:g} min: {soaked.lost} lost, {memory}: ", end="")
        print("held" if soaked.held else "not held")
    return 0 if soaked.held else 1


if __name__ == "__main__":
    sys.exit(main())
