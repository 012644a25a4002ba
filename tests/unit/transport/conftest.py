"""What the transport's unit tests share."""

import asyncio

import pytest

from tests.unit.transport.stand_ins import Clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Give the code under test a clock that the test moves, in place of the running loop's."""
    clock = Clock()
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: clock)
    return clock
