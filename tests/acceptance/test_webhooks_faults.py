"""Receivers that refuse, reset, hang, trickle, answer 10 MB, or show another certificate (CONTRACT section 7)."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest

from .harness.certificates import Authority
from .harness.node_client import Node, until
from .harness.receiver import CLOSE, HANG, OK, QUICK, RESET, Answer, Receiver, Receivers
from .harness.server import Server, Servers
from .harness.shapes import unique
from .harness.webhooks import deliveries, hooked, said

HUGE = b"x" * 10_000_000

TARGETS = {
    "faulty": {"timeout": "400ms"},
    "down": {"timeout": "400ms"},
    "sound": {},
}


@pytest.fixture(scope="module")
def targets(module_receivers: Receivers) -> dict[str, Receiver]:
    """A receiver for each target."""
    return {name: module_receivers.open() for name in TARGETS}


@pytest.fixture(scope="module")
def server(targets: dict[str, Receiver], module_servers: Servers) -> Server:
    """A server whose targets all want what is said."""
    entries = [
        targets[name].target(name, events=["message-broadcast"], **more) for name, more in TARGETS.items()
    ]
    return module_servers.serve(hooked(*entries))


async def say(node: Node, server: Server, count: int = 1) -> list[str]:
    """Somebody new says something in so many new rooms; what was said."""
    ada = await node.connect(server.url, auth={"client_id": unique("ada")})
    texts = [unique("text") for _ in range(count)]
    for text in texts:
        await said(ada, None, text)
    return texts


async def until_failed(server: Server, target: str) -> None:
    """Wait until an attempt to deliver to the target has failed."""

    async def ask() -> list[int]:
        return [
            delivery["attempts"] for delivery in deliveries(server, "--target", target, "--state", "pending")
        ]

    await until(ask, lambda counts: any(count > 0 for count in counts))


@pytest.mark.parametrize(
    "fault",
    [
        RESET,
        CLOSE,
        HANG,
        Answer(trickle=0.1),
        Answer(after=2),
        Answer(500, body=HUGE),
        Answer(500, {"Content-Length": "100000000"}, body=b"x"),
        Answer(200, {"Content-Length": "nonsense"}),
        Answer(999),
    ],
    ids=["reset", "cut", "hang", "trickle", "slow", "10MB", "unending", "nonsense", "999"],
)
async def test_a_fault(targets: dict[str, Receiver], server: Server, node: Node, fault: Answer):
    """Whatever a receiver does instead of a timely, proper 2xx, the event comes again until it is acknowledged."""
    faulty = targets["faulty"]
    faulty.next(fault, fault)
    (text,) = await say(node, server)

    def attempts() -> list[int | None]:
        return [r.status for r in faulty.attempts() if r.payload["data"]["message"] == text]

    await faulty.until(lambda: len(attempts()) == 3 and attempts()[2] == 200, "the third attempt")
    await targets["sound"].event("message-broadcast", message=text)


async def test_ten_megabytes(targets: dict[str, Receiver], server: Server, node: Node):
    """A 2xx acknowledges, however much comes behind it, and what comes next is delivered."""
    faulty = targets["faulty"]
    faulty.next(*[Answer(200, body=HUGE)] * 5)
    texts = await say(node, server, 20)
    for text in texts:
        await faulty.event("message-broadcast", message=text)
    counts = [sum(event.data["message"] == text for event in faulty.events()) for text in texts]
    assert counts == [1] * 20


async def test_down(targets: dict[str, Receiver], server: Server, node: Node):
    """What happens while a target is down is delivered when it is up again, in order."""
    down = targets["down"]
    down.refuse()
    texts = await say(node, server, 20)
    await until_failed(server, "down")
    down.accept()
    await down.event("message-broadcast", message=texts[-1])
    assert [e.data["message"] for e in down.find("message-broadcast") if e.data["message"] in texts] == texts


@pytest.mark.parametrize("how", ["down", "hangs"])
async def test_others_go_on(targets: dict[str, Receiver], server: Server, node: Node, how: str):
    """A target that is down or hangs delays no other: it has everything while that one has nothing."""
    broken = targets["down"]
    broken.always(HANG)
    if how == "down":
        broken.refuse()
    texts = [text for _ in range(5) for text in await say(node, server, 20)]
    for text in texts:
        await targets["sound"].event("message-broadcast", message=text)
    assert not {event.data["message"] for event in broken.find()} & set(texts)
    broken.always(OK)
    broken.accept()
    for text in texts:
        await broken.event("message-broadcast", message=text)


async def test_keep_alive(receiver: Receiver, servers: Servers, node: Node):
    """A receiver that closes every connection behind its answer gets every event once all the same."""
    receiver.always(Answer(headers={"Connection": "close"}))
    server = servers.serve(hooked(receiver.target(events=["message-broadcast"])))
    texts = await say(node, server, 30)
    await receiver.take(30, "message-broadcast")
    assert [event.data["message"] for event in receiver.events()] == texts


async def test_certificates(receivers: Receivers, servers: Servers, node: Node, tmp_path: Path):
    """Https is verified; a receiver whose certificate nobody vouches for gets nothing until it has a good one."""
    ours, stranger = Authority(tmp_path, "ours"), Authority(tmp_path, "stranger")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.certify(context)
    receiver = receivers.open(tls=context)
    target = receiver.target("secure", events=["message-broadcast"], retry=QUICK)
    server = servers.serve(hooked(target), env={"SSL_CERT_FILE": str(ours.file)})
    (before,) = await say(node, server)
    await receiver.event("message-broadcast", message=before)
    for authority, address in ((stranger, "127.0.0.1"), (ours, "127.0.0.2")):
        authority.certify(context, address)
        receiver.drop()
        (meanwhile,) = await say(node, server)
        await until_failed(server, "secure")
        assert not receiver.find(message=meanwhile)
        ours.certify(context)
        await receiver.event("message-broadcast", message=meanwhile)
    texts = await say(node, server, 5)
    await asyncio.gather(*(receiver.event("message-broadcast", message=text) for text in texts))
