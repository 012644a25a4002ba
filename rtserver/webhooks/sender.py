"""One attempt: a POST to the target, and what came of it. It never raises, and never reads more than it needs.

httpx's transport is used without its client, which would follow the target's cookies, and takes twice the time.
"""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import os
import ssl
import time
import urllib.request

import httpx

from rtserver.version import __version__
from rtserver.webhooks.retry import Answer, retry_after
from rtserver.webhooks.signing import Signer
from rtserver.webhooks.targets import Target

# What is read of an answer's body, so that its connection can be used again, and for how many seconds at most.
_BODY, _BODY_TIME = 65_536, 1.0

_ERRORS = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError)


class Sender:
    """The way to one target: connections that are kept, signatures, headers."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._signer = Signer(target.secrets)
        self._url = httpx.URL(target.url)
        self._headers = {
            "content-type": "application/json",
            "user-agent": f"rtserver/{__version__}",
            **_authorization(self._url),
            **{name.lower(): value for name, value in target.headers.items()},
        }
        self._transport: httpx.AsyncHTTPTransport | None = None

    def open(self) -> None:
        """Make ready what takes a while: the list of authorities, for a target that is reached by TLS."""
        if self._transport is None:
            self._transport = _transport(self._url, self._target.concurrency)

    async def attempt(self, message_id: str, body: bytes) -> Answer:
        """POST the body; return the answer, or the error in words."""
        headers = {**self._headers, **self._signer.headers(message_id, time.time(), body)}
        request = httpx.Request("POST", self._url, headers=headers, content=body)
        answer = None
        try:
            async with asyncio.timeout(self._target.timeout):
                response = await self._send(request)
                try:
                    # The status is the answer: whatever comes after it changes nothing.
                    answer = Answer(
                        response.status_code, retry_after(response.headers.get("retry-after"), time.time())
                    )
                    async with asyncio.timeout(_BODY_TIME):
                        await _skim(response)
                finally:
                    await response.aclose()
        except TimeoutError:
            return answer or Answer(None, error=f"no answer within {self._target.timeout:g} s")
        except _ERRORS as error:
            return answer or Answer(None, error=_words(error))
        return answer

    async def close(self) -> None:
        """Close the connections."""
        if self._transport is not None:
            await self._transport.aclose()

    async def _send(self, request: httpx.Request) -> httpx.Response:
        self.open()
        assert self._transport is not None
        return await self._transport.handle_async_request(request)


async def _skim(response: httpx.Response) -> None:
    """Read a short body, so that the connection can be used again; it is closed on a long one."""
    size = 0
    async for chunk in response.aiter_raw():
        size += len(chunk)
        if size > _BODY:
            return


def _transport(url: httpx.URL, concurrency: int) -> httpx.AsyncHTTPTransport:
    tls = url.scheme == "https"
    return httpx.AsyncHTTPTransport(
        verify=httpx.create_ssl_context() if tls else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
        limits=httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency),
        proxy=_proxy(url),
    )


def _proxy(url: httpx.URL) -> str | None:
    """Return the environment's proxy; it is for the way out, not for this machine."""
    if _is_loopback(url.host) or urllib.request.proxy_bypass(url.host):
        return None
    proxies = urllib.request.getproxies()
    return proxies.get(url.scheme) or proxies.get("all")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _authorization(url: httpx.URL) -> dict[str, str]:
    """Return the header that stands for ``user:password@`` in a URL; one of the target's own headers goes before it."""
    if not url.userinfo:
        return {}
    pair = f"{url.username}:{url.password}".encode()
    return {"authorization": "Basic " + base64.b64encode(pair).decode()}


def _words(error: BaseException) -> str:
    # The system's own words are at the bottom: "connection refused" under "all connection attempts failed".
    while (below := error.__cause__ or error.__context__) is not None and isinstance(below, Exception):
        error = below
    if isinstance(error, ConnectionError) and error.errno:
        # asyncio's say where to, which the target's name does better.
        return os.strerror(error.errno)
    text = " ".join(str(error).split()) or type(error).__name__
    return text[:300]
