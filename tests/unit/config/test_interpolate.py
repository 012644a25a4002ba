"""References to the environment."""

from typing import Any

import pytest

from rtserver.config.interpolate import interpolate
from rtserver.config.problem import Problem

ENV = {"NAME": "value", "EMPTY": ""}


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("${NAME}", "value"), ("a-${NAME}-${NAME}", "a-value-value"), ("${EMPTY}", ""), ("${NONE:-x}", "x"),
        ("${EMPTY:-x}", "x"), ("${NONE:-}", ""), ("${NAME:-x}", "value"), ("$${NAME}", "${NAME}"),
        ("$NAME $", "$NAME $"), ("${NONE:-a b:c}", "a b:c"),
    ],
)  # fmt: skip
def test_references(text: str, filled: str) -> None:
    """A reference is its variable, or its default when that is unset or empty; $${ is ${."""
    problems: list[Problem] = []
    assert interpolate({"k": [text]}, ENV, problems) == {"k": [filled]}
    assert problems == []


def test_what_a_variable_holds_is_not_looked_into() -> None:
    """A value from the environment that looks like a reference stays as it is."""
    assert interpolate("${A}", {"A": "${B}"}, []) == "${B}"


def test_unset_and_malformed_references_are_told_with_their_place() -> None:
    """Each reference that cannot be replaced is a problem, and no other value is lost."""
    problems: list[Problem] = []
    data: Any = {"a": {"b": ["${NONE}", 1]}, "c": "${1X}", "d": "${NAME"}
    assert interpolate(data, ENV, problems)["a"]["b"][1] == 1
    assert [str(problem) for problem in problems] == [
        "a.b[0]: the environment variable NONE is not set; set it, or write ${NONE:-default}",
        "c: has ${ without a NAME and }; write $${ for these two characters",
        "d: has ${ without a NAME and }; write $${ for these two characters",
    ]


def test_keys_have_to_be_strings() -> None:
    """A key that YAML reads as a number is a problem, not a crash further on."""
    problems: list[Problem] = []
    assert interpolate({"limits": {1: 2}}, ENV, problems) == {"limits": {}}
    assert [str(problem) for problem in problems] == ["limits.1: a key must be a string; put it in quotes"]


def test_the_source_is_left_alone() -> None:
    """The data given is copied, not changed."""
    data = {"a": ["${NAME}"]}
    interpolate(data, ENV, [])
    assert data == {"a": ["${NAME}"]}
