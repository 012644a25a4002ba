"""One question to the operator's backend, and its answer in time, or the answer for when there is none."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable, Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx
import orjson

from rtserver.auth.answers import read_answer
from rtserver.auth.decisions import Decision, Memory, read_decision
from rtserver.protocol.errors import SERVER_ERROR, RtError
from rtserver.protocol.identifiers import Clock
from rtserver.telemetry.log import logger

Sign = Callable[[str, float, bytes], dict[str, str]]
"""What makes the signed headers of a message with an id, a time and a body."""

MAX_ANSWER = 128 * 1024
"""Longest answer that is read, in bytes."""
_AT_ONCE = 64
"""Questions under way at the same time; others wait for their turn within their timeout."""

_log = logger("hooks")


class Asking:
    """Asks. Who waits is one client's own mailbox; *on_error* is `allow` or `deny`."""

    def __init__(self, sign: Sign, timeout: float, on_error: str, ttl: float) -> None:
        self._sign = sign
        self._timeout = timeout
        self._allow_on_error = on_error == "allow"
        self._memory = Memory(ttl)
        self._ids = Clock()
        self._failing: set[str] = set()
        self._client = httpx.AsyncClient(
            timeout=timeout, limits=httpx.Limits(max_connections=_AT_ONCE), follow_redirects=False
        )

    async def ask(self, url: str, kind: str, data: Mapping[str, Any], key: Hashable = None) -> Decision:
        """Return what the backend decides; with a *key* perhaps what it decided a moment ago.

        Raises `RtError` (`server_error`) when it does not answer, and no answer means no.
        """
        known = self._memory.get((kind, key), time.monotonic()) if key is not None else None
        if known is not None:
            return known
        try:
            # Handlers are stepped outside of any task until they wait, and an HTTP client needs one.
            body = await asyncio.create_task(self._post(url, kind, data))
            decision = read_decision(body)
        except (httpx.HTTPError, TimeoutError, ValueError) as error:
            self._fail(url, kind, error)
            if self._allow_on_error:
                return Decision(allow=True)
            raise RtError(SERVER_ERROR, "it cannot be decided now whether you may") from None
        self._failing.discard(kind)
        if key is not None:
            self._memory.put((kind, key), decision, time.monotonic())
        return decision

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _post(self, url: str, kind: str, data: Mapping[str, Any]) -> bytes:
        now = time.time()
        body = orjson.dumps(
            {"type": kind, "timestamp": self._ids.timestamp(now), "data": data}, default=_unwritable
        )
        headers = self._sign(self._ids.identifier(now), now, body) | {"content-type": "application/json"}
        async with (
            asyncio.timeout(self._timeout),
            self._client.stream("POST", url, content=body, headers=headers) as response,
        ):
            return await read_answer(response, MAX_ANSWER)

    def _fail(self, url: str, kind: str, error: Exception) -> None:
        # Told once, until it answers again: every message may fail.
        if kind not in self._failing:
            self._failing.add(kind)
            why = str(error) if isinstance(error, ValueError) else type(error).__name__
            _log.warning("a hook does not answer", hook=kind, host=urlsplit(url).hostname, why=why[:200])


def _unwritable(value: Any) -> Any:
    """Return what JSON has in place of binary: its size, since a backend decides about who and where."""
    if isinstance(value, bytes):
        return {"bytes": len(value)}
    raise TypeError(type(value).__name__)
