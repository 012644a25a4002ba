"""The table in Markdown, for people and for docs/performance.md."""

from bench.servers import ALL
from bench.summary import Line

BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"
NOTHING = "\N{EN DASH}"
METHOD = (
    "One server at a time, pinned to one core; the load generator (C, epoll, one thread) pinned to the other.",
    "Everything is on loopback, over WebSocket, without compression.",
    "rtserver runs its shipped config.yaml with every default on: rate limits, history, presence, recovery.",
    "Only for event + ack the limit of 100 events per second and client is raised; the limiter itself stays on.",
    "The peers are written as their users would write them: they relay what the client sent.",
    "rtserver adds id, sender, username, timestamp and offset to it, so its frames are longer.",
    "CPU time is the server's own, user and system, from the scheduler's nanosecond clock.",
    "The servers take turns within a round; ratios are formed within a round, and their median is shown.",
    "In chat all members publish in turn, so that nobody exceeds that limit.",
    "Webhooks go to a receiver in C, signed, in batches of up to 100 or 50 ms, from an outbox in SQLite.",
    "With and without take turns, each on a server of its own; ratios are formed within such a pair.",
)


def markdown(lines: list[Line], machine: dict[str, str], measured: str) -> str:
    """Return the table, and what it was measured on."""
    parts = [
        *(part(lines) for part in (table, hooks_table) if part(lines)),
        measured,
        "\n".join(f"- {name}: {value}" for name, value in machine.items() if value),
    ]
    return "\n\n".join(parts) + "\n"


def method() -> str:
    """Return how it was measured."""
    return "\n".join(f"- {sentence}" for sentence in METHOD) + "\n"


def embedded(document: str, text: str) -> str:
    """Return the document with the result in its place."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    return f"{before}{begin}\n{text}{end}{after}" if end else document


def table(lines: list[Line]) -> str:
    """Return the table of all servers alone; nothing without a line."""
    lines = [line for line in lines if line.row.against != "off"]
    if not lines:
        return ""
    head = ["work", "unit", *(server.title for server in ALL), "ratio to Node", "at most", "goal", "met"]
    rows = [head, ["---", "---", *["---:"] * (len(ALL) + 1), "---:", "---:", "---"], *map(_cells, lines)]
    return _drawn(rows)


def hooks_table(lines: list[Line]) -> str:
    """Return the table of webhooks and streams; nothing without a line."""
    lines = [line for line in lines if line.row.against == "off"]
    if not lines:
        return ""
    head = ["webhooks and streams", "unit", "without", "with", "measured", "at most", "met"]
    rows = [head, ["---", "---", *["---:"] * 4, "---"], *map(_hooks_cells, lines)]
    return _drawn(rows)


def _drawn(rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def _hooks_cells(line: Line) -> list[str]:
    without, with_them = map(_number, line.beside)
    words = f" {line.row.compared}" if line.row.compared else ""
    measured = f"**{_number(line.ratio)}**{words}{_spread(line)}"
    verdict = NOTHING if line.met is None else "yes" if line.met else "**no**"
    return [line.row.title, line.row.unit, without, with_them, measured, _number(line.row.at_most), verdict]


def _cells(line: Line) -> list[str]:
    row = line.row
    values = [_number(line.values.get(server.name)) for server in ALL]
    ratio = f"**{_number(line.ratio)}**{_spread(line)}"
    at_most, goal = _number(row.at_most), _number(row.goal)
    if row.against == "itself":
        ratio += " to itself"
    if row.floor_at_most is not None:
        ratio += f"; {_number(line.to_floor)} of C"
        at_most += f"; {_number(row.floor_at_most)} of C"
        goal += f"; {_number(row.floor_goal)} of C"
    if row.flat_at_most is not None:
        ratio += f"; {_number(line.flat)} times one of 1000"
        at_most += f"; flat ({_number(row.flat_at_most)})"
    return [row.title, row.unit, *values, ratio, at_most, goal, _verdict(line)]


def _spread(line: Line) -> str:
    if not line.spread or line.spread[0] == line.spread[1]:
        return ""
    return f" ({_number(line.spread[0])} to {_number(line.spread[1])})"


def _verdict(line: Line) -> str:
    if line.met is None:
        return NOTHING
    verdict = ("yes, goal too" if line.goal_reached else "yes") if line.met else "**no**"
    return f"{verdict}; {line.refused} refused" if line.refused else verdict


def _number(value: float | None) -> str:
    """Return about three digits."""
    if value is None:
        return NOTHING
    size = abs(value)
    decimals = 0 if size >= 100 or not size else 1 if size >= 10 else 2 if size >= 0.1 else 3
    return f"{value:.{decimals}f}"
