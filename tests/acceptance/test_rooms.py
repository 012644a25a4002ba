"""Rooms and who is in them: join, leave, presence, rooms, typing, ping (CONTRACT section 4)."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from .harness import raw
from .harness.node_client import Node
from .harness.server import Server
from .harness.shapes import check_ack, check_event, check_refusal, unique


async def test_join(server: Server, node: Node, transports: str):
    """The first member of a room is told so, and is the one who is there."""
    room, who = unique("lobby"), unique("ada")
    client = await node.connect(server.url, transports=transports, auth={"client_id": who, "name": "Ada"})
    ack = check_ack("join", await client.emit("join", {"room": room}))
    assert ack["room"] == room
    assert ack["count"] == 1
    assert ack["history"] == []
    assert ack["recovered"] is False
    (member,) = ack["members"]
    assert (member["client_id"], member["name"], member["verified"], member["connections"]) == (
        who,
        "Ada",
        False,
        1,
    )


async def test_others_hear_of_a_join(server: Server, node: Node, transports: str):
    """Others in the room get `user_joined`; the one who joins does not, nor do those outside."""
    room = unique("lobby")
    ada = await node.member(server.url, room, unique("ada"), transports=transports)
    outside = await node.connect(server.url)
    who = unique("bob")
    bob = await node.connect(server.url, transports=transports, auth={"client_id": who, "name": "Bob"})
    ack = check_ack("join", await bob.emit("join", {"room": room}))
    assert ack["count"] == 2
    assert {member["client_id"] for member in ack["members"]} >= {who}
    heard = check_event("user_joined", await ada.next("user_joined"))
    assert (heard["room"], heard["client_id"], heard["name"], heard["count"]) == (room, who, "Bob", 2)
    assert heard["message"] == "Bob joined the room"
    await bob.none("user_joined")
    await outside.none("user_joined")
    await ada.none("user_joined")


async def test_leave(server: Server, node: Node, transports: str):
    """Others get `user_left`, and who has left hears nothing of the room any more."""
    room, who = unique("lobby"), unique("bob")
    ada = await node.member(server.url, room, unique("ada"), transports=transports)
    bob = await node.member(server.url, room, who, transports=transports)
    ack = check_ack("leave", await bob.emit("leave", {"room": room}))
    assert ack["room"] == room
    heard = check_event("user_left", await ada.next("user_left"))
    assert (heard["room"], heard["client_id"], heard["count"]) == (room, who, 1)
    assert heard["message"] == f"{who} left the room"
    check_ack("chat", await ada.emit("chat", {"room": room, "message": "alone"}))
    await ada.next("chat")
    await bob.none("chat", "user_left")
    check_refusal(await bob.emit("leave", {"room": room}), "not_a_member")


async def test_joining_twice_is_joining_once(server: Server, node: Node):
    """A client that joins a room it is in is answered, and nobody hears of it."""
    room = unique("lobby")
    ada = await node.member(server.url, room, unique("ada"))
    bob = await node.member(server.url, room, unique("bob"))
    await ada.next("user_joined")
    ack = check_ack("join", await bob.emit("join", {"room": room}))
    assert ack["count"] == 2
    await ada.none("user_joined")
    check_ack("leave", await bob.emit("leave", {"room": room}))
    await ada.next("user_left")
    check_refusal(await bob.emit("leave", {"room": room}), "not_a_member")


async def test_three_tabs_are_one_member(server: Server, node: Node):
    """`user_joined` comes at the first connection of a client_id and `user_left` at the last."""
    room, who = unique("lobby"), unique("bob")
    ada = await node.member(server.url, room, unique("ada"))
    tabs = [
        await node.member(server.url, room, who, transports=kind)
        for kind in ("websocket", "polling", "upgrade")
    ]
    joined = await ada.next("user_joined")
    assert joined["count"] == 2
    ack = check_ack("presence", await ada.emit("presence", {"room": room}))
    assert ack["count"] == 2
    (bob,) = [member for member in ack["members"] if member["client_id"] == who]
    assert bob["connections"] == 3
    check_ack("leave", await tabs[0].emit("leave", {"room": room}))
    tabs[1].disconnect()
    await tabs[1].until_disconnected()
    await tabs[2].sync()
    await ada.none("user_joined", "user_left")
    tabs[2].disconnect()
    left = check_event("user_left", await ada.next("user_left"))
    assert (left["client_id"], left["count"]) == (who, 1)
    await ada.none("user_left")


async def test_presence(server: Server, node: Node, transports: str):
    """`presence` tells who is in a room, whether one is in it or not, and of an empty one that nobody is."""
    room = unique("lobby")
    names = sorted(unique("member") for _ in range(3))
    for name in names:
        await node.member(server.url, room, name, transports=transports)
    asker = await node.connect(server.url, transports=transports)
    ack = check_ack("presence", await asker.emit("presence", {"room": room}))
    assert sorted(member["client_id"] for member in ack["members"]) == names
    assert ack["count"] == 3
    empty = check_ack("presence", await asker.emit("presence", {"room": unique("nowhere")}))
    assert (empty["members"], empty["count"]) == ([], 0)


async def test_at_most_a_hundred_members_are_listed(server: Server, node: Node):
    """`members` lists at most 100 (`limit` up to 1000, `cursor` for more) and `count` is exact."""
    room = unique("crowd")
    async with asyncio.timeout(30):
        async with contextlib.AsyncExitStack() as stack:
            for number in range(104):
                bare = await stack.enter_async_context(raw.client(server.url, unique(f"m{number}")))
                await bare.event("join", {"room": room}, ack=1)
                await bare.until("431[")
            client = await node.connect(server.url)
            ack = check_ack("join", await client.emit("join", {"room": room}))
            assert ack["count"] == 105
            assert len(ack["members"]) == 100
            first = check_ack("presence", await client.emit("presence", {"room": room}))
            assert (first["count"], len(first["members"])) == (105, 100)
            rest = check_ack(
                "presence", await client.emit("presence", {"room": room, "cursor": first["next"]})
            )
            assert (rest["count"], len(rest["members"])) == (105, 5)
            listed = {member["client_id"] for member in first["members"] + rest["members"]}
            assert len(listed) == 105
            whole = check_ack("presence", await client.emit("presence", {"room": room, "limit": 1000}))
            assert {member["client_id"] for member in whole["members"]} == listed
            check_refusal(
                await client.emit("presence", {"room": room, "limit": 1001}), "bad_request", "limit"
            )


async def test_rooms(server: Server, node: Node, transports: str):
    """`rooms` lists names: those one has joined, not the one that was left."""
    first, second, left = unique("a"), unique("b"), unique("c")
    client = await node.connect(server.url, transports=transports)
    for room in (first, second, left):
        check_ack("join", await client.emit("join", {"room": room}))
    check_ack("leave", await client.emit("leave", {"room": left}))
    rooms = check_ack("rooms", await client.emit("rooms"))["rooms"]
    assert all(isinstance(room, str) for room in rooms)
    assert {first, second} <= set(rooms)
    assert left not in rooms
    assert client.sid not in rooms
    assert set(check_ack("rooms", await client.emit("rooms", {}))["rooms"]) >= {first, second}


async def test_typing(server: Server, node: Node, transports: str):
    """Others in the room get `user_typing`, the typist and those outside do not."""
    room, who = unique("lobby"), unique("bob")
    ada = await node.member(server.url, room, unique("ada"), transports=transports)
    outside = await node.connect(server.url)
    bob = await node.connect(server.url, transports=transports, auth={"client_id": who, "name": "Bob"})
    check_ack("join", await bob.emit("join", {"room": room}))
    for state in (True, False):
        check_ack("typing", await bob.emit("typing", {"room": room, "is_typing": state}))
        heard = check_event("user_typing", await ada.next("user_typing"))
        assert heard == {"room": room, "client_id": who, "username": "Bob", "is_typing": state}
    bob.send("typing", {"room": room, "is_typing": True})
    assert (await ada.next("user_typing"))["is_typing"] is True
    await bob.none("user_typing")
    await outside.none("user_typing")


@pytest.mark.parametrize(("event", "more"), [("typing", {"is_typing": True}), ("leave", {})])
async def test_only_for_members(server: Server, node: Node, event: str, more: dict):
    """Typing in, or leaving, a room one is not in is refused as not_a_member, and nobody hears of it."""
    room = unique("lobby")
    ada = await node.member(server.url, room, unique("ada"))
    bob = await node.connect(server.url)
    check_refusal(await bob.emit(event, {"room": room, **more}), "not_a_member")
    await ada.none("user_typing", "user_left")


@pytest.mark.parametrize(
    "payload", [[], [{}], ["text"], [5], [None], [{"deep": [1, {"a": b"\x00"}]}], [b"\x01\x02"]]
)
async def test_ping(server: Server, node: Node, transports: str, payload: list):
    """`ping` with anything is answered: by the ack when there is one, by `pong` when there is none."""
    client = await node.connect(server.url, transports=transports)
    assert check_ack("ping", await client.emit("ping", *payload))["pong"] is True
    await client.none("pong")
    client.send("ping", *payload)
    check_event("pong", await client.next("pong"))
    await client.none("pong", "error")
