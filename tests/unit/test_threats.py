"""THREATS.md: every threat names tests, and every test that it names is there."""

from __future__ import annotations

import ast
import re
from functools import lru_cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROWS = [
    line for line in (ROOT / "THREATS.md").read_text(encoding="utf-8").splitlines() if line.startswith("| ")
]
THREATS = [row.strip("|").split(" | ") for row in ROWS if not row.startswith("| who |")]
NAMED = re.compile(r"`([\w/]+\.py)::([\w:]+)`")


@lru_cache
def names_in(path: str) -> frozenset[str]:
    """The tests in a file below `tests/`, those of classes as ``Class::test``."""
    tree = ast.parse((ROOT / "tests" / path).read_text(encoding="utf-8"))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    found = {node.name for node in tree.body if isinstance(node, functions)}
    for owner in (node for node in tree.body if isinstance(node, ast.ClassDef)):
        found |= {f"{owner.name}::{node.name}" for node in owner.body if isinstance(node, functions)}
    return frozenset(found)


@pytest.mark.parametrize("threat", THREATS, ids=lambda threat: threat[1][:50].strip())
def test_each_threat_names_tests_that_exist(threat: list[str]) -> None:
    """A row has an attacker, an attack, a defence and at least one test, and all tests it names are there."""
    assert len(threat) == 4
    assert all(cell.strip() for cell in threat)
    named = NAMED.findall(threat[3])
    assert named
    assert len(named) == threat[3].count("`") // 2
    for path, test in named:
        assert test in names_in(path), f"{path}::{test}"


def test_the_table_is_read() -> None:
    """The tables were found: a change of their form must not leave nothing to check."""
    assert len(THREATS) > 30
