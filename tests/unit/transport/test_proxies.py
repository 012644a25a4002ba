"""Who connects, behind proxies."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtserver.transport.proxies import Proxies, read_address

PROXIES = Proxies([ip_network("10.0.0.0/8"), ip_network("2001:db8::/32"), ip_network("127.0.0.1/32")])


def scope(peer: Any, *headers: tuple[str, str], kind: str = "http") -> dict[str, Any]:
    """A request from *peer* with these headers."""
    return {
        "type": kind,
        "client": peer,
        "scheme": "ws" if kind == "websocket" else "http",
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers],
    }


def told(peer: Any, *headers: tuple[str, str], kind: str = "http") -> Any:
    """The client's address after the proxies were looked at."""
    request = scope(peer, *headers, kind=kind)
    PROXIES.apply(request)
    return request["client"] and request["client"][0]


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("192.0.2.7:4711", "192.0.2.7"),
        ("[2001:4::7]:4711", "2001:4::7"),
        ("[2001:4::7]", "2001:4::7"),
        ("2001:4:0:0::7", "2001:4::7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("  192.0.2.7  ", "192.0.2.7"),
        ("198.51.100.1, 192.0.2.7", "192.0.2.7"),
        ("192.0.2.7, 10.1.1.1", "192.0.2.7"),
        ("192.0.2.7, 2001:db8::5, 10.1.1.1", "192.0.2.7"),
        ("10.9.9.9, 10.1.1.1", "10.9.9.9"),
    ],
)
def test_the_client_behind_a_proxy(forwarded: str, client: str) -> None:
    """The client is the first from the right that is no trusted proxy, in the one spelling of its address."""
    assert told(("10.0.0.1", 5), ("x-forwarded-for", forwarded)) == client


@pytest.mark.parametrize(
    "garbage",
    ["", "unknown", "_hidden", "a b", "1.2.3", "1.2.3.4.5", "999.1.1.1", "<script>", "\xff", "[::1", "1.2.3.4/8",
     "," * 9],
)  # fmt: skip
def test_what_is_no_address_is_nobodys(garbage: str) -> None:
    """An entry that is no address ends the search: the client is the last that was one."""
    assert told(("10.0.0.1", 5), ("x-forwarded-for", garbage)) == "10.0.0.1"
    assert told(("10.0.0.1", 5), ("x-forwarded-for", f"192.0.2.7, {garbage}, 10.2.2.2")) == "10.2.2.2"


@pytest.mark.parametrize("peer", [("192.0.2.9", 5), ("11.0.0.1", 5), ("2001:db9::1", 5)])
def test_strangers_are_not_believed(peer: tuple[str, int]) -> None:
    """Who is no trusted proxy is who it is, whatever it forwards."""
    request = scope(peer, ("x-forwarded-for", "192.0.2.7"), ("x-forwarded-proto", "https"))
    PROXIES.apply(request)
    assert (request["client"], request["scheme"]) == (peer, "http")


@pytest.mark.parametrize("peer", [None, ("/run/socket", None), ("", 0)])
def test_a_peer_without_an_address(peer: Any) -> None:
    """Without an address nobody is a trusted proxy."""
    assert told(peer, ("x-forwarded-for", "192.0.2.7")) == (peer and peer[0])


def test_several_headers_are_one_list() -> None:
    """A client that sends the header itself cannot hide behind the proxy's own line."""
    lines = (("x-forwarded-for", "198.51.100.1"), ("x-forwarded-for", "192.0.2.7"))
    assert told(("10.0.0.1", 5), *lines) == "192.0.2.7"


@pytest.mark.parametrize(
    ("said", "kind", "scheme"),
    [("https", "http", "https"), ("HTTPS", "websocket", "wss"), ("wss", "http", "https"), ("http", "websocket", "ws"),
     ("gopher", "http", "http"), ("", "websocket", "ws")],
)  # fmt: skip
def test_the_scheme(said: str, kind: str, scheme: str) -> None:
    """A trusted proxy tells the scheme, too, if it is one."""
    request = scope(("10.0.0.1", 5), ("x-forwarded-proto", said), kind=kind)
    PROXIES.apply(request)
    assert request["scheme"] == scheme


def test_without_proxies_there_is_nothing_to_do() -> None:
    """No network, no proxy."""
    assert not Proxies([])
    assert PROXIES


@given(st.text(max_size=60))
def test_anything_forwarded_makes_an_address(forwarded: str) -> None:
    """Whatever stands in the header, the client has an address."""
    origin = PROXIES.origin(ip_address("10.0.0.1"), forwarded)
    assert read_address(str(origin)) == origin
