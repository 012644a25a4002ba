"""Binary in `data`, in both directions and over every transport."""

from __future__ import annotations

import os

import pytest

from .harness.node_client import Node
from .harness.server import Server
from .harness.shapes import check_ack, check_event, check_refusal, unique

SAMPLES = {
    "bytes": b"\x00\x01\xfe\xff",
    "empty": b"",
    "looks like packets": b"4\x1e42[]\x1eb",
    "nested": {"name": "a.png", "parts": [b"one", {"two": b"\x00" * 300}], "n": 1},
    "placeholder beside": {"a": b"x", "b": {"_placeholder": False, "num": 0}},
    "large": os.urandom(20_000),
}


@pytest.mark.parametrize("data", SAMPLES.values(), ids=SAMPLES)
@pytest.mark.parametrize("event", ["chat", "broadcast"])
async def test_a_mixed_room(server: Server, node: Node, transports: str, event: str, data: object):
    """Bytes sent over any transport arrive as they were on all transports of one room, and the text after them."""
    room = unique("mixed")
    receivers = [
        await node.member(server.url, room, unique(kind), transports=kind)
        for kind in ("websocket", "polling")
    ]
    receivers.append(await node.member(server.url, room, unique("up"), transports="upgrade"))
    sender = await node.member(server.url, room, unique("s"), transports=transports)
    ack = check_ack(event, await sender.emit(event, {"room": room, "message": "file", "data": data}))
    check_ack(event, await sender.emit(event, {"room": room, "message": "after"}))
    for client in (*receivers, sender):
        got, after = [check_event(event, payload) for payload in await client.take(event, 2)]
        assert got["data"] == data
        assert (got["id"], got["message"]) == (ack["id"], "file")
        assert after["message"] == "after"
        assert "data" not in after
        assert client.connected


async def test_private(server: Server, node: Node, transports: str):
    """`private` carries bytes, too."""
    to = unique("bob")
    tabs = [
        await node.connect(server.url, transports=kind, auth={"client_id": to})
        for kind in ("websocket", "polling")
    ]
    sender = await node.connect(server.url, transports=transports)
    data = {"key": b"\x00\xff", "more": [b"", b"x"]}
    ack = check_ack("private", await sender.emit("private", {"to": to, "message": "key", "data": data}))
    assert ack["delivered"] == 2
    for tab in tabs:
        assert check_event("private", await tab.next("private"))["data"] == data


async def test_through_message(server: Server, node: Node, transports: str):
    """Bytes pass through `message`, too."""
    room = unique("lobby")
    client = await node.member(server.url, room, unique("a"), transports=transports)
    payload = {"message_type": "chat", "room": room, "message": "m", "data": b"\x01\x02"}
    check_ack("chat", await client.emit("message", payload))
    assert (await client.next("chat"))["data"] == b"\x01\x02"


async def test_many_in_order(server: Server, node: Node, transports: str):
    """Binary and text keep their order, also when they come thick and fast."""
    room = unique("lobby")
    receivers = [
        await node.member(server.url, room, unique(kind), transports=kind)
        for kind in ("websocket", "polling")
    ]
    sender = await node.member(server.url, room, unique("s"), transports=transports)
    for number in range(100):
        data = {"data": os.urandom(50)} if number % 2 else {}
        sender.send("chat", {"room": room, "message": str(number), **data})
    for receiver in receivers:
        got = await receiver.take("chat", 100)
        assert [payload["message"] for payload in got] == [str(n) for n in range(100)]
        assert all(("data" in payload) == bool(number % 2) for number, payload in enumerate(got))


@pytest.mark.parametrize(
    ("event", "payload", "field"),
    [
        ("chat", {"message": b"\x00"}, "message"),
        ("broadcast", {"message": b"\x00"}, "message"),
        ("join", {"room": b"\x00"}, "room"),
        ("private", {"to": b"\x00", "message": "x"}, "to"),
        ("typing", {"room": "x", "is_typing": b"\x01"}, "is_typing"),
    ],
)
async def test_only_in_data(
    server: Server, node: Node, transports: str, event: str, payload: dict, field: str
):
    """Bytes where text belongs are a bad_request that names the field."""
    client = await node.connect(server.url, transports=transports)
    check_refusal(await client.emit(event, payload), "bad_request", field)
    await client.none("chat", "broadcast", "error")
