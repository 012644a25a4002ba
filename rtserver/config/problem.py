"""What is wrong with a configuration: `Problem` is one finding, `ConfigError` all of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Loc = tuple[str | int, ...]
"""A place in the configuration: keys as strings, positions in a list as integers from 0."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding. `path` is dotted (`webhooks.targets[1].url`), or empty when the whole file is meant."""

    path: str
    message: str
    hint: str | None = None
    unknown_key: bool = False

    def __str__(self) -> str:
        text = f"{self.path}: {self.message}" if self.path else self.message
        return f"{text}; {self.hint}" if self.hint else text

    @property
    def section(self) -> str:
        """The top-level key the problem lies under, empty for the file as a whole."""
        return self.path.partition(".")[0].partition("[")[0]


class ConfigError(Exception):
    """The configuration cannot be used. `problems` holds every finding."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: list[Problem] = list(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


def dotted(loc: Sequence[str | int]) -> str:
    """Write a place as operators read it: `("targets", 1, "url")` is `targets[1].url`."""
    path = ""
    for step in loc:
        if isinstance(step, int):
            path += f"[{step}]"
        else:
            path += f".{step}" if path else step
    return path


def below(path: str, other: str) -> bool:
    """Tell whether the dotted `path` is `other`, or lies inside of it."""
    return path == other or path.startswith((f"{other}.", f"{other}["))
