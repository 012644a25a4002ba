"""Requests that two readers would read differently, tokens that try every trick, and a crowd at the door."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from .harness import raw
from .harness.metrics import changes, scraped
from .harness.node_client import LIMIT, Node
from .harness.server import Server, Servers
from .harness.shapes import SECRET, check_connect_error, token

KEY = "key-for-backends"
PRIVATE = rsa.generate_private_key(65537, 2048)
PEM = (
    PRIVATE.public_key()
    .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    .decode()
)
INNER = "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Smuggled: 1\r\n\r\n"


async def exchange(port: int, request: str, *, limit: float = LIMIT) -> list[int]:
    """The status of every answer that one piece of text gets; the last request asks to close."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request.encode("latin-1"))
    try:
        answer = await asyncio.wait_for(reader.read(), limit)
    except ConnectionResetError:
        answer = b""
    finally:
        writer.close()
    return [int(line.split()[1]) for line in answer.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")] + [
        int(part.split()[1]) for part in answer.split(b"}HTTP/1.1")[1:]
    ]


BODY = "0\r\n\r\n" + INNER
SMUGGLED = {
    "length and chunks": f"Content-Length: {len(BODY)}\r\nTransfer-Encoding: chunked\r\n\r\n{BODY}",
    "chunks and length": f"Transfer-Encoding: chunked\r\nContent-Length: {len(BODY)}\r\n\r\n{BODY}",
    "two lengths": f"Content-Length: 0\r\nContent-Length: {len(INNER)}\r\n\r\n{INNER}",
    "two in one": f"Content-Length: 0, {len(INNER)}\r\n\r\n{INNER}",
    "signed": f"Content-Length: +0\r\n\r\n{INNER}",
    "not chunked": f"Transfer-Encoding: xchunked\r\n\r\n{BODY}",
    "space before the colon": f"Transfer-Encoding : chunked\r\n\r\n{BODY}",
    "folded": f"Transfer-Encoding:\r\n chunked\r\nContent-Length: 0\r\n\r\n{BODY}",
    "bare line feed": f"Content-Length: 0\n\n{INNER}",
}


class TestSmuggling:
    """A request within another, which a proxy in front would not see."""

    @pytest.mark.parametrize("trick", SMUGGLED)
    async def test_a_request_in_a_body(self, server: Server, trick: str):
        """Where a request ends is never a matter of opinion: it is refused, and what follows it is not answered."""
        head = "POST /socket.io/?EIO=4&transport=polling&sid=x HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
        statuses = await exchange(server.port, head + SMUGGLED[trick])
        assert len(statuses) <= 1, statuses
        assert 200 not in statuses

    @pytest.mark.parametrize(
        "hosts", [["127.0.0.1", "evil.example"], ["evil.example", "127.0.0.1"], ["127.0.0.1, evil.example"]]
    )
    async def test_two_hosts(self, server: Server, hosts: list[str]):
        """A request under two names is one under the foreign one."""
        names = "".join(f"Host: {host}\r\n" for host in hosts)
        head = f"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\n{names}Connection: close\r\n\r\n"
        assert await exchange(server.port, head) in ([403], [400])

    @pytest.mark.parametrize("name", ["X-Forwarded-For", "x-forwarded-for", "X_Forwarded_For", "Forwarded"])
    async def test_forged_addresses(self, serve, node: Node, name: str):
        """Without a trusted proxy no header makes a client another address."""
        own = serve({"limits": {"connections": {"per_ip": 1}}})
        await node.connect(own.url)
        for forged in ("198.51.100.1", "for=198.51.100.1", "198.51.100.1, 127.0.0.1"):
            refused = await node.open(own.url, extraHeaders={name: forged}).until_refused()
            check_connect_error(refused.message, refused.data, "too_many_connections")


class TestQueries:
    """The same key twice, and keys that are somebody else's."""

    @pytest.fixture(scope="class")
    @staticmethod
    def optional(module_servers: Servers) -> Server:
        """A server that takes guests, too."""
        return module_servers.serve({"auth": {"mode": "optional", "jwt": {"secret": SECRET}}})

    @pytest.mark.parametrize(
        "query",
        ["EIO=4&EIO=3&transport=polling", "EIO=3&EIO=4&transport=polling", "EIO=4%26transport=polling",
         "EIO=4&transport=polling%00", "EIO=4&transport=", "EIO=4;transport=polling"],
    )  # fmt: skip
    async def test_handshakes(self, optional: Server, query: str):
        """A handshake that says two things says nothing."""
        async with raw.http(optional.url) as web:
            assert (await web.get(f"{raw.PATH}?{query}")).status_code == 400

    @pytest.mark.parametrize("tokens", [["garbage", "garbage"], [token("ada"), "garbage"], ["", "garbage"]])
    async def test_two_tokens(self, optional: Server, tokens: list[str]):
        """A bad token is refused wherever else a good one, or none, stands."""
        query = "&".join(f"token={each}" for each in tokens)
        async with raw.http(optional.url) as web:
            opened = (await web.get(f"{raw.PATH}?EIO=4&transport=polling&{query}")).text
            line = raw.RawPolling(web, json.loads(opened[1:])["sid"], {})
            await line.post("40")
            assert (await line.until("4"))[:2] == "44"

    async def test_names_in_the_query(self, optional: Server):
        """A guest is nobody else, whatever the query says about it."""
        query = {"client_id": "ada", "user": "ada", "sub": "ada", "verified": "true", "sid_": "x"}
        async with raw.engine(optional.url, query=query) as line:
            await line.open_namespace({})
            welcome = await line.until_event("welcome")
        assert welcome["client_id"].startswith("guest:")
        assert welcome["verified"] is False

    @pytest.mark.parametrize(
        "path",
        ["/socket.io/../metrics", "/SOCKET.IO/", "//socket.io/", "/socket.io/%2e%2e/api", "/socket.io/x"],
    )
    async def test_paths(self, optional: Server, path: str):
        """Only the path itself is the engine's."""
        head = f"GET {path}?EIO=4&transport=polling HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
        assert await exchange(optional.port, head) == [404]


def part(data: Any) -> str:
    """One segment of a token."""
    made = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(made).rstrip(b"=").decode()


def by_hand(header: dict[str, Any], claims: Any, secret: str) -> str:
    """A token with exactly this header and these claims, signed with HS256."""
    message = f"{part(header)}.{part(claims)}"
    return f"{message}.{part(hmac.new(secret.encode(), message.encode(), hashlib.sha256).digest())}"


GOOD = {"sub": "ada", "exp": 4_000_000_000}
HS = {"alg": "HS256", "typ": "JWT"}
SHARED_TRICKS = {
    "alg none": f"{part({'alg': 'none'})}.{part(GOOD)}.",
    "alg nOnE": f"{part({'alg': 'nOnE'})}.{part(GOOD)}.AA",
    "no signature": by_hand(HS, GOOD, SECRET).rpartition(".")[0] + ".",
    "another algorithm": jwt.encode(GOOD, SECRET, algorithm="HS384"),
    "kid as a path": by_hand({**HS, "kid": "../../../../dev/null"}, GOOD, ""),
    "own key": jwt.encode(GOOD, PRIVATE, algorithm="RS256", headers={"jwk": {"kty": "oct", "k": "AA"}}),
    "oversized": by_hand(HS, {**GOOD, "pad": "x" * 10_000}, SECRET),
    "nested": by_hand({**HS, "cty": "JWT"}, json.dumps(by_hand(HS, GOOD, SECRET)).encode(), SECRET),
    "deep": by_hand(HS, b"[" * 2000 + b"]" * 2000, SECRET),
    "sub twice": by_hand(HS, b'{"sub":"ada","sub":"guest:1","exp":4000000000}', SECRET),
    "exp twice": by_hand(HS, b'{"sub":"ada","exp":4000000000,"exp":null}', SECRET),
    "for later": by_hand(HS, {**GOOD, "nbf": 3_900_000_000}, SECRET),
    "critical header": by_hand({**HS, "crit": ["exp"]}, GOOD, SECRET),
}
PUBLIC_TRICKS = {
    "public key as secret": by_hand(HS, GOOD, PEM),
    "stripped key as secret": by_hand(HS, GOOD, PEM.strip()),
    "alg none": SHARED_TRICKS["alg none"],
    "RS256 by hand": by_hand({"alg": "RS256"}, GOOD, PEM),
    "another key": jwt.encode(GOOD, rsa.generate_private_key(65537, 2048), algorithm="RS256"),
}


class TestTokenTricks:
    """On the real server, over the wire."""

    @pytest.fixture(scope="class")
    @staticmethod
    def shared(module_servers: Servers) -> Server:
        """A server with a shared secret."""
        return module_servers.serve({"auth": {"mode": "optional", "jwt": {"secret": SECRET}}})

    @pytest.fixture(scope="class")
    @staticmethod
    def public(module_servers: Servers) -> Server:
        """A server with a public key."""
        return module_servers.serve(
            {"auth": {"mode": "optional", "jwt": {"algorithms": ["RS256"], "public_key": PEM}}}
        )

    async def test_the_tools_work(self, shared: Server, public: Server):
        """What is tried is refused for the trick, not for a mistake in the token."""
        for server, good in (
            (shared, by_hand(HS, GOOD, SECRET)),
            (public, jwt.encode(GOOD, PRIVATE, algorithm="RS256")),
        ):
            async with raw.engine(server.url) as line:
                assert (await line.open_namespace({"token": good})).startswith("40{")

    @pytest.mark.parametrize("trick", SHARED_TRICKS)
    async def test_shared_secret(self, shared: Server, trick: str):
        """No trick makes anybody of a stranger, and none makes a guest of a bad token."""
        await self.check(shared, SHARED_TRICKS[trick])

    @pytest.mark.parametrize("trick", PUBLIC_TRICKS)
    async def test_public_key(self, public: Server, trick: str):
        """What everybody knows signs nothing."""
        await self.check(public, PUBLIC_TRICKS[trick])

    async def check(self, server: Server, given: str) -> None:
        """It is unauthorized, in the payload as in the query."""
        # A URL has a bound of its own, below that of a token.
        ways = [({"token": given}, {}), ({}, {"token": given})][: 1 if len(given) > 8000 else 2]
        for auth, query in ways:
            async with raw.engine(server.url, query=query) as line:
                answer = await line.open_namespace(auth)
            assert answer.startswith("44{"), answer
            error = json.loads(answer[2:])
            check_connect_error(error["message"], error["data"], "unauthorized")
            assert given[-30:] not in answer


async def test_a_crowd_at_the_door(serve, node: Node):
    """Thousands who come at once are told to come later, all of them are counted, and who is in notices nothing."""
    own = serve({"limits": {"connections": {"accept_rate": 100}}})
    witness = await node.connect(own.url)
    await witness.sync()
    before, crowd = await scraped(own.url), 3000
    handshake = (
        b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    )
    statuses: list[int] = []

    async def storm(count: int) -> None:
        for _ in range(count):
            reader, writer = await asyncio.open_connection("127.0.0.1", own.port)
            writer.write(handshake)
            statuses.append(int((await reader.read()).split()[1]))
            writer.close()

    begun = time.monotonic()
    await asyncio.gather(*(storm(crowd // 100) for _ in range(100)), *(witness.sync() for _ in range(20)))
    took = time.monotonic() - begun
    assert set(statuses) <= {200, 503}
    let_in = statuses.count(200)
    assert let_in <= 100 * (took + 1) + 1
    changed = changes(before, await scraped(own.url))
    assert changed["refused_total", "accept_rate"] == statuses.count(503) == crowd - let_in > 0
    assert changed["sessions", ""] <= let_in
    assert ("connections", "") not in changed
    assert witness.connects == 1
