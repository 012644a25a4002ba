"""YAML text → plain data, with every complaint as a `Problem` that says where.

Scalars follow YAML 1.2 (JSON's numbers, true, false, null): YAML 1.1 would read `1:30` as 90, `010` as 8
and some strings as dates, which nobody means in a configuration.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from rtserver.config.problem import ConfigError, Loc, Problem, dotted


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with the scalars of YAML 1.2."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML copies it on the first registration


_Loader.add_implicit_resolver("tag:yaml.org,2002:merge", re.compile(r"<<$"), ["<"])
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:null", re.compile(r"(~|null|Null|NULL|)$"), ["~", "n", "N", ""]
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"(true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"(0|-?[1-9]\d{0,30})$", re.ASCII), list("-0123456789")
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"-?\d{1,30}(\.\d+([eE][-+]\d{1,3})?)$", re.ASCII),
    list("-0123456789"),
)


def read_file(path: Path, repeated: list[Problem]) -> dict[str, Any]:
    """Read the YAML file at `path`; empty for an empty file. Raises ConfigError naming the file.

    Keys that are there twice are added to `repeated`; the last value holds.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ConfigError([Problem("", f"{path}: cannot be read: {error.strerror or error}")]) from None
    except ValueError:
        # Also what Python raises for a path with a null byte in it.
        raise ConfigError([Problem("", f"{path}: is not UTF-8 text")]) from None
    return parse_text(text, str(path), repeated)


def parse_text(text: str, name: str, repeated: list[Problem]) -> dict[str, Any]:
    """Read YAML `text`, called `name` in complaints. Raises ConfigError; `repeated` is as for `read_file`."""
    try:
        root = yaml.compose(text, Loader=_Loader)
        repeated.extend(() if root is None else _repeated_keys(root, (), ()))
        data = None if root is None else yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
    except RecursionError:
        raise ConfigError([Problem("", f"{name}: is nested too deeply")]) from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise ConfigError([Problem("", f"{name}: {_explain(error)}")]) from None
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise ConfigError([Problem("", f"{name}: line 1, column 1: must hold sections such as `server:`")])
    return data


def parse_value(text: str) -> Any:
    """Read one environment variable: a YAML list or mapping in brackets, null, or the text itself.

    Other scalars stay text, so that a secret made of digits keeps its zeros; the schema turns text into
    numbers where numbers belong.
    """
    stripped = text.strip()
    if stripped in ("", "~", "null"):
        return None
    if stripped[0] not in "[{\"'":
        return stripped
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError):
        return stripped


def _repeated_keys(node: yaml.Node, loc: Loc, above: tuple[int, ...]) -> Iterator[Problem]:
    if id(node) in above:
        raise yaml.MarkedYAMLError(problem="an alias inside what it stands for", problem_mark=node.start_mark)
    above = (*above, id(node))
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _repeated_keys(item, (*loc, index), above)
    if not isinstance(node, yaml.MappingNode):
        return
    seen: dict[str, int] = {}
    for key, value in node.value:
        name = str(key.value) if isinstance(key, yaml.ScalarNode) else "?"
        place = (*loc, name)
        line = key.start_mark.line + 1
        if name in seen:
            yield Problem(dotted(place), f"is there twice, in lines {seen[name]} and {line}")
        seen[name] = line
        yield from _repeated_keys(value, place, above)


def _explain(error: Exception) -> str:
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        return f"{where}{error.problem or error.context or 'is not valid YAML'}"
    if isinstance(error, yaml.reader.ReaderError):
        return f"has a character that YAML does not allow, at position {error.position}"
    return "has a value that YAML cannot read"
