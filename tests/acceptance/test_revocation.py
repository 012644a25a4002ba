"""Tokens that are called back over HTTP (CONTRACT section 8)."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from .harness.node_client import Node
from .harness.server import Server, Servers
from .harness.shapes import SECRET, check_connect_error, check_event, token, unique

KEY = "key-for-backends"
CONFIG: dict[str, Any] = {
    "auth": {"mode": "required", "jwt": {"secret": SECRET, "algorithms": ["HS256"]}},
    "api": {"keys": [KEY]},
}


@pytest.fixture(scope="module")
def guarded(module_servers: Servers) -> Server:
    """A server that wants tokens, and has a key for backends."""
    return module_servers.serve(CONFIG)


async def revoke(server: Server, key: str = KEY, **body: Any) -> httpx.Response:
    """Ask for it."""
    async with httpx.AsyncClient(base_url=server.url, trust_env=False) as client:
        return await client.post("/api/tokens/revoke", json=body, headers={"Authorization": f"Bearer {key}"})


async def test_a_user(guarded: Server, node: Node):
    """A revoked user's clients are sent away at once, cannot come back, and nobody else notices."""
    user, other = unique("ada"), unique("bob")
    given = token(user)
    tabs = [await node.connect(guarded.url, auth={"token": given}) for _ in range(2)]
    witness = await node.connect(guarded.url, auth={"token": token(other)})
    answer = await revoke(guarded, user=user)
    assert (answer.status_code, answer.json()) == (200, {"revoked": 2})
    for tab in tabs:
        farewell = check_event("disconnecting_by_server", await tab.next("disconnecting_by_server"))
        assert (farewell["reason"], farewell["reconnect"]) == ("token_revoked", False)
        assert await tab.until_disconnected() == "io server disconnect"
    again = node.open(guarded.url, auth={"token": given})
    refused = await again.until_refused()
    check_connect_error(refused.message, refused.data, "token_revoked", reconnect=False)
    await witness.none("disconnecting_by_server")


@pytest.mark.parametrize(
    "until", [lambda now: now - 60, lambda now: datetime.fromtimestamp(now - 60, UTC).isoformat()]
)
async def test_issued_before(guarded: Server, node: Node, until: Any):
    """Tokens that were issued later than the time that is named go on, in whichever way it is written."""
    user = unique("ada")
    client = await node.connect(guarded.url, auth={"token": token(user)})
    assert (await revoke(guarded, user=user, issued_before=until(time.time()))).json() == {"revoked": 0}
    await client.none("disconnecting_by_server")


async def test_a_restart(servers: Servers, node: Node):
    """A token that was revoked stays revoked when the server is killed and started again."""
    user = unique("ada")
    server, before = servers.serve(CONFIG), token(user)
    assert (await revoke(server, user=user)).status_code == 200
    server.kill()
    server = servers.start(Server(server.argv, server.cwd, server.port))
    refused = await node.open(server.url, auth={"token": before}).until_refused()
    assert refused.message == "token_revoked"
    assert await node.connect(server.url, auth={"token": token(unique("bob"))})


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "user, jti or issued_before"),
        ({"user": ""}, "user"),
        ({"user": 7}, "user"),
        ({"issued_before": "yesterday"}, "issued_before"),
        ({"issued_before": [1]}, "issued_before"),
        ({"user": "a", "until": 1}, "until"),
    ],
)
async def test_bad_requests(guarded: Server, body: dict[str, Any], said: str):
    """What names nothing, or cannot be understood, is ``bad_request`` that says what was wrong, and revokes nothing."""
    answer = await revoke(guarded, **body)
    assert answer.status_code == 400
    assert answer.json()["error"]["reason"] == "bad_request"
    assert said in answer.json()["error"]["message"]


async def test_without_the_key(guarded: Server):
    """Nobody without a key of ``api.keys`` may revoke anything."""
    answer = await revoke(guarded, key="another", user=unique("ada"))
    assert (answer.status_code, answer.json()["error"]["reason"]) == (401, "unauthorized")


async def test_one_token(guarded: Server, node: Node):
    """One token is called back by its ``jti``; the user's others are good."""
    user, jti = unique("ada"), unique("jti")
    one = await node.connect(guarded.url, auth={"token": token(user, jti=jti)})
    two = await node.connect(guarded.url, auth={"token": token(user, jti=unique("jti"))})
    assert (await revoke(guarded, jti=jti)).json() == {"revoked": 1}
    await one.until_disconnected()
    await two.none("disconnecting_by_server")
