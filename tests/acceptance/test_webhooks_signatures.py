"""Signatures by Standard Webhooks 1.0.0, verified by the reference packages (CONTRACT section 7).

Every receiver of these tests verifies every request by the Python package; here is what goes beyond.
"""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
import time

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from .harness.node_client import HERE, Driver, Node
from .harness.receiver import OTHER_SECRET, SECRET, Answer, Receiver, Receivers, Request
from .harness.server import Server, Servers
from .harness.webhooks import hooked, restarted, said


@pytest.fixture(scope="module")
def singles(module_receivers: Receivers) -> Receiver:
    """Takes one event per request, signed with two secrets."""
    return module_receivers.open([SECRET, OTHER_SECRET])


@pytest.fixture(scope="module")
def batches(module_receivers: Receivers) -> Receiver:
    """Takes batches, signed with one secret that came from a file."""
    return module_receivers.open([SECRET])


@pytest.fixture(scope="module")
def server(singles: Receiver, batches: Receiver, module_servers: Servers) -> Server:
    """A server with both targets."""
    where = module_servers.directory()
    (where / "secrets.txt").write_text(SECRET + "\n")
    batching = batches.target("batches", batch={}, secrets_file=str(where / "secrets.txt"))
    del batching["secrets"]
    return module_servers.serve(hooked(singles.target("singles"), batching), cwd=where)


@pytest.fixture
async def requests(
    singles: Receiver, batches: Receiver, server: Server, node: Node
) -> dict[str, list[Request]]:
    """What both targets got about a conversation."""
    ada = await node.connect(server.url)
    for text in ("plain", "ünïcödé ☃ 😀", "\u2028 <b>", "x" * 5000):
        await said(ada, None, text, data={"what": text})
    for receiver in (singles, batches):
        await receiver.event("message-broadcast", message="x" * 5000)
    return {"singles": singles.attempts(), "batches": batches.attempts()}


def signatures(request: Request) -> list[str]:
    """The entries of `webhook-signature`."""
    return request.headers["webhook-signature"].split(" ")


def verifies(request: Request, secret: str, entry: str) -> bool:
    """Whether one entry alone convinces the reference package."""
    try:
        Webhook(secret).verify(request.body, {**request.headers, "webhook-signature": entry})
    except WebhookVerificationError:
        return False
    return True


def test_one_entry_per_secret(requests: dict[str, list[Request]]):
    """There is one signature for each secret, in their order."""
    for request in requests["singles"]:
        first, second = signatures(request)
        assert (verifies(request, SECRET, first), verifies(request, OTHER_SECRET, second)) == (True, True)
        assert (verifies(request, SECRET, second), verifies(request, OTHER_SECRET, first)) == (False, False)
    for request in requests["batches"]:
        (only,) = signatures(request)
        assert verifies(request, SECRET, only)
        assert not verifies(request, OTHER_SECRET, only)


def test_what_is_signed(requests: dict[str, list[Request]]):
    """Nobody can change the body, the id or the time."""
    request = requests["singles"][-1]
    for name, value in (("webhook-id", request.id + "x"), ("webhook-timestamp", str(int(time.time()) - 60))):
        with pytest.raises(WebhookVerificationError):
            Webhook(SECRET).verify(request.body, {**request.headers, name: value})
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(request.body + b" ", request.headers)


@pytest.mark.parametrize("how", ["singles", "batches"])
def test_node(driver: Driver, requests: dict[str, list[Request]], how: str):
    """The package on npm verifies every request, and reads the same out of it."""
    sent = [
        {"headers": request.headers, "body": base64.b64encode(request.body).decode()}
        for request in requests[how]
    ]
    done = subprocess.run(
        ["node", "verify.mjs"],
        cwd=HERE,
        input=json.dumps({"secret": SECRET, "requests": sent}),
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=True,
    )
    verdicts = json.loads(done.stdout)
    assert verdicts == [{"payload": request.payload} for request in requests[how]]


async def test_without_a_secret(receiver: Receiver, servers: Servers):
    """A target without a secret gets its events unsigned."""
    receiver.secrets = []
    target = receiver.target()
    del target["secrets"]
    servers.serve(hooked(target))
    await receiver.event("server-status")
    assert "webhook-signature" not in receiver.attempts()[0].headers


def tried(receiver: Receiver, text: str) -> list[Request]:
    """The attempts to deliver what was said."""
    return [request for request in receiver.attempts() if request.payload["data"].get("message") == text]


async def test_rotation(receiver: Receiver, servers: Servers, node: Node):
    """A secret is rotated over restarts and nothing is lost: what is pending is signed with what is active then."""
    lives = ([SECRET], [OTHER_SECRET, SECRET], [OTHER_SECRET])
    server: Server | None = None
    for number, secrets in enumerate(lives):
        receiver.secrets = list(secrets)
        config = hooked(receiver.target(events=["message-broadcast"]))
        if server is None:
            server = servers.serve(config)
        else:
            server = restarted(servers, server, config)
            receiver.always(Answer())
            await receiver.event("message-broadcast", message=str(number - 1))
        receiver.always(Answer(500))
        ada = await node.connect(server.url)
        await said(ada, None, str(number))
        await receiver.until(lambda text=str(number): tried(receiver, text), "an attempt")
        await asyncio.to_thread(server.stop)
    signed = {len(signatures(request)) for request in receiver.acknowledged()}
    assert signed == {1, 2}
