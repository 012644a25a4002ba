"""Connecting to a host: its addresses one beside the other, so that a broken IPv6 costs a moment only (RFC 8305)."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from asyncio.staggered import staggered_race
from collections.abc import Callable
from functools import partial
from itertools import chain, zip_longest
from typing import Any

from rtserver.webhooks.connection import Connection

# How long an address has before the next one is tried beside it (RFC 8305, section 5).
_HEAD_START = 0.25

_Found = tuple[int, int, int, str, tuple[Any, ...]]


async def dial(
    host: str, port: int, tls: ssl.SSLContext | None, made: Callable[[], Connection]
) -> Connection:
    """Return a connection; raise `OSError` (an `ssl.SSLError` is one) when there is none to be had."""
    loop = asyncio.get_running_loop()
    name = host if tls is not None else None
    if _is_address(host):
        return (await loop.create_connection(made, host, port, ssl=tls, server_hostname=name))[1]
    found = _alternating(await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    connected = await _first(found)
    try:
        return (await loop.create_connection(made, sock=connected, ssl=tls, server_hostname=name))[1]
    except BaseException:
        connected.close()
        raise


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _alternating(found: list[Any]) -> list[_Found]:
    """Take turns between the families, beginning with the one that the system puts first."""
    first = [one for one in found if one[0] == found[0][0]]
    others = [one for one in found if one[0] != found[0][0]]
    pairs = chain.from_iterable(zip_longest(first, others))
    return [one for one in pairs if one is not None]


async def _first(found: list[_Found]) -> socket.socket:
    if len(found) == 1:
        return await _socket(found[0])
    winner: socket.socket | None
    winner, _, failures = await staggered_race([partial(_socket, one) for one in found], _HEAD_START)
    if winner is None:
        raise next(failure for failure in failures if failure is not None)
    return winner


async def _socket(found: _Found) -> socket.socket:
    family, kind, protocol, _, place = found
    one = socket.socket(family, kind, protocol)
    try:
        one.setblocking(False)
        await asyncio.get_running_loop().sock_connect(one, place)
    except BaseException:
        one.close()
        raise
    return one
