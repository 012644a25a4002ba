"""Fixtures of the acceptance tests: the running server and the clients."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from .harness.kafka import Kafka
from .harness.node_client import TRANSPORTS, Driver, Node, missing
from .harness.receiver import Receiver, Receivers
from .harness.server import Server, Servers


@pytest.fixture(scope="session")
def driver() -> Iterator[Driver]:
    """The one Node process with all JavaScript clients."""
    lacking = missing()
    if lacking is not None:
        if os.environ.get("CI", "").lower() in ("1", "true", "yes"):
            pytest.fail(lacking, pytrace=False)
        pytest.skip(lacking)
    driver = Driver()
    yield driver
    driver.close()


@pytest.fixture
async def node(driver: Driver):
    """Stock socket.io-client; what a test opens is closed behind it."""
    node = Node(driver)
    yield node
    node.close()


@pytest.fixture(params=list(TRANSPORTS))
def transports(request: pytest.FixtureRequest) -> str:
    """Every way a client connects: WebSocket alone, long-polling alone, and the default with its upgrade."""
    return request.param


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The common server: auth none, quiet limits. Tests use `unique` names on it."""
    servers = Servers(tmp_path_factory.mktemp("servers"))
    yield servers.serve()
    servers.close()


@pytest.fixture
def kafka() -> Iterator[Kafka]:
    """A cluster of Kafka of one test."""
    kafka = Kafka()
    yield kafka
    kafka.close()


@pytest.fixture(scope="module")
def module_receivers() -> Iterator[Receivers]:
    """For receivers of webhooks that the tests of a module share; to be asked for before its servers."""
    receivers = Receivers()
    yield receivers
    receivers.close()


@pytest.fixture
def receivers() -> Iterator[Receivers]:
    """For the receivers of webhooks of one test; to be asked for before its servers."""
    receivers = Receivers()
    yield receivers
    receivers.close()


@pytest.fixture
def receiver(receivers: Receivers) -> Receiver:
    """The one receiver of a test."""
    return receivers.open()


@pytest.fixture(scope="module")
def module_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """For servers that the tests of a module share."""
    servers = Servers(tmp_path_factory.mktemp("servers"))
    yield servers
    servers.close()


@pytest.fixture
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """For the servers of one test."""
    servers = Servers(tmp_path_factory.mktemp("servers"))
    yield servers
    servers.close()


@pytest.fixture
def serve(servers: Servers) -> Callable[..., Server]:
    """`serve(config, *args)`: a server of this test's own."""
    return servers.serve
