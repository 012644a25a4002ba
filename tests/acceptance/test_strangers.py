"""Who asks under a false address or a false name, on the real server."""

from __future__ import annotations

import json

import httpx
import pytest

from .harness import raw
from .harness.node_client import Node
from .harness.server import Server
from .harness.shapes import SECRET, check_connect_error

HANDSHAKE = {"EIO": "4", "transport": "polling"}
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


async def ask(url: str, path: str, host: str | None = None, **more: object) -> httpx.Response:
    """One GET under a name."""
    headers = {**({"Host": host} if host is not None else {}), **more.pop("headers", {})}
    async with raw.http(url) as web:
        return await web.get(path, headers=headers, **more)


class TestRebinding:
    """A page that rebinds its own name to the loopback address is of our own origin, as far as a browser can tell."""

    @pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example"])
    async def test_a_foreign_name(self, server: Server, host: str):
        """In mode none on loopback a request under a foreign name is refused with 403, which says what to do."""
        for path, params in ((raw.PATH, HANDSHAKE), ("/", {}), ("/healthz", {})):
            answer = await ask(server.url, path, host, params=params, headers={"Origin": f"http://{host}"})
            assert answer.status_code == 403, (path, answer.text)
            assert "auth.mode" in answer.json()["message"]
            assert "access-control-allow-origin" not in answer.headers

    async def test_a_foreign_name_over_websocket(self, server: Server):
        """The same before a WebSocket is one."""
        params = {"EIO": "4", "transport": "websocket"}
        answer = await ask(server.url, raw.PATH, "evil.example", params=params, headers=UPGRADE)
        assert answer.status_code == 403

    async def test_names_of_this_machine(self, server: Server):
        """Loopback names and addresses are served as ever."""
        for host in ("localhost", f"127.0.0.1:{server.port}", "[::1]:80"):
            assert (await ask(server.url, raw.PATH, host, params=HANDSHAKE)).status_code == 200

    @pytest.mark.parametrize(
        "auth", [{"open_to_network": True}, {"mode": "required", "jwt": {"secret": SECRET}}], ids=str
    )
    async def test_where_it_does_not_matter(self, serve, auth: dict):
        """With tokens, or when the operator opened the server, any name will do: a proxy may stand before it."""
        server = serve({"auth": auth})
        assert (await ask(server.url, raw.PATH, "chat.example", params=HANDSHAKE)).status_code == 200


class TestForwarded:
    """``X-Forwarded-For`` behind trusted proxies."""

    @pytest.fixture
    def proxied(self, serve) -> Server:
        """A server that trusts loopback as its proxy, and takes one connection per address."""
        config = {"limits": {"connections": {"per_ip": 1}}, "server": {"trusted_proxies": ["127.0.0.1"]}}
        return serve({**config, "logging": {"level": "info", "format": "json"}})

    async def test_the_limit_counts_the_client(self, proxied: Server, node: Node):
        """Behind a trusted proxy the client's own address counts, however it writes it and whatever it puts before."""

        async def come(forwarded: str) -> None:
            await node.connect(proxied.url, extraHeaders={"X-Forwarded-For": forwarded})

        async def refused(forwarded: str) -> None:
            client = node.open(proxied.url, extraHeaders={"X-Forwarded-For": forwarded})
            error = await client.until_refused()
            check_connect_error(error.message, error.data, "too_many_connections")

        await come("192.0.2.1")
        await come("192.0.2.2")
        await come("2001:db8::1")
        for forwarded in ("192.0.2.1", "::ffff:192.0.2.1", "198.51.100.9, 192.0.2.1:99", "2001:db8::ffff"):
            await refused(forwarded)

    async def test_no_address_is_nobodys(self, proxied: Server, node: Node):
        """What is no address counts as the proxy's own, so made-up names make no places and reach no log."""
        await node.connect(proxied.url, extraHeaders={"X-Forwarded-For": "<b>nobody</b>"})
        client = node.open(proxied.url, extraHeaders={"X-Forwarded-For": "somebody else"})
        error = await client.until_refused()
        check_connect_error(error.message, error.data, "too_many_connections")
        lines = [json.loads(line) for line in proxied.stderr if line.startswith("{")]
        assert {line["ip"] for line in lines if "ip" in line} == {"127.0.0.1"}
