"""Where a target is: what its URL says, split as a client of HTTP needs it. Pure.

Raises `ValueError` for a URL that leads nowhere. Names are looked up in their ASCII form (RFC 5891), IPv6 addresses
lose their brackets, and what stands behind the host is sent as it was given.
"""

from __future__ import annotations

import base64
import re
from typing import NamedTuple
from urllib.parse import quote

import httpx

# What RFC 3986 allows, and therefore nobody may change: an escape that is there stays as it is.
_AS_GIVEN = ":/?#[]@!$&'()*+,;=%~-._"


class Address(NamedTuple):
    """*authority* is what the Host header says, *path* the request's target with its query."""

    tls: bool
    host: str
    port: int
    authority: str
    path: str
    authorization: str | None


def address(url: str) -> Address:
    """Return what the URL says."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ValueError(f"{error}") from None
    tls = parsed.scheme == "https"
    return Address(
        tls,
        parsed.raw_host.decode("ascii"),
        parsed.port or (443 if tls else 80),
        parsed.netloc.decode("ascii"),
        _path(url),
        _authorization(parsed),
    )


def _path(url: str) -> str:
    found = re.fullmatch(r"[^/?#]*//[^/?#]*([^#]*)(?:#.*)?", url, re.DOTALL)
    path = quote(found[1], safe=_AS_GIVEN) if found is not None else ""
    return path if path.startswith("/") else f"/{path}"


def _authorization(url: httpx.URL) -> str | None:
    """Return the header that stands for ``user:password@`` (RFC 7617)."""
    if not url.userinfo:
        return None
    pair = f"{url.username}:{url.password}".encode()
    return "Basic " + base64.b64encode(pair).decode()
