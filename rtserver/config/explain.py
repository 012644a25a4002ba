"""Pydantic's findings in the operator's words, with the nearest right key for a misspelt one."""

import difflib
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import BaseModel, ValidationError

from rtserver.config.problem import Loc, Problem, dotted
from rtserver.config.shape import model_at, places_of

_MESSAGES = {
    "extra_forbidden": "unknown key",
    "missing": "is required",
    "string_type": "must be a string",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "is too large",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "tuple_type": "must be a list",
    "mapping_type": "must be a mapping of keys to values",
    "model_type": "must be a mapping of keys to values",
    "path_type": "must be the path of a file",
    "too_short": "must not be empty",
    "ip_any_network": "must be an IP address or a network such as 10.0.0.0/8",
}


def explain(error: ValidationError, root: type[BaseModel]) -> Iterator[Problem]:
    """Yield the findings of `error`, about data of the shape `root`, as problems. Never repeats a value."""
    for finding in error.errors(include_input=True, include_url=False):
        kind, loc = finding["type"], finding["loc"]
        # A follow-up of another finding, not one of its own.
        if kind == "default_factory_not_called":
            continue
        if loc and loc[-1] == "[key]":
            loc = loc[:-1]
        hint = _hint(kind, loc, finding.get("input"), root)
        yield Problem(dotted(loc), _message(finding), hint, unknown_key=kind == "extra_forbidden")


def nearest(word: str, known: Iterable[str], likeness: float = 0.6) -> str | None:
    """Guess which of `known` was meant by `word`, or None; `likeness` is from 0 to 1."""
    matches = difflib.get_close_matches(word.lower(), list(known), n=1, cutoff=likeness)
    return matches[0] if matches else None


def _message(finding: Any) -> str:
    if finding["type"] == "value_error":
        return str(finding["ctx"]["error"])
    known = _MESSAGES.get(finding["type"])
    if known:
        return known
    text = finding["msg"].removeprefix("Input should be ")
    return f"must be {text}" if text != finding["msg"] else text


def _hint(kind: str, loc: Loc, value: Any, root: type[BaseModel]) -> str | None:
    if kind == "extra_forbidden":
        return _right_key(loc, root)
    if kind == "string_type" and isinstance(value, int | float):
        return "put it in quotes"
    return None


def _right_key(loc: Loc, root: type[BaseModel]) -> str | None:
    key = str(loc[-1])
    model = model_at(root, loc[:-1])
    near = nearest(key, model.model_fields) if model else None
    if near is None:
        elsewhere = [dotted(place) for place in places_of(root, key)]
        near = elsewhere[0] if len(elsewhere) == 1 else None
    return f"did you mean '{near}'?" if near else None
