"""Places for stores: a fresh database of any kind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

Place = Callable[[str], str]


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """`place(kind)`: the URL of this test's database of that kind; PostgreSQL runs only where one is asked for."""

    def of(kind: str) -> str:
        if kind == "postgres":
            return str(request.getfixturevalue("database"))
        return {"file": f"sqlite:///{tmp_path}/outbox.db", "memory": "memory://"}[kind]

    return of
