"""What the tests of the load test share."""

from collections.abc import AsyncIterator

import pytest
from websockets.asyncio.server import Server, serve

from tests.unit.bench.chatty_peer import Peer


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    """The server, on a free port."""
    one = Peer()
    async with serve(one.serve, "127.0.0.1", 0, process_request=one.admit, compression=None) as server:
        one.url = f"http://127.0.0.1:{_port(server)}"
        yield one


def _port(server: Server) -> int:
    return int(next(iter(server.sockets)).getsockname()[1])
