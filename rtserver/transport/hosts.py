"""Under which name is the server addressed? What stops a web page that rebinds its own name to a loopback address.

Such a page is of the server's own origin as far as the browser can tell, so no Origin check sees it; but the browser
says in ``Host`` which name it followed. Only a server that lets everybody in has to ask.
"""

from __future__ import annotations

import re

from rtserver.config.check import is_loopback
from rtserver.transport.requests import Scope

_HOST = re.compile(r"(?:\[([0-9a-fA-F:.%]*)\]|([^:\[\]]*))(?::[0-9]*)?")


class Hosts:
    """The names that lead to this machine only, and *own*, the one that is configured."""

    __slots__ = ("_own",)

    def __init__(self, own: str) -> None:
        self._own = own.strip("[]").lower()

    def stranger(self, scope: Scope) -> str | None:
        """Return the foreign name that a request on a loopback address is for; None when nothing is wrong with it.

        No browser leaves ``Host`` out, so a request without one is no page's.
        """
        address = (scope.get("server") or ("",))[0]
        if not address or not is_loopback(address):
            return None
        names = [value.decode("latin-1") for key, value in scope["headers"] if key == b"host"]
        return next((name for name in names if not self.allows(name)), None)

    def allows(self, host: str) -> bool:
        """Judge a ``Host`` header."""
        name = without_port(host).lower().removesuffix(".")
        if not name:
            return False
        # Browsers resolve localhost and what ends so themselves (RFC 6761, section 6.3).
        return name == self._own or is_loopback(name) or name.endswith(".localhost")


def without_port(host: str) -> str:
    """Return the name or address of ``NAME:PORT``, ``[IPV6]:PORT`` or either alone; empty for anything else."""
    found = _HOST.fullmatch(host)
    return (found[1] or found[2] or "") if found is not None else ""
