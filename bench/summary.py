"""From the figures of all rounds to one line per row: medians, ratios, whether the limits are met."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from bench.rows import BY_NAME, Row
from bench.scenarios import Figures

Round = dict[str, dict[str, Figures]]
"""The figures of one round, by server and row."""


@dataclass(frozen=True)
class Line:
    """A row with what was measured. Every figure is a median over the rounds."""

    row: Row
    values: dict[str, float]
    """By server, in the row's unit."""
    ratio: float | None
    """rtserver's figure to Node's, each pair from the same round."""
    spread: tuple[float, float] | None
    """The smallest and the largest of these ratios."""
    to_floor: float | None
    flat: float | None
    refused: int
    beside: tuple[float | None, float | None] = (None, None)
    """What a row of webhooks compares: without, and with."""

    @property
    def met(self) -> bool | None:
        """Say whether every "at most" of the row is kept; None when there is nothing to judge."""
        if self.ratio is None:
            return None
        pairs = (
            (self.ratio, self.row.at_most),
            (self.to_floor, self.row.floor_at_most),
            (self.flat, self.row.flat_at_most),
        )
        return all(value <= limit for value, limit in pairs if value is not None and limit is not None)

    @property
    def goal_reached(self) -> bool:
        """Say whether the goal is reached as well."""
        pairs = ((self.ratio, self.row.goal), (self.to_floor, self.row.floor_goal))
        return bool(self.met) and all(
            value <= goal for value, goal in pairs if value is not None and goal is not None
        )


def summarize(rounds: list[Round]) -> list[Line]:
    """Return a line for every row that was measured."""
    return [
        _line(row, rounds)
        for row in BY_NAME.values()
        if any(row.name in rows for one in rounds for rows in one.values())
    ]


def _line(row: Row, rounds: list[Round]) -> Line:
    servers = {server for one in rounds for server, rows in one.items() if row.name in rows}
    ratios = (
        _ratios(row, rounds, "node") if row.against == "node" else _figures(row, rounds, "rtserver", "value")
    )
    return Line(
        row=row,
        values={server: median(_figures(row, rounds, server, "value")) for server in servers},
        ratio=_median(ratios),
        spread=(min(ratios), max(ratios)) if ratios else None,
        to_floor=_median(_ratios(row, rounds, "floor")) if row.floor_at_most is not None else None,
        flat=_median(_figures(row, rounds, "rtserver", "flat")) if row.flat_at_most is not None else None,
        refused=int(sum(_figures(row, rounds, "rtserver", "refused"))),
        beside=(
            _median(_figures(row, rounds, "rtserver", "off")),
            _median(_figures(row, rounds, "rtserver", "on")),
        ),
    )


def _figures(row: Row, rounds: list[Round], server: str, key: str) -> list[float]:
    found = (one.get(server, {}).get(row.name, {}).get(key) for one in rounds)
    return [float(figure) for figure in found if figure is not None]


def _ratios(row: Row, rounds: list[Round], other: str) -> list[float]:
    """Divide within a round only: the machine's speed changes from minute to minute."""
    pairs = (
        (_figures(row, [one], "rtserver", "value"), _figures(row, [one], other, "value")) for one in rounds
    )
    return [ours[0] / theirs[0] for ours, theirs in pairs if ours and theirs and theirs[0]]


def _median(figures: Iterable[float]) -> float | None:
    found = list(figures)
    return median(found) if found else None
