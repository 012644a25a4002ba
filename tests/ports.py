"""Ports to start something on, such that no other process of the tests, and no connection, takes them before it did.

Asking the system for any free port, letting go of it and handing it over to a server is a race: parallel tests ask as
well, and every connection that somebody opens gets its own end from the same range. These are below that range, and a
socket that stays bound says whose they are.
"""

from __future__ import annotations

import functools
import itertools
import socket

FIRST, LAST = (
    20_000,
    32_000,
)  # Linux gives ports to connections from 32768 on, macOS and Windows from 49152 on
BLOCK = 200


class Ports:
    """A block of ports that belongs to this process until it ends."""

    def __init__(self) -> None:
        for first in range(FIRST, LAST, BLOCK):
            guard = _bound(first, shared=False)
            if guard is not None:
                self._guard = guard
                self._ports = itertools.cycle(range(first + 1, first + BLOCK))
                return
        raise RuntimeError(f"every block of ports from {FIRST} to {LAST} is taken; are test runs left over?")

    def take(self) -> int:
        """Give a port of the loopback interface that nobody listens on; the same comes again as late as can be."""
        for port in itertools.islice(self._ports, BLOCK - 1):
            probe = _bound(port, shared=True)
            if probe is not None:
                probe.close()
                return port
        raise RuntimeError(f"{BLOCK - 1} servers are running")

    def close(self) -> None:
        """Leave the block to others."""
        self._guard.close()


@functools.cache
def _ours() -> Ports:
    return Ports()


def free_port() -> int:
    """Give a port of the loopback interface that nobody listens on, and that no other process of the tests gets."""
    return _ours().take()


def _bound(port: int, *, shared: bool) -> socket.socket | None:
    """Bind it, past connections that are still winding up when it is `shared`; None when somebody has it."""
    one = socket.socket()
    if shared:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        one.bind(("127.0.0.1", port))
    except OSError:
        one.close()
        return None
    return one
