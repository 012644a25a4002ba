"""Every test here runs on both ways that a WebSocket can take through the server, unless it says otherwise."""

from collections.abc import AsyncIterator

import pytest

from tests.integration.transport.wire_server import ASGI, DIRECT, Stand, serving


@pytest.fixture(params=[DIRECT, ASGI])
def way(request: pytest.FixtureRequest) -> str:
    """Which way it is."""
    found: str = request.param
    return found


@pytest.fixture
async def stand(way: str) -> AsyncIterator[Stand]:
    """Give a server that echoes, with small limits; afterwards nothing may be left of its clients."""
    async with serving(way, max_http_buffer_size=10_000) as stand:
        yield stand
