"""What an answer means: delivered, tried again, dead, paused, never redirected (CONTRACT section 7)."""

from __future__ import annotations

import asyncio
from email.utils import formatdate
from time import monotonic, time

import pytest

from .harness.node_client import Node, NodeClient
from .harness.receiver import QUICK, Answer, Receiver, Receivers, Request
from .harness.server import Server, Servers
from .harness.shapes import check_ack, unique
from .harness.webhooks import hooked, said, until_listed

DYING = [0.2, 0.4]
"""The waits of the target `dying`."""
PAUSE = 0.6
"""The first wait of the target `pausing`."""

TARGETS = {
    "judging": {"retry": QUICK},
    "dying": {"retry": {"schedule": [f"{int(wait * 1000)}ms" for wait in DYING], "jitter": 0}},
    "once": {"retry": {"schedule": [], "jitter": 0}},
    "pausing": {"retry": {"schedule": [f"{int(PAUSE * 1000)}ms", *["100ms"] * 50], "jitter": 0}},
    "patient": {"retry": {"schedule": ["30s"], "jitter": 0}},
    "redirected": {"retry": QUICK},
}
"""Each target wants what is said in the rooms that begin with its name."""


@pytest.fixture(scope="module")
def targets(module_receivers: Receivers) -> dict[str, Receiver]:
    """A receiver for each target."""
    return {name: module_receivers.open() for name in TARGETS}


@pytest.fixture(scope="module")
def server(targets: dict[str, Receiver], module_servers: Servers) -> Server:
    """A server with all of them."""
    entries = [
        targets[name].target(name, events=["message-broadcast"], rooms=[f"{name}-*"], **more)
        for name, more in TARGETS.items()
    ]
    return module_servers.serve(hooked(*entries))


async def member(node: Node, server: Server, room: str) -> NodeClient:
    """Somebody else, in the room."""
    return await node.member(server.url, room, unique("ada"))


async def say(node: Node, server: Server, target: str) -> str:
    """Somebody new says something in a new room of that target; what was said."""
    room, text = unique(target), unique("text")
    await said(await member(node, server, room), room, text)
    return text


def attempts(receiver: Receiver, text: str) -> list[Request]:
    """The attempts to deliver what was said."""
    return [request for request in receiver.attempts() if request.payload["data"]["message"] == text]


async def until_answered(receiver: Receiver, text: str, count: int = 1) -> list[Request]:
    """The attempts to deliver it, as soon as so many were answered."""

    def answered() -> list[Request]:
        found = [request for request in attempts(receiver, text) if request.status is not None]
        return found if len(found) >= count else []

    return list(await receiver.until(answered, f"{count} attempts to deliver {text}"))


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_delivered(targets: dict[str, Receiver], server: Server, node: Node, status: int):
    """Every 2xx acknowledges: it is the last attempt."""
    receiver = targets["judging"]
    receiver.next(Answer(status))
    text = await say(node, server, "judging")
    await receiver.event("message-broadcast", message=text)
    await receiver.event("message-broadcast", message=await say(node, server, "judging"))
    assert len(attempts(receiver, text)) == 1


@pytest.mark.parametrize(
    "status", [300, 301, 302, 304, 307, 400, 401, 403, 404, 405, 408, 409, 422, 451, 500, 501, 502, 504, 599]
)
async def test_tried_again(targets: dict[str, Receiver], server: Server, node: Node, status: int):
    """Whatever else a target answers, 4xx like 5xx: the event is sent again, with the same id and content."""
    receiver = targets["judging"]
    receiver.next(Answer(status), Answer(status))
    text = await say(node, server, "judging")
    await receiver.event("message-broadcast", message=text)
    tries = attempts(receiver, text)
    assert [request.status for request in tries] == [status, status, 200]
    assert len({(request.id, request.body) for request in tries}) == 1
    stamps = [int(request.headers["webhook-timestamp"]) for request in tries]
    assert stamps == sorted(stamps)


async def test_the_schedule(targets: dict[str, Receiver], server: Server, node: Node):
    """A delivery that fails is tried after each wait of the schedule, and then dead, which the list shows."""
    receiver = targets["dying"]
    receiver.always(Answer(500))
    text = await say(node, server, "dying")
    tries = await until_answered(receiver, text, 3)
    for earlier, later, wait in zip(tries[:-1], tries[1:], DYING, strict=True):
        assert later.begun - earlier.begun >= wait * 0.95
    (dead,) = await until_listed(server, 1, "--target", "dying", "--state", "dead")
    assert (dead["type"], dead["target"], dead["state"]) == ("message-broadcast", "dying", "dead")
    assert dead["attempts"] == 3
    assert tries[0].id in dead["id"]
    await asyncio.sleep(0.5)
    assert len(attempts(receiver, text)) == 3
    receiver.always(Answer())


async def test_after_a_dead_one(targets: dict[str, Receiver], server: Server, node: Node):
    """What comes after a dead delivery in the same room is delivered."""
    receiver = targets["dying"]
    room = unique("dying")
    ada = await member(node, server, room)
    texts = [unique("text") for _ in range(3)]
    receiver.always(lambda request: Answer(500 if texts[0].encode() in request.body else 200))
    for text in texts:
        await said(ada, room, text)
    await receiver.event("message-broadcast", message=texts[2])
    assert [len(attempts(receiver, text)) for text in texts] == [3, 1, 1]
    assert attempts(receiver, texts[1])[0].begun > attempts(receiver, texts[0])[-1].begun
    receiver.always(Answer())


async def test_an_empty_schedule(targets: dict[str, Receiver], server: Server, node: Node):
    """With an empty schedule there is one attempt."""
    receiver = targets["once"]
    receiver.next(Answer(500))
    text = await say(node, server, "once")
    (dead,) = await until_listed(server, 1, "--target", "once", "--state", "dead")
    assert dead["attempts"] == 1
    await receiver.event("message-broadcast", message=await say(node, server, "once"))
    assert len(attempts(receiver, text)) == 1


@pytest.mark.parametrize(
    ("status", "header", "wait"),
    [
        (429, None, PAUSE),
        (503, None, PAUSE),
        (429, "1", 1.0),
        (503, "1", 1.0),
        (500, "1", 1.0),
        (404, "1", 1.0),
        (503, "a date", 1.0),
        (503, "soon", PAUSE),
    ],
)
async def test_a_pause(
    targets: dict[str, Receiver], server: Server, node: Node, status: int, header: str | None, wait: float
):
    """429, 503 and Retry-After pause the whole target: for that time it gets nothing, whatever the room."""
    receiver = targets["pausing"]
    if header == "a date":
        header = formatdate(time() + 3, usegmt=True)  # in whole seconds
    receiver.next(Answer(status, {} if header is None else {"Retry-After": header}))
    first = await say(node, server, "pausing")
    (refused,) = await until_answered(receiver, first)
    begun = monotonic()
    others = [await say(node, server, "pausing") for _ in range(3)]
    for text in (first, *others):
        await receiver.event("message-broadcast", message=text)
    assert attempts(receiver, first)[0] is refused
    for request in (attempts(receiver, first)[1], *(attempts(receiver, text)[0] for text in others)):
        assert request.begun - begun >= wait * 0.9


async def test_no_pause(targets: dict[str, Receiver], server: Server, node: Node):
    """While one event waits for its next attempt after a 500, those of other rooms and clients are delivered."""
    receiver = targets["patient"]
    receiver.next(Answer(500))
    waiting = await say(node, server, "patient")
    await until_answered(receiver, waiting)
    for _ in range(5):
        await receiver.event("message-broadcast", message=await say(node, server, "patient"))
    assert len(attempts(receiver, waiting)) == 1
    (pending,) = await until_listed(server, 1, "--target", "patient", "--state", "pending")
    assert pending["attempts"] == 1


async def test_order_waits(targets: dict[str, Receiver], server: Server, node: Node):
    """While one event waits for its next attempt, nothing later of the same room or client is sent."""
    receiver = targets["patient"]
    room, other_room = unique("patient"), unique("patient")
    ada, bob = await member(node, server, room), await member(node, server, room)
    check_ack("join", await ada.emit("join", {"room": other_room}))
    receiver.next(Answer(500))
    waiting = unique("text")
    await said(ada, room, waiting)
    await until_answered(receiver, waiting)
    behind = [unique("text"), unique("text")]
    await said(bob, room, behind[0])
    await said(ada, other_room, behind[1])
    await receiver.event("message-broadcast", message=await say(node, server, "patient"))
    await asyncio.sleep(0.3)
    assert [attempts(receiver, text) for text in behind] == [[], []]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects(
    targets: dict[str, Receiver], receiver: Receiver, server: Server, node: Node, status: int
):
    """A redirect is never followed: it is a failure like others."""
    redirected = targets["redirected"]
    redirected.next(Answer(status, {"Location": receiver.url}))
    text = await say(node, server, "redirected")
    await redirected.event("message-broadcast", message=text)
    assert [request.status for request in attempts(redirected, text)] == [status, 200]
    assert receiver.attempts() == []
