"""Every test here runs on both ways that a WebSocket can take through the server, unless it says otherwise.

The event loop is the one that the server runs on, uvloop where there is one; what depends on how a loop writes and
pauses runs on asyncio's own as well.
"""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from tests.integration.transport.wire_server import ASGI, DIRECT, Stand, serving

try:
    import uvloop
except ImportError:  # Windows
    uvloop = None

_ON_BOTH_LOOPS = {"test_wire_slow.py", "test_wire_upgrade.py"}


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Say on which event loops a test runs."""
    plain: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
    if uvloop is None:
        return plain
    fast = {"uvloop": uvloop.new_event_loop}
    return fast | plain if item.path.name in _ON_BOTH_LOOPS else fast


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
