"""One attempt: a POST to the target, and what came of it. It never raises, and never reads more than it needs."""

from __future__ import annotations

import asyncio
import os
import time

import httpx

from rtserver.version import __version__
from rtserver.webhooks.retry import Answer, retry_after
from rtserver.webhooks.signing import Signer
from rtserver.webhooks.targets import Target

# What is read of an answer's body, so that its connection can be used again, and for how long at most.
_BODY, _BODY_TIME = 65_536, 1.0
_LOCAL = ("all://localhost", "all://127.0.0.1", "all://[::1]")
_ERRORS = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError)


class Sender:
    """The way to one target: connections that are kept, signatures, headers."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._signer = Signer(target.secrets)
        self._headers = {
            "content-type": "application/json",
            "user-agent": f"rtserver/{__version__}",
            **{name.lower(): value for name, value in target.headers.items()},
        }
        self._client: httpx.AsyncClient | None = None

    async def attempt(self, message_id: str, body: bytes) -> Answer:
        """POST the body; return the answer, or the error in words."""
        headers = {**self._headers, **self._signer.headers(message_id, time.time(), body)}
        if self._client is None:
            self._client = _client(self._target.concurrency)
        answer = None
        try:
            async with (
                asyncio.timeout(self._target.timeout),
                self._client.stream("POST", self._target.url, content=body, headers=headers) as response,
            ):
                # The status is the answer: whatever comes after it changes nothing.
                answer = Answer(
                    response.status_code, retry_after(response.headers.get("retry-after"), time.time())
                )
                async with asyncio.timeout(_BODY_TIME):
                    await _skim(response)
        except TimeoutError:
            return answer or Answer(None, error=f"no answer within {self._target.timeout:g} s")
        except _ERRORS as error:
            return answer or Answer(None, error=_words(error))
        return answer

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()


async def _skim(response: httpx.Response) -> None:
    """Read a short body, so that the connection can be used again; it is closed on a long one."""
    size = 0
    async for chunk in response.aiter_raw():
        size += len(chunk)
        if size > _BODY:
            return


def _client(concurrency: int) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        timeout=None,  # noqa: S113  # `Sender.attempt` has one for all of it
        follow_redirects=False,
        limits=httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency),
        # A proxy from the environment is for the way out, not for this machine.
        mounts=dict.fromkeys(_LOCAL),
    )


def _words(error: BaseException) -> str:
    # The system's own words are at the bottom: "connection refused" under "all connection attempts failed".
    while (below := error.__cause__ or error.__context__) is not None and isinstance(below, Exception):
        error = below
    if isinstance(error, ConnectionError) and error.errno:
        # asyncio's say where to, which the target's name does better.
        return os.strerror(error.errno)
    text = " ".join(str(error).split()) or type(error).__name__
    return text[:300]
