"""`${NAME}` and `${NAME:-default}` inside the file's strings, from the environment.

As in a shell, the default is taken when NAME is unset or empty. `$${` stands for `${`.
"""

import re
from collections.abc import Mapping
from typing import Any

from rtserver.config.problem import Loc, Problem, dotted

_REFERENCE = re.compile(r"\$\$\{|\$\{(?:([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\})?")


def interpolate(data: Any, env: Mapping[str, str], problems: list[Problem], loc: Loc = ()) -> Any:
    """Copy `data` (mappings, lists, scalars) with every reference replaced.

    What cannot be replaced, and keys that are not strings, are added to `problems`.
    """
    if isinstance(data, str):
        return _filled(data, env, problems, loc)
    if isinstance(data, list | tuple):
        return [interpolate(item, env, problems, (*loc, index)) for index, item in enumerate(data)]
    if not isinstance(data, Mapping):
        return data
    copy: dict[str, Any] = {}
    for key, value in data.items():
        if isinstance(key, str):
            copy[key] = interpolate(value, env, problems, (*loc, key))
        else:
            problems.append(Problem(dotted((*loc, str(key))), "a key must be a string", "put it in quotes"))
    return copy


def _filled(text: str, env: Mapping[str, str], problems: list[Problem], loc: Loc) -> str:
    def replace(found: re.Match[str]) -> str:
        name, default = found[1], found[2]
        if found[0] == "$${":
            return "${"
        if name is None:
            problems.append(
                Problem(dotted(loc), "has ${ without a NAME and }", "write $${ for these two characters")
            )
            return ""
        value = env.get(name)
        if value or (value is not None and default is None):
            return value
        if default is None:
            problems.append(
                Problem(
                    dotted(loc),
                    f"the environment variable {name} is not set",
                    f"set it, or write ${{{name}:-default}}",
                )
            )
        return default or ""

    return _REFERENCE.sub(replace, text)
