"""Fixtures: both receivers, running."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.receivers.processes import COMMANDS, Receiver, need, new_secret


@pytest.fixture(scope="module", params=list(COMMANDS))
def running(request: pytest.FixtureRequest) -> Iterator[Receiver]:
    """One receiver for all tests of a module."""
    need(request.param)
    receiver = Receiver(COMMANDS[request.param], new_secret())
    yield receiver
    receiver.end()


@pytest.fixture
def receiver(running: Receiver) -> Iterator[Receiver]:
    """The receiver; whatever a test does to it, it lives and prints no stack."""
    yield running
    running.calm()
