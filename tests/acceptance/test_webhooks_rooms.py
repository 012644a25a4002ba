"""Webhooks about rooms: room-joined, room-left, room-occupied, room-vacated (CONTRACT section 7)."""

from __future__ import annotations

import asyncio

import pytest

from .harness.node_client import Node
from .harness.receiver import Event, Receiver, Receivers
from .harness.server import Server, Servers
from .harness.shapes import check_ack, unique
from .harness.webhooks import check_rising, check_webhook, hooked


@pytest.fixture(scope="module")
def audit(module_receivers: Receivers) -> Receiver:
    """Gets every event of `audited`."""
    return module_receivers.open()


@pytest.fixture(scope="module")
def audited(audit: Receiver, module_servers: Servers) -> Server:
    """A server with one target."""
    return module_servers.serve(hooked(audit.target()))


def of(audit: Receiver, room: str) -> list[Event]:
    """What was told about the room, in its order."""
    events = [event for event in audit.distinct() if event.data.get("room") == room]
    check_rising(events, room)
    for event in events:
        check_webhook(event)
    return events


def story(audit: Receiver, room: str) -> list[tuple]:
    """What was told about the room: type, client_id and count where it has them."""
    return [
        (event.type, *(event.data[key] for key in ("client_id", "count") if key in event.data))
        for event in of(audit, room)
    ]


async def test_a_whole_life(audit: Receiver, audited: Server, node: Node):
    """A room is occupied, joined, left and vacated, with the count after each step."""
    room, ada, bob = unique("lobby"), unique("ada"), unique("bob")
    first = await node.member(audited.url, room, ada)
    second = await node.member(audited.url, room, bob)
    check_ack("leave", await first.emit("leave", {"room": room}))
    check_ack("leave", await second.emit("leave", {"room": room}))
    await audit.event("room-vacated", room=room)
    assert story(audit, room) == [
        ("room-occupied",),
        ("room-joined", ada, 1),
        ("room-joined", bob, 2),
        ("room-left", ada, 1),
        ("room-left", bob, 0),
        ("room-vacated",),
    ]
    joined = [event for event in of(audit, room) if event.type == "room-joined"]
    assert [event.data["sid"] for event in joined] == [first.sid, second.sid]


async def test_goodbye(audit: Receiver, audited: Server, node: Node):
    """Who says goodbye leaves every room; a room with nobody left is vacated."""
    rooms, ada, bob = [unique("lobby") for _ in range(3)], unique("ada"), unique("bob")
    going = await node.member(audited.url, rooms[0], ada)
    staying = await node.member(audited.url, rooms[0], bob)
    for room in rooms[1:]:
        check_ack("join", await going.emit("join", {"room": room}))
    going.disconnect()
    for room in rooms[1:]:
        await audit.event("room-vacated", room=room)
    left = await audit.event("room-left", room=rooms[0])
    assert (left.data["client_id"], left.data["count"]) == (ada, 1)
    await staying.sync()
    assert not audit.find("room-vacated", room=rooms[0])


async def test_occupied_again(audit: Receiver, audited: Server, node: Node):
    """A room that was vacated is occupied by the next who enters."""
    room, who = unique("lobby"), unique("ada")
    client = await node.member(audited.url, room, who)
    check_ack("leave", await client.emit("leave", {"room": room}))
    check_ack("join", await client.emit("join", {"room": room}))
    await audit.take(2, "room-joined", room=room)
    entering, going = (
        [("room-occupied",), ("room-joined", who, 1)],
        [("room-left", who, 0), ("room-vacated",)],
    )
    assert story(audit, room) == [*entering, *going, *entering]


async def test_members_not_connections(audit: Receiver, audited: Server, node: Node):
    """A member with two tabs joins with the first and leaves with the last; joining twice is nobody's news."""
    room, who = unique("lobby"), unique("ada")
    tabs = [await node.member(audited.url, room, who) for _ in range(2)]
    check_ack("join", await tabs[0].emit("join", {"room": room}))
    for tab in tabs:
        tab.disconnect()
    await audit.event("room-vacated", room=room)
    assert story(audit, room) == [
        ("room-occupied",),
        ("room-joined", who, 1),
        ("room-left", who, 0),
        ("room-vacated",),
    ]


async def test_one_who_blinks(audit: Receiver, audited: Server, node: Node):
    """The room of one who was lost stays occupied until the grace is over."""
    room, who = unique("lobby"), unique("ada")
    client = await node.member(audited.url, room, who)
    client.lose()
    again = await node.member(audited.url, room, who)
    await asyncio.sleep(0.8)
    assert story(audit, room) == [("room-occupied",), ("room-joined", who, 1)]
    again.lose()
    await audit.event("room-vacated", room=room)
    assert story(audit, room)[2:] == [("room-left", who, 0), ("room-vacated",)]


async def test_many(audit: Receiver, audited: Server, node: Node):
    """Twenty members in and out: the counts go up to twenty and down to nobody, and the room is occupied once."""
    room = unique("lobby")
    clients = [await node.member(audited.url, room, unique("ada")) for _ in range(20)]
    for client in clients:
        client.disconnect()
    await audit.event("room-vacated", room=room)
    told = story(audit, room)
    assert [entry[2] for entry in told if entry[0] == "room-joined"] == list(range(1, 21))
    assert [entry[2] for entry in told if entry[0] == "room-left"] == list(range(19, -1, -1))
    assert [entry[0] for entry in told if len(entry) == 1] == ["room-occupied", "room-vacated"]
