"""Which web pages may connect. Browsers send ``Origin``; what sends none is no browser and is not concerned.

The check is ours, before any handshake, for WebSocket as for HTTP: browsers apply CORS to HTTP only (RFC 6454,
and https://fetch.spec.whatwg.org/#http-cors-protocol).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

Headers = list[tuple[bytes, bytes]]


class Origins:
    """The page's own server is always allowed, and every origin that a pattern covers (``https://*.example.com``)."""

    __slots__ = ("_any", "_patterns")

    def __init__(self, allowed: Sequence[str]) -> None:
        self._any = "*" in allowed
        self._patterns = [re.compile(_translate(pattern.rstrip("/").lower())) for pattern in allowed]

    def allows(self, origin: str | None, host: str) -> bool:
        """Judge an ``Origin`` header for a request to *host* (its ``Host`` header).

        Schemes are not compared for the own host: behind a proxy that ends TLS the server sees ``http``.
        """
        if origin is None:
            return True
        origin = origin.lower()
        if self._any or _is_own(origin, host.lower()):
            return True
        return any(pattern.fullmatch(origin) for pattern in self._patterns)


def cors_headers(origin: str | None) -> Headers:
    """Return what lets a page of an allowed foreign origin read the response."""
    if origin is None:
        return []
    return [
        (b"access-control-allow-origin", origin.encode("latin-1")),
        (b"access-control-allow-credentials", b"true"),
        (b"vary", b"Origin"),
    ]


def _translate(pattern: str) -> str:
    # A star ends where the host, or the port, does: else "https://*.example.com" would cover a path that ends so.
    return re.escape(pattern).replace(r"\*", "[^/:@?#]*")


def _is_own(origin: str, host: str) -> bool:
    try:
        parts = urlsplit(origin)
    except ValueError:  # no URL at all, such as an address in half a pair of brackets
        return False
    return parts.scheme in ("http", "https") and parts.netloc != "" and _bare(parts.netloc) == _bare(host)


def _bare(netloc: str) -> str:
    return netloc.removesuffix(":80").removesuffix(":443")
