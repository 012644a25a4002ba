"""Batches: several events in one POST (CONTRACT section 7)."""

from __future__ import annotations

import asyncio
from collections import defaultdict

import pytest

from .harness.node_client import Node
from .harness.receiver import CLOSE, QUICK, Answer, Receiver, Receivers
from .harness.server import Server, Servers
from .harness.shapes import check_timestamp, unique
from .harness.webhooks import check_rising, check_webhook, hooked, restarted, said

BATCH = {"max_events": 10, "max_wait": "100ms"}


@pytest.fixture(scope="module")
def audit(module_receivers: Receivers) -> Receiver:
    """Gets every event of `batched`."""
    return module_receivers.open()


@pytest.fixture(scope="module")
def batched(audit: Receiver, module_servers: Servers) -> Server:
    """A server whose one target takes ten events at once."""
    return module_servers.serve(hooked(audit.target(batch=BATCH)))


async def burst(receiver: Receiver, server: Server, node: Node, count: int) -> list[str]:
    """The ids of the events about `count` messages, once they are delivered."""
    prefix = unique("burst") + " "
    ada = await node.connect(server.url, auth={"client_id": unique("ada")})
    ada.burst("chat", count, prefix=prefix)

    def told() -> list[str]:
        found = receiver.find("message-broadcast")
        return [event.id for event in found if event.data["message"].startswith(prefix)]

    await receiver.until(lambda: len(told()) == count, "the burst")
    return told()


def check_contents(receiver: Receiver) -> None:
    """Whatever attempt it was, a batch of one id has the same events, and an event is in one batch only."""
    batches: dict[str, list[str]] = {}
    homes: defaultdict[str, set[str]] = defaultdict(set)
    for request in receiver.attempts():
        ids = [event.id for event in request.events]
        assert batches.setdefault(request.id, ids) == ids
        for one in ids:
            homes[one].add(request.id)
    assert {event: where for event, where in homes.items() if len(where) > 1} == {}


async def test_full_batches(audit: Receiver, batched: Server, node: Node):
    """Many events come in few requests, none with more than max_events, in their order, each as it has to be."""
    before = len(audit.attempts())
    ids = await burst(audit, batched, node, 95)
    requests = audit.attempts()[before:]
    assert max(len(request.events) for request in requests) == 10
    assert len(requests) < 40
    for request in requests:
        payload = request.payload
        assert payload["type"] == "batch"
        check_timestamp(payload["timestamp"])
        assert set(payload["data"]) == {"events"}
        for event in request.events:
            check_webhook(event)
    check_rising([event for event in audit.distinct() if event.id in ids], "the burst")


async def test_a_lonely_event(audit: Receiver, batched: Server, node: Node):
    """An event that no other follows is sent when max_wait is over, in a batch of its own."""
    ada = await node.connect(batched.url, auth={"client_id": unique("ada")})
    await audit.event("client-connected", sid=ada.sid)
    text = unique("alone")
    await said(ada, None, text)
    await audit.event("message-broadcast", message=text)
    request = audit.acknowledged()[-1]
    assert request.payload["type"] == "batch"
    assert [event.data.get("message") for event in request.events] == [text]


@pytest.mark.parametrize("failure", [Answer(500), CLOSE], ids=["500", "cut"])
async def test_the_same_over_all_attempts(audit: Receiver, batched: Server, node: Node, failure: Answer):
    """A batch that failed is tried again with the same id and the same events, whatever happened since."""
    audit.next(*[failure] * 6)
    await burst(audit, batched, node, 45)
    await burst(audit, batched, node, 45)
    check_contents(audit)


async def test_the_same_after_a_crash(receiver: Receiver, servers: Servers, node: Node):
    """A batch that was tried before a crash is tried after it with the same id and the same events."""
    receiver.always(Answer(500))
    config = hooked(receiver.target(batch=BATCH, retry=QUICK, concurrency=2))
    server = servers.serve(config)
    ada = await node.connect(server.url, auth={"client_id": "ada"})
    for number in range(40):
        await said(ada, None, str(number))
    await receiver.until(lambda: len(receiver.attempts()) >= 4, "attempts")
    before = {request.id for request in receiver.attempts()}
    await asyncio.to_thread(server.kill)
    restarted(servers, server, config)
    receiver.always(Answer())
    await receiver.take(40, "message-broadcast")
    await receiver.until(
        lambda: before <= {request.id for request in receiver.acknowledged()},
        "what was tried before the crash",
    )
    check_contents(receiver)
    texts = [event.data["message"] for event in receiver.find("message-broadcast")]
    assert texts == [str(number) for number in range(40)]
