"""An issuer's published keys: fetched, kept, and asked for again when a token names one that is not among them.

Tokens of strangers decide when that is. So at most one request is under way and at most one begins in `PAUSE`, whatever
they send, and a handshake that needs a key waits for that one without holding up any other.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import httpx

from rtserver.auth.answers import read_answer
from rtserver.auth.keyset import KeySet, UnknownKeyError, read_keys
from rtserver.protocol.errors import SERVER_ERROR
from rtserver.telemetry.log import logger

PAUSE = 3.0
"""Least time between the beginnings of two requests."""
TIMEOUT = 4.0
"""Longest time a request may take; with the pause before it less than `engine.connect_timeout`."""
MAX_AGE = 600.0
"""Age at which the keys are fetched again in the background, so that a withdrawn one goes."""
MAX_SIZE = 256 * 1024
"""Largest document that is read, in bytes."""

_HEADERS = {"accept": "application/json", "accept-encoding": "identity"}
_log = logger("auth")


class Jwks:
    """The keys at a URL. What was fetched last is used for as long as the issuer does not answer."""

    def __init__(
        self,
        url: str,
        algorithms: Sequence[str],
        *,
        pause: float = PAUSE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = url
        self._algorithms = tuple(algorithms)
        self._pause = pause
        self._clock = clock
        self._keys = KeySet()
        self._asked_at = self._fetched_at = -float("inf")
        self._failing = False
        self._answers = 0
        self._task: asyncio.Task[None] | None = None
        self._client: httpx.AsyncClient | None = None

    def find(self, algorithm: str, kid: str | None) -> Any:
        """Return the key; raise `UnknownKeyError` when it is not there. Never waits."""
        key = self._keys.find(algorithm, kid)
        if key is None:
            # Without an answer of the issuer nobody can tell whether the token is good.
            raise UnknownKeyError(
                partial(self.refresh, self._answers), SERVER_ERROR if self._failing else None
            )
        if self._clock() - self._fetched_at > MAX_AGE:
            self.start()
        return key

    def start(self) -> None:
        """Fetch in the background, unless that is under way already."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def refresh(self, answers: int | None = None) -> None:
        """Wait until the issuer was asked again, with or without success.

        When there were only so many *answers* when a key was missing, and there are more by now, that has been done.
        """
        if answers is not None and answers != self._answers:
            return
        self.start()
        if self._task is not None:
            # Who gives up waiting must not take the request away from the others.
            await asyncio.shield(self._task)

    async def close(self) -> None:
        """Stop."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        if self._client is not None:
            await self._client.aclose()

    async def _run(self) -> None:
        try:
            # A stale key may be due again within the pause; then it waits, and all who came meanwhile with it.
            await asyncio.sleep(max(0.0, self._asked_at + self._pause - self._clock()))
            self._asked_at = self._clock()
            async with asyncio.timeout(TIMEOUT):
                self._keys = read_keys(await self._fetch(), self._algorithms)
        except Exception as error:  # whatever it is, those who wait go on, and the keys stay
            self._fail(error)
        else:
            self._fetched_at = self._clock()
            if self._failing:
                _log.info("the issuer's keys can be read again", host=urlsplit(self._url).hostname)
            self._failing = False
        finally:
            self._task = None
            self._answers += 1

    async def _fetch(self) -> bytes:
        if self._client is None:
            self._client = httpx.AsyncClient(
                headers=_HEADERS, timeout=TIMEOUT, limits=httpx.Limits(max_keepalive_connections=0)
            )
        async with self._client.stream("GET", self._url) as response:
            return await read_answer(response, MAX_SIZE)

    def _fail(self, error: Exception) -> None:
        # Told once: every connection may try again.
        if not self._failing:
            why = str(error) if isinstance(error, ValueError) else type(error).__name__
            kept = len(self._keys)
            _log.warning(
                "the issuer's keys cannot be read",
                host=urlsplit(self._url).hostname,
                why=why[:200],
                keys_kept=kept,
            )
        self._failing = True
