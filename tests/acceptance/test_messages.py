"""Messages: chat, broadcast, private; who gets them, in which order, numbered how (CONTRACT sections 4 and 5)."""

from __future__ import annotations

import asyncio

import pytest

from .harness.node_client import Node
from .harness.server import Server
from .harness.shapes import check_ack, check_event, check_refusal, unique

BOTH = pytest.mark.parametrize("event", ["chat", "broadcast"])


@BOTH
async def test_in_a_room(server: Server, node: Node, transports: str, event: str):
    """Members get a room's message, the sender among them, with the id, offset and timestamp of the ack."""
    room, who = unique("lobby"), unique("ada")
    ada = await node.connect(server.url, transports=transports, auth={"client_id": who, "name": "Ada"})
    check_ack("join", await ada.emit("join", {"room": room}))
    bob = await node.member(server.url, room, unique("bob"), transports=transports)
    outside = await node.connect(server.url)
    ack = check_ack(event, await ada.emit(event, {"room": room, "message": "h\u00e9llo \N{GRINNING FACE}"}))
    for client in (ada, bob):
        got = check_event(event, await client.next(event))
        assert got == {
            "id": ack["id"],
            "room": room,
            "sender": who,
            "username": "Ada",
            "message": "h\u00e9llo \N{GRINNING FACE}",
            "timestamp": ack["timestamp"],
            "offset": ack["offset"],
        }
        await client.none("chat", "broadcast")
    await outside.none("chat", "broadcast")
    if event == "broadcast":
        assert ack["recipients"] == 2


@BOTH
@pytest.mark.parametrize(
    "data", [{"a": [1, 2.5, {"b": None}], "c": "\u00fc"}, [1, "two"], "text", 7, 0, False, {}, []]
)
async def test_data(server: Server, node: Node, event: str, data: object):
    """`data` is any JSON and arrives as it was sent."""
    room = unique("lobby")
    ada = await node.member(server.url, room, unique("ada"))
    bob = await node.member(server.url, room, unique("bob"), transports="polling")
    check_ack(event, await ada.emit(event, {"room": room, "message": "with data", "data": data}))
    for client in (ada, bob):
        got = check_event(event, await client.next(event))
        assert got["data"] == data
        assert type(got["data"]) is type(data)


@BOTH
async def test_without_echo(server: Server, node: Node, event: str):
    """With echo false the sending client alone is left out, and not counted."""
    room, who = unique("lobby"), unique("ada")
    ada = await node.member(server.url, room, who)
    other_tab = await node.member(server.url, room, who)
    bob = await node.member(server.url, room, unique("bob"))
    ack = check_ack(event, await ada.emit(event, {"room": room, "message": "quiet", "echo": False}))
    assert (await bob.next(event))["id"] == ack["id"]
    assert (await other_tab.next(event))["id"] == ack["id"]
    await ada.none(event)
    if event == "broadcast":
        assert ack["recipients"] == 2
        assert (
            check_ack(event, await ada.emit(event, {"room": room, "message": "loud", "echo": True}))[
                "recipients"
            ]
            == 3
        )


@BOTH
async def test_to_everybody(serve, node: Node, event: str):
    """Without a room every client gets it, in a room or not; room is null and the stream has its own offsets."""
    server = serve()
    ada = await node.member(server.url, "lobby", "ada")
    bob = await node.connect(server.url, transports="polling", auth={"client_id": "bob"})
    eve = await node.connect(server.url, transports="upgrade", auth={"client_id": "eve"})
    in_room = check_ack(event, await ada.emit(event, {"room": "lobby", "message": "room"}))
    first = check_ack(event, await ada.emit(event, {"message": "all 1"}))
    in_room_again = check_ack(event, await ada.emit(event, {"room": "lobby", "message": "room"}))
    second = check_ack(event, await bob.emit(event, {"message": "all 2", "data": {"x": 1}}))
    quiet = check_ack(event, await ada.emit(event, {"message": "all 3", "echo": False}))
    assert in_room_again["offset"] == in_room["offset"] + 1
    assert second["offset"] == first["offset"] + 1
    assert quiet["offset"] == second["offset"] + 1
    for client in (bob, eve):
        got = [check_event(event, payload) for payload in await client.take(event, 3)]
        assert [(p["message"], p["room"], p["offset"]) for p in got] == [
            ("all 1", None, first["offset"]),
            ("all 2", None, second["offset"]),
            ("all 3", None, quiet["offset"]),
        ]
        assert [p["sender"] for p in got] == ["ada", "bob", "ada"]
    assert [p["message"] for p in await ada.take(event, 4)] == ["room", "all 1", "room", "all 2"]
    await ada.none(event)
    if event == "broadcast":
        assert (first["recipients"], second["recipients"], quiet["recipients"]) == (3, 3, 2)


async def test_one_stream_for_chat_and_broadcast(server: Server, node: Node):
    """Offsets rise by one per publication of a room, whichever event it is, and `join` tells the last."""
    room = unique("lobby")
    ada = await node.connect(server.url, auth={"client_id": unique("ada")})
    offset = check_ack("join", await ada.emit("join", {"room": room}))["offset"]
    for number in range(1, 7):
        event = "chat" if number % 2 else "broadcast"
        ack = check_ack(event, await ada.emit(event, {"room": room, "message": str(number)}))
        assert ack["offset"] == offset + number
    check_ack("typing", await ada.emit("typing", {"room": room, "is_typing": True}))
    bob = await node.connect(server.url)
    assert check_ack("join", await bob.emit("join", {"room": room}))["offset"] == offset + 6


async def test_recipients_count_clients(server: Server, node: Node):
    """`recipients` counts clients: three tabs of one member are three."""
    room, who = unique("lobby"), unique("bob")
    tabs = [await node.member(server.url, room, who) for _ in range(3)]
    ack = check_ack("broadcast", await tabs[0].emit("broadcast", {"room": room, "message": "to all tabs"}))
    assert ack["recipients"] == 3


async def test_private(server: Server, node: Node, transports: str):
    """Every client of that client_id gets `private`, and nobody else."""
    to, who = unique("bob"), unique("ada")
    ada = await node.connect(server.url, transports=transports, auth={"client_id": who, "name": "Ada"})
    tabs = [
        await node.connect(server.url, transports=kind, auth={"client_id": to})
        for kind in ("websocket", transports)
    ]
    eve = await node.connect(server.url)
    ack = check_ack("private", await ada.emit("private", {"to": to, "message": "psst", "data": {"n": 1}}))
    assert ack["delivered"] == 2
    for tab in tabs:
        got = check_event("private", await tab.next("private"))
        assert got == {
            "id": ack["id"],
            "sender": who,
            "username": "Ada",
            "to": to,
            "message": "psst",
            "data": {"n": 1},
            "timestamp": ack["timestamp"],
        }
        await tab.none("private")
    await ada.none("private")
    await eve.none("private")


async def test_private_to_oneself(server: Server, node: Node):
    """One's own client_id is a client_id like others."""
    who = unique("ada")
    ada = await node.connect(server.url, auth={"client_id": who})
    assert check_ack("private", await ada.emit("private", {"to": who, "message": "note"}))["delivered"] == 1
    assert "data" not in check_event("private", await ada.next("private"))


async def test_private_to_nobody(server: Server, node: Node):
    """A client_id that nobody has is not_found; a room or a sid is no client_id."""
    room = unique("lobby")
    ada = await node.member(server.url, room, unique("ada"))
    bob = await node.member(server.url, room, unique("bob"))
    for to in (unique("nobody"), room, bob.sid):
        check_refusal(await ada.emit("private", {"to": to, "message": "psst"}), "not_found")
    await bob.none("private")


async def test_ids_sort_by_time(server: Server, node: Node):
    """Ids are unique over all kinds of message, and sort in the order in which they were given."""
    who = unique("ada")
    ada = await node.member(server.url, room := unique("lobby"), who)
    bob = await node.member(server.url, room, unique("bob"))
    ids = []
    for number in range(60):
        sender = (ada, bob)[number % 2]
        for event, payload in (
            ("chat", {"room": room}),
            ("broadcast", {"room": room}),
            ("private", {"to": who}),
        ):
            ids.append(check_ack(event, await sender.emit(event, {**payload, "message": "x"}))["id"])
    assert len(set(ids)) == len(ids)
    assert ids == sorted(ids)


async def test_a_thousand_in_order(server: Server, node: Node, transports: str):
    """A thousand messages sent in a row arrive in that order, everywhere, without a gap."""
    room = unique("lobby")
    receivers = [
        await node.member(server.url, room, unique("r"), transports=kind) for kind in ("websocket", "polling")
    ]
    sender = await node.member(server.url, room, unique("s"), transports=transports)
    sender.burst("chat", 1000, room=room)
    for client in (*receivers, sender):
        got = await client.take("chat", 1000, timeout=20)
        assert [payload["message"] for payload in got] == [str(n) for n in range(1000)]
        assert [payload["offset"] for payload in got] == list(
            range(got[0]["offset"], got[0]["offset"] + 1000)
        )


async def test_acks_in_order(server: Server, node: Node, transports: str):
    """Requests of one client are worked on one after the other, and their effects show in order."""
    room = unique("lobby")
    client = await node.connect(server.url, transports=transports)
    futures = []
    for _ in range(50):
        futures += [
            client.start("join", {"room": room}),
            client.start("rooms"),
            client.start("leave", {"room": room}),
        ]
        futures += [client.start("rooms")]
    acks = [await client.awaited(future, "one of many") for future in futures]
    for number, (ack,) in enumerate(acks):
        assert ack["ok"] is True, (number, ack)
        if number % 4 == 1:
            assert room in ack["rooms"]
        if number % 4 == 3:
            assert room not in ack["rooms"]


async def test_order_over_the_upgrade(server: Server, node: Node):
    """What is said while the transport is being upgraded is neither lost, nor doubled, nor out of order."""
    room = unique("lobby")
    witness = await node.member(server.url, room, unique("w"))
    for _ in range(5):
        client = node.open(server.url, transports="upgrade")
        await client.until_connected()
        join = client.start("join", {"room": room})
        client.burst("chat", 200, room=room)
        check_ack("join", (await client.awaited(join, "join"))[0])
        await client.until(lambda c=client: c.transport == "websocket", "the upgrade")
        for receiver in (witness, client):
            got = await receiver.take("chat", 200)
            assert [payload["message"] for payload in got] == [str(n) for n in range(200)]
        check_ack("leave", await client.emit("leave", {"room": room}))
        await witness.none("chat")
        await client.none("chat")


async def test_one_order_for_all(server: Server, node: Node):
    """Members see a room's messages in one order, that of the offsets, however many talk at once."""
    room = unique("lobby")
    members = [
        await node.member(server.url, room, unique("m"), transports=kind)
        for kind in ("websocket", "polling") * 2
    ]
    for member in members:
        member.burst("broadcast", 100, prefix=f"{member.c}:", room=room)
    seen = await asyncio.gather(*(member.take("broadcast", 400, timeout=20) for member in members))
    offsets = [payload["offset"] for payload in seen[0]]
    assert offsets == list(range(offsets[0], offsets[0] + 400))
    for other in seen[1:]:
        assert [p["id"] for p in other] == [p["id"] for p in seen[0]]
    for member in members:
        mine = [p["message"] for p in seen[0] if p["message"].startswith(member.c + ":")]
        assert mine == [f"{member.c}:{n}" for n in range(100)]


async def test_without_acks(server: Server, node: Node, transports: str):
    """Every event works without an ack, and is silent when it succeeds."""
    room, who = unique("lobby"), unique("ada")
    ada = await node.connect(server.url, transports=transports, auth={"client_id": who})
    ada.send("join", {"room": room})
    ada.send("chat", {"room": room, "message": "one"})
    ada.send("broadcast", {"room": room, "message": "two"})
    ada.send("private", {"to": who, "message": "three"})
    ada.send("typing", {"room": room, "is_typing": True})
    ada.send("presence", {"room": room})
    ada.send("rooms")
    ada.send("leave", {"room": room})
    assert (await ada.next("chat"))["message"] == "one"
    assert (await ada.next("broadcast"))["message"] == "two"
    assert (await ada.next("private"))["message"] == "three"
    await ada.none("error", "user_typing")
    assert room not in (await ada.emit("rooms"))["rooms"]
