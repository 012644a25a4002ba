"""The same lines as a picture: an SVG dot plot, every figure in units of Node's."""

from html import escape
from math import log2

from bench.summary import Line

WIDTH, LEFT, RIGHT, TOP, STEP = 960, 350, 40, 92, 44
LOWEST, HIGHEST = -6, 5
"""The axis in powers of two."""
COLOURS = {"rtserver": "#c2410c", "node": "#15803d", "stock": "#1d4ed8", "floor": "#6b7280"}
NAMES = {"rtserver": "rtserver", "node": "Node socket.io = 1", "stock": "python-socketio", "floor": "C floor"}
FONT = 'font-family="system-ui, sans-serif"'


def svg(lines: list[Line], caption: str) -> str:
    """Return the chart of the rows that other servers are in."""
    lines = [line for line in lines if line.row.against != "off"]
    height = TOP + STEP * len(lines) + 60
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" {FONT}>',
        "<title>rtserver and others in units of Node's socket.io; less is better</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        _text(20, 30, "Cost in units of Node's socket.io (log scale, less is better)", size=18, weight=600),
        *_legend(),
        *_grid(height),
        *(part for index, line in enumerate(lines) for part in _row(TOP + STEP * index + STEP / 2, line)),
        _text(20, height - 14, caption, size=11, fill="#6b7280"),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _x(ratio: float) -> float:
    power = min(max(log2(ratio), LOWEST), HIGHEST) if ratio > 0 else LOWEST
    return LEFT + (power - LOWEST) / (HIGHEST - LOWEST) * (WIDTH - LEFT - RIGHT)


def _text(
    x: float,
    y: float,
    text: str,
    size: int = 13,
    weight: int = 400,
    fill: str = "#111827",
    anchor: str = "start",
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}" fill="{fill}" '
        f'text-anchor="{anchor}">{escape(text)}</text>'
    )


def _legend() -> list[str]:
    parts = []
    for index, (server, colour) in enumerate(COLOURS.items()):
        x = 26 + 170 * index
        parts += [
            _dot(x, 52, colour),
            _text(x + 12, 56, NAMES[server], size=12),
        ]
    x = 26 + 170 * len(COLOURS)
    parts += [_limit(x, 52), _text(x + 10, 56, "at most", size=12)]
    return parts


def _grid(height: float) -> list[str]:
    parts = []
    for power in range(LOWEST, HIGHEST + 1):
        x = _x(2.0**power)
        colour = "#9ca3af" if power == 0 else "#e5e7eb"
        parts.append(_line((x, x), (TOP - 6, height - 54), colour))
        label = str(2**power) if power >= 0 else f"1/{2**-power}"
        parts.append(_text(x, height - 36, label, size=11, fill="#6b7280", anchor="middle"))
    return parts


def _row(y: float, line: Line) -> list[str]:
    ratios = _ratios(line)
    parts = [_text(20, y + 4, line.row.title)]
    if ratios:
        ends = _x(min(ratios.values())), _x(max(ratios.values()))
        parts.append(_line(ends, (y, y), "#d1d5db", 'stroke-width="2"'))
    parts.append(_limit(_x(line.row.at_most), y))
    order = [server for server in ("stock", "floor", "node", "rtserver") if server in ratios]
    parts += [_dot(_x(ratios[server]), y, COLOURS[server]) for server in order]
    if "rtserver" in ratios:
        x = _x(ratios["rtserver"])
        parts.append(
            _text(
                x,
                y - 10,
                f"{ratios['rtserver']:.2g}",
                size=12,
                weight=600,
                fill=COLOURS["rtserver"],
                anchor="middle",
            )
        )
    return parts


def _limit(x: float, y: float) -> str:
    return _line((x, x), (y - 9, y + 9), "#111827", 'stroke-width="2" stroke-dasharray="3 2"')


def _dot(x: float, y: float, colour: str) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="6" fill="{colour}"/>'


def _line(x: tuple[float, float], y: tuple[float, float], colour: str, more: str = "") -> str:
    ends = f'x1="{x[0]:.1f}" x2="{x[1]:.1f}" y1="{y[0]:.1f}" y2="{y[1]:.1f}"'
    return f'<line {ends} stroke="{colour}" {more}/>'


def _ratios(line: Line) -> dict[str, float]:
    """Return each server's figure to Node's; a row that compares a server with itself has them already."""
    if line.row.against == "itself":
        return dict(line.values)
    node = line.values.get("node")
    found = {server: value / node for server, value in line.values.items()} if node else {}
    if line.ratio is not None:
        found["rtserver"] = line.ratio
    return found
