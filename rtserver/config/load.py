"""`load`: file, environment and command line → a checked `Config`, or every problem at once."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from rtserver.config import check
from rtserver.config.check_names import repeated_names
from rtserver.config.environment import from_environment, merge
from rtserver.config.explain import explain
from rtserver.config.interpolate import interpolate
from rtserver.config.problem import ConfigError, Problem, below
from rtserver.config.schema import Config
from rtserver.config.secret_files import read_secret_files
from rtserver.config.source import read_file

__all__ = ["ConfigError", "Problem", "load"]

Source = str | Path | Mapping[str, Any] | None


def load(
    source: Source, *, env: Mapping[str, str] = os.environ, overrides: Mapping[str, Any] | None = None
) -> Config:
    """Make the configuration from `source`: the path of a YAML file, its data, or None for all defaults.

    `RTSERVER__SECTION__KEY` variables of `env` override the source, `overrides` (nested like the file)
    override both. Raises ConfigError with every problem found.
    """
    repeated: list[Problem] = []
    raw = read_file(Path(source), repeated) if isinstance(source, str | Path) else source or {}
    problems: list[Problem] = []
    data: dict[str, Any] = interpolate(raw, env, problems)
    origins = from_environment(data, env, problems)
    merge(data, overrides or {})
    read_secret_files(Config, data, problems)
    problems.extend(repeated_names(data))
    config = _validated(data, problems)
    if config is None or problems or repeated:
        # Repeated keys are told beside what is wrong with the values that hold, not instead of it.
        raise ConfigError(_sorted([*repeated, *_with_origins(problems, origins)]))
    return config


def _validated(data: dict[str, Any], problems: list[Problem]) -> Config | None:
    # An unreadable X_file leaves X without a value, which is no problem of its own.
    known = {path for problem in problems for path in (problem.path, problem.path.removesuffix("_file"))}
    config: Config | None
    try:
        config = Config.model_validate(data)
    except ValidationError as error:
        # A value that was complained about before gets no second complaint about what is left of it.
        problems.extend(problem for problem in explain(error, Config) if problem.path not in known)
        config = _without_faults(data, error)
    if config is not None:
        problems.extend(check.problems(config, {problem.path for problem in problems}))
    return config


def _without_faults(data: dict[str, Any], error: ValidationError) -> Config | None:
    # With defaults in the place of faults the rest can still be checked. It takes a few rounds: a mapping
    # that has lost a required key goes in the next one.
    for _ in range(4):
        try:
            _drop(data, error)
            return Config.model_validate(data)
        except ValidationError as next_error:
            error = next_error
    return None


def _drop(data: dict[str, Any], error: ValidationError) -> None:
    for finding in error.errors(include_url=False, include_input=False):
        loc = finding["loc"][:-1] if finding["type"] == "missing" else finding["loc"]
        below: Any = data
        for step, following in zip(loc, (*loc[1:], 0), strict=True):
            # A list with a fault goes as a whole, because the places of its items must stay what they are.
            if isinstance(following, int) or following == "[key]":
                below.pop(step, None)
                break
            below = below.get(step, {})


def _with_origins(problems: list[Problem], origins: Mapping[str, str]) -> Iterator[Problem]:
    for problem in problems:
        name = _origin(problem, origins)
        yield replace(problem, message=f"{problem.message} (from {name})") if name else problem


def _origin(problem: Problem, origins: Mapping[str, str]) -> str | None:
    """Tell the variable that a problem comes from: it set the place, or a mapping or list around it."""
    around = [path for path in origins if below(problem.path, path)]
    if around:
        return origins[max(around, key=len)]
    # Or it set a key below one that there is not.
    inside = (name for path, name in origins.items() if problem.unknown_key and below(path, problem.path))
    return next(inside, None)


def _sorted(problems: list[Problem]) -> list[Problem]:
    """In the order of the sections."""
    order = {name: index for index, name in enumerate(Config.model_fields)}
    return sorted(problems, key=lambda problem: order.get(problem.section, -1))
