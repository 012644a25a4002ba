"""Who really connects, behind reverse proxies: their ``X-Forwarded-For`` is believed, anybody else's is not.

uvicorn has a middleware for this that takes whatever text stands in the header. Here only an address is one, because
limits per address count by it, and logs and webhooks show it.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from rtserver.transport.hosts import without_port
from rtserver.transport.requests import Scope

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

_SCHEMES = frozenset({"http", "https", "ws", "wss"})


class Proxies:
    """The networks of the proxies that are trusted."""

    __slots__ = ("_trusted",)

    def __init__(self, trusted: Sequence[Network]) -> None:
        self._trusted = tuple(trusted)

    def __bool__(self) -> bool:
        return bool(self._trusted)

    def apply(self, scope: Scope) -> None:
        """Let *scope* name the client behind a trusted proxy, and the scheme that it used."""
        peer = read_address((scope.get("client") or ("",))[0])
        if peer is None or not self._trusts(peer):
            return
        forwarded = b",".join(value for name, value in scope["headers"] if name == b"x-forwarded-for")
        scope["client"] = (str(self.origin(peer, forwarded.decode("latin-1"))), 0)
        schemes = [value for name, value in scope["headers"] if name == b"x-forwarded-proto"]
        scheme = schemes[-1].decode("latin-1").strip().lower() if schemes else ""
        if scheme in _SCHEMES:
            kind = "ws" if scope["type"] == "websocket" else "http"
            scope["scheme"] = kind + ("s" if scheme.endswith("s") else "")

    def origin(self, peer: Address, forwarded: str) -> Address:
        """Return the first address, from the right, that no trusted proxy has.

        Each proxy appends whom it saw; what stands left of an untrusted address, or of something that is no address,
        was written by a stranger.
        """
        for entry in reversed(forwarded.split(",")):
            text = entry.strip()
            address = read_address(text) or read_address(without_port(text))
            if address is None:
                break
            peer = address
            if not self._trusts(address):
                break
        return peer

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self._trusted)


def read_address(text: str) -> Address | None:
    """Return the address that *text* is, an IPv4 one that is written as IPv6 as IPv4; None when it is none."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
