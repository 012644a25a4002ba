"""What these tests share: a receiver, a file, and commands that are heeded soon."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rtserver.webhooks import dispatcher
from tests.integration.webhooks.nodes import file_url
from tests.integration.webhooks.receiver import Receiver, receiving


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A receiver that is there."""
    async with receiving() as one:
        yield one


@pytest.fixture
def url(tmp_path: Path) -> str:
    """The URL of a database in a file."""
    return file_url(tmp_path)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look for commands often, so that no test waits long for one."""
    monkeypatch.setattr(dispatcher, "_LOOK", 0.02)
