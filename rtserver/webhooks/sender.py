"""One attempt: a POST to the target, and what came of it. It never raises, and never reads more than it needs."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import time
from collections.abc import Mapping
from typing import Protocol

from rtserver.version import __version__
from rtserver.webhooks.address import address
from rtserver.webhooks.connection import BadAnswerError, Head
from rtserver.webhooks.direct import Direct
from rtserver.webhooks.proxied import Proxied, proxy
from rtserver.webhooks.retry import Answer, retry_after
from rtserver.webhooks.signing import Signer
from rtserver.webhooks.targets import Target


class Way(Protocol):
    """How requests get to a target, and answers back."""

    def open(self) -> None:
        """Make ready what takes a while."""

    async def post(self, headers: Mapping[str, str], body: bytes) -> Head:
        """POST the body; raise `OSError` or `BadAnswerError` when no answer comes."""

    async def close(self) -> None:
        """Close the connections."""


class Sender:
    """The way to one target, with its headers and signatures. Raises `ValueError` for a URL or header that is none."""

    def __init__(self, target: Target) -> None:
        self._timeout = target.timeout
        self._signer = Signer(target.secrets)
        self._way = _way(target)

    def open(self) -> None:
        """Make ready what takes a while: the list of authorities, for a target that is reached by TLS."""
        self._way.open()

    async def attempt(self, message_id: str, body: bytes) -> Answer:
        """POST the body; return the answer, or the error in words."""
        headers = self._signer.headers(message_id, time.time(), body)
        try:
            async with asyncio.timeout(self._timeout):
                head = await self._way.post(headers, body)
        except TimeoutError as error:
            # The system gives up on a connection too, and says so by an error of the same name.
            if error.errno:
                return Answer(None, error=_words(error))
            return Answer(None, error=f"no answer within {self._timeout:g} s")
        except (OSError, BadAnswerError, UnicodeError) as error:
            # The last is Python's word for a host that no name can be.
            return Answer(None, error=_words(error))
        return Answer(head.status, retry_after(head.retry_after, time.time()))

    async def close(self) -> None:
        """Close the connections."""
        await self._way.close()


def _way(target: Target) -> Way:
    place = address(target.url)
    headers = {"content-type": "application/json", "user-agent": f"rtserver/{__version__}"}
    if place.authorization is not None:
        headers["authorization"] = place.authorization
    # The target's own go before these, but not before those that make a message one of Standard Webhooks.
    own = {name.lower(): value for name, value in target.headers.items()}
    headers.update({name: value for name, value in own.items() if not name.startswith("webhook-")})
    through = proxy(place)
    if through is None:
        return Direct(place, headers, target.concurrency)
    return Proxied(target.url, place, headers, target.concurrency, through)


def _words(error: BaseException) -> str:
    if isinstance(error, socket.gaierror):
        return f"the host is not known: {error.strerror}"
    if isinstance(error, OSError) and error.errno and not isinstance(error, ssl.SSLError):
        # asyncio's say where to, which the target's name does better.
        return os.strerror(error.errno)
    text = " ".join(str(error).split()) or type(error).__name__
    return text[:300]
