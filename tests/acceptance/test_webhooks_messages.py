"""Webhooks about what was said: message-broadcast (CONTRACT section 7)."""

from __future__ import annotations

import pytest

from .harness.node_client import Node, NodeClient
from .harness.receiver import Receiver, Receivers
from .harness.server import Server, Servers
from .harness.shapes import check_ack, check_refusal, unique
from .harness.webhooks import check_rising, check_webhook, hooked


@pytest.fixture(scope="module")
def audit(module_receivers: Receivers) -> Receiver:
    """Gets every event of `audited`."""
    return module_receivers.open()


@pytest.fixture(scope="module")
def audited(audit: Receiver, module_servers: Servers) -> Server:
    """A server with one target, and rooms where only members may talk."""
    rooms = [{"match": "closed-*", "publish": "members"}]
    return module_servers.serve(hooked(audit.target()) | {"rooms": rooms})


@pytest.fixture
async def ada(audited: Server, node: Node) -> NodeClient:
    """Somebody to talk."""
    return await node.connect(audited.url, auth={"client_id": unique("ada")})


@pytest.mark.parametrize("event", ["chat", "broadcast"])
@pytest.mark.parametrize("everybody", [False, True], ids=["room", "everybody"])
async def test_what_was_said(audit: Receiver, ada: NodeClient, event: str, everybody: bool):
    """A chat or broadcast, in a room or to everybody, is told of with the id, offset and timestamp of its ack."""
    room = None if everybody else unique("lobby")
    to = {} if room is None else {"room": room}
    if room is not None:
        check_ack("join", await ada.emit("join", to))
    text, data = unique("hällo ☃ </script>"), {"nested": [1, None, {"ünïcode": "😀"}]}
    ack = check_ack(event, await ada.emit(event, {"message": text, "data": data, **to}))
    told = check_webhook(await audit.event("message-broadcast", message=text))
    sender = (await audit.event("client-connected", sid=ada.sid)).data["client_id"]
    assert (told["room"], told["sender"], told["data"]) == (room, sender, data)
    for same in ("id", "offset", "timestamp"):
        assert told[same] == ack[same], same


async def test_without_data(audit: Receiver, ada: NodeClient):
    """A message without data has null there."""
    text = unique("hi")
    check_ack("chat", await ada.emit("chat", {"message": text}))
    assert check_webhook(await audit.event("message-broadcast", message=text))["data"] is None


async def test_plain_text(audit: Receiver, ada: NodeClient):
    """Text that `socket.send` sends is a broadcast, and told of like one."""
    text = unique("plain text")
    check_ack("broadcast", await ada.emit("message", text))
    assert check_webhook(await audit.event("message-broadcast", message=text))["room"] is None


async def test_binary(audit: Receiver, ada: NodeClient):
    """A message with binary data is told of, too."""
    text = unique("binary")
    ack = check_ack("chat", await ada.emit("chat", {"message": text, "data": {"blob": b"\x00\xff"}}))
    told = check_webhook(await audit.event("message-broadcast", message=text))
    assert told["id"] == ack["id"]


async def test_nobody_else_there(audit: Receiver, ada: NodeClient):
    """What was said to nobody but oneself, without an echo, was said."""
    text, room = unique("hi"), unique("lobby")
    check_ack("join", await ada.emit("join", {"room": room}))
    check_ack("chat", await ada.emit("chat", {"message": text, "room": room, "echo": False}))
    await audit.event("message-broadcast", message=text, room=room)


async def test_without_an_ack(audit: Receiver, ada: NodeClient):
    """Who asks for no ack is heard all the same, every message once and in order."""
    prefix = unique("burst") + " "
    ada.burst("chat", 200, prefix=prefix)

    def burst():
        return [e for e in audit.find("message-broadcast") if e.data["message"].startswith(prefix)]

    await audit.until(lambda: len(burst()) == 200, "the burst")
    events = burst()
    check_rising(events, "the burst")
    assert [event.data["message"] for event in events] == [f"{prefix}{number}" for number in range(200)]
    offsets = [event.data["offset"] for event in events]
    assert offsets == list(range(offsets[0], offsets[0] + 200))
    assert len({event.data["id"] for event in events}) == 200


async def test_what_is_not_told(audit: Receiver, audited: Server, node: Node, ada: NodeClient):
    """What is private, typed, asked or refused is nobody's business."""
    who, room, text = unique("bob"), unique("closed"), unique("psst")
    await node.connect(audited.url, auth={"client_id": who})
    check_ack("private", await ada.emit("private", {"to": who, "message": text}))
    check_refusal(await ada.emit("chat", {"room": room, "message": text}), "not_a_member")
    check_refusal(await ada.emit("chat", {"message": text, "bogus": 1}), "bad_request")
    check_ack("join", await ada.emit("join", {"room": room}))
    check_ack("typing", await ada.emit("typing", {"room": room, "is_typing": True}))
    check_ack("ping", await ada.emit("ping", {}))
    last = unique("last")
    check_ack("chat", await ada.emit("chat", {"room": room, "message": last}))
    await audit.event("message-broadcast", message=last)
    assert not audit.find("message-broadcast", message=text)
    assert [event.type for event in audit.find(room=room)] == [
        "room-occupied",
        "room-joined",
        "message-broadcast",
    ]
