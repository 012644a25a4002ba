"""Fixtures: the application served in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from rtserver.app import App, create_app
from tests.integration.gateway.house import QUICK, WAYS, House, served


@pytest.fixture
def app() -> App:
    """An application to register things on; `house` serves it."""
    return create_app(QUICK)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody lingers who was refused. To be asked for before `app`."""
    monkeypatch.setattr("rtserver.gateway.lobby.REFUSED_LINGER", 0.03)


@pytest.fixture(params=list(WAYS))
def way(request: pytest.FixtureRequest) -> str:
    """Either path."""
    return request.param


@pytest.fixture
async def house(app: App) -> AsyncIterator[House]:
    """`app`, served on the fast path."""
    async with served(app) as one:
        yield one


@pytest.fixture(params=list(WAYS))
async def any_house(request: pytest.FixtureRequest, app: App) -> AsyncIterator[House]:
    """`app`, served on either path."""
    async with served(app, request.param) as one:
        yield one
