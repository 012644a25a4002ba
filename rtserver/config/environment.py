"""`RTSERVER__SECTION__KEY` variables and command-line overrides, laid over the file's data.

A number in a name is a position in a list: `RTSERVER__WEBHOOKS__TARGETS__0__URL`. The position after the
last one adds an item.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from rtserver.config.problem import Problem
from rtserver.config.schema import Config
from rtserver.config.shape import model_at
from rtserver.config.source import parse_value

PREFIX = "RTSERVER__"
_PROJECT = "rtserver_"


def from_environment(data: dict[str, Any], env: Mapping[str, str], problems: list[Problem]) -> dict[str, str]:
    """Put every override of `env` into `data`, in place. Returns which variable set which dotted path."""
    origins = {}
    # Sorted, so that a section's variable comes before those of its keys, whatever order the system keeps.
    for name in sorted(env, key=str.upper):
        if not name.upper().startswith(PREFIX):
            continue
        steps = name[len(PREFIX) :].lower().split("__")
        if not all(steps) or not _put(data, steps, parse_value(env[name])):
            problems.append(
                Problem("", f"the environment variable {name} names no place in the configuration")
            )
        else:
            origins["".join(f"[{s}]" if s.isdecimal() else f".{s}" for s in steps)[1:]] = name
    return origins


def merge(data: dict[str, Any], overrides: Mapping[str, Any]) -> None:
    """Lay `overrides` over `data`, in place, mapping by mapping; lists and scalars are replaced."""
    for key, value in overrides.items():
        below = data.get(key)
        if isinstance(value, Mapping):
            below = data[key] = dict(below) if isinstance(below, Mapping) else {}
            merge(below, value)
        else:
            data[key] = value


def _put(data: Any, steps: list[str], value: Any) -> bool:
    for step, following in zip(steps, [*steps[1:], None], strict=True):
        empty: Any = [] if following is not None and following.isdecimal() else {}
        key: Any = int(step[:9]) if isinstance(data, list) and step.isdecimal() else step
        if isinstance(data, list) and key == len(data):
            data.append(None)
        elif isinstance(data, dict):
            data.setdefault(key, None)
        elif not isinstance(data, list) or key not in range(len(data)):
            return False
        if following is None:
            data[key] = value
        elif data[key] is None:
            data[key] = empty
        data = data[key]
    return True


def ignored(env: Mapping[str, str], text: str) -> Iterator[str]:
    """Yield a sentence for each variable that looks like an override, but has too few underscores for one.

    `text` is that of the configuration file: a variable it refers to is not ignored.
    """
    for name in sorted(env):
        words = name.lower().removeprefix(_PROJECT).strip("_").split("_")
        if name.upper().startswith(PREFIX) or not name.lower().startswith(_PROJECT):
            continue
        if words[0] in Config.model_fields and not re.search(rf"\$\{{{re.escape(name)}\b", text):
            place = _place(Config, [word for word in words if word])
            right = PREFIX + "__".join(place or ["SECTION", "KEY"]).upper()
            yield f"the environment variable {name} is ignored; overrides are written {right}"


def _place(model: type[BaseModel] | None, words: list[str]) -> list[str]:
    """Find the keys that `words` spell, where a key may be several words; empty when there is no such place."""
    for count in range(1, len(words) + 1):
        key, rest = "_".join(words[:count]), words[count:]
        if model is None or key not in model.model_fields:
            continue
        if not rest:
            return [key]
        below = _place(model_at(model, (key,)), rest)
        if below:
            return [key, *below]
    return []
