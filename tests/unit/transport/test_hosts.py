"""Names that lead to this machine only."""

from __future__ import annotations

from typing import Any

import pytest

from rtserver.transport.hosts import Hosts

HOSTS = Hosts("127.0.0.1")


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.0.0.1:8000", "127.9.9.9:1", "localhost", "LOCALHOST:8000", "localhost.", "localhost.:80",
        "app.localhost:5173", "[::1]", "[::1]:8000",
    ],
)  # fmt: skip
def test_this_machine(host: str) -> None:
    """Loopback addresses and localhost are this machine, with any port."""
    assert HOSTS.allows(host)


@pytest.mark.parametrize(
    "host",
    [
        "", "evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example", "evillocalhost",
        "0.0.0.0:8000", "192.168.0.1", "[2001:db8::1]:8000", "127.0.0.1@evil.example", "evil.example/127.0.0.1",
        "[::1].evil.example:80:80", "\xff", "::1", "localhost:x", "localhost:1:2", "[localhost]", ":8000", "[", "[]",
    ],
)  # fmt: skip
def test_other_names(host: str) -> None:
    """Any other name may be a page's that was rebound to this machine."""
    assert HOSTS.allows(host) is False


def test_the_configured_host() -> None:
    """What the server listens on is a name of its own."""
    assert Hosts("[::1]").allows("[::1]:80")
    assert Hosts("Chat.Localdomain").allows("chat.localdomain:8000")


def test_a_request() -> None:
    """Every Host header is looked at, and one without any is no browser's."""

    def request(*hosts: bytes, server: Any = ("127.0.0.1", 8000)) -> dict[str, Any]:
        return {"headers": [(b"accept", b"*/*"), *((b"host", host) for host in hosts)], "server": server}

    assert HOSTS.stranger(request()) is None
    assert HOSTS.stranger(request(b"localhost")) is None
    assert HOSTS.stranger(request(b"localhost", b"evil.example")) == "evil.example"
    assert HOSTS.stranger(request(b"evil.example", server=("::1", 8000))) == "evil.example"


@pytest.mark.parametrize("server", [None, ("/run/socket", None), ("192.168.0.5", 8000), ("testserver", 80)])
def test_a_request_from_elsewhere(server: Any) -> None:
    """What did not come in on a loopback address is not reached by rebinding to one."""
    assert HOSTS.stranger({"headers": [(b"host", b"chat.example")], "server": server}) is None
