"""The way to a target through a proxy of the environment. Rare and never fast, so httpx does it, with all it knows.

httpx's transport is used without its client, which would follow the target's cookies, and takes twice the time.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import urllib.request
from collections.abc import Mapping

import httpx

from rtserver.config.check import is_loopback
from rtserver.webhooks.address import Address
from rtserver.webhooks.connection import BODY_TIME, MAX_BODY, BadAnswerError, Head


def proxy(address: Address) -> str | None:
    """Return the environment's proxy; it is for the way out, not for this machine."""
    if is_loopback(address.host) or urllib.request.proxy_bypass(address.host):
        return None
    proxies = urllib.request.getproxies()
    return proxies.get("https" if address.tls else "http") or proxies.get("all")


class Proxied:
    """As `rtserver.webhooks.direct.Direct`, by a detour."""

    def __init__(self, url: str, address: Address, headers: Mapping[str, str], most: int, proxy: str) -> None:
        self._url = httpx.URL(url).copy_with(raw_path=address.path.encode(), userinfo=b"")
        self._headers = dict(headers)
        self._tls = address.tls
        self._most = most
        self._proxy = proxy
        self._transport: httpx.AsyncHTTPTransport | None = None

    def open(self) -> None:
        """Make ready what takes a while: the list of authorities."""
        if self._transport is not None:
            return
        # Where httpx lacks what a proxy needs it says so, by these.
        with contextlib.suppress(ImportError, ValueError):
            self._transport = httpx.AsyncHTTPTransport(
                verify=httpx.create_ssl_context() if self._tls else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
                limits=httpx.Limits(max_connections=self._most, max_keepalive_connections=self._most),
                proxy=self._proxy,
            )

    async def post(self, headers: Mapping[str, str], body: bytes) -> Head:
        """POST the body; return the head of the answer. Raises `OSError` or `BadAnswerError`."""
        self.open()
        if self._transport is None:
            raise BadAnswerError(
                "the environment's proxy cannot be used: it must begin with http:// or https://"
            )
        request = httpx.Request("POST", self._url, headers={**self._headers, **headers}, content=body)
        try:
            response = await self._transport.handle_async_request(request)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise _plain(error) from None
        try:
            with contextlib.suppress(TimeoutError, httpx.HTTPError, httpx.StreamError):
                async with asyncio.timeout(BODY_TIME):
                    await _skim(response)
        finally:
            await response.aclose()
        return Head(response.status_code, response.headers.get("retry-after"))

    async def close(self) -> None:
        """Close the connections."""
        if self._transport is not None:
            await self._transport.aclose()


async def _skim(response: httpx.Response) -> None:
    """Read a short body, so that the connection can be used again; it is closed on a long one."""
    size = 0
    async for chunk in response.aiter_raw():
        size += len(chunk)
        if size > MAX_BODY:
            return


def _plain(error: BaseException) -> Exception:
    """Return what was at the bottom: "connection refused" under "all connection attempts failed"."""
    while (below := error.__cause__ or error.__context__) is not None and isinstance(below, Exception):
        error = below
    return error if isinstance(error, OSError) else BadAnswerError(f"{error}" or type(error).__name__)
