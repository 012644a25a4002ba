"""Goodbyes, lost lines and blinks (CONTRACT section 5)."""

from __future__ import annotations

import asyncio
import time

import pytest

from .harness import raw
from .harness.node_client import TRANSPORTS, Node, NodeClient
from .harness.server import Server, Servers
from .harness.shapes import check_ack, check_event, unique

GRACE = 0.8
BACK = {"reconnection": True, "reconnectionDelay": 20, "reconnectionDelayMax": 50, "randomizationFactor": 0}


@pytest.fixture(scope="module")
def brief(module_servers: Servers) -> Server:
    """A server that holds a lost client for less than a second."""
    return module_servers.serve({"recovery": {"grace": f"{int(GRACE * 1000)}ms"}})


@pytest.fixture(scope="module")
def attentive(module_servers: Servers) -> Server:
    """A server that notices silence after two seconds."""
    return module_servers.serve(
        {"recovery": {"grace": "300ms"}, "engine": {"ping_interval": "1s", "ping_timeout": "1s"}}
    )


async def rejoin(client: NodeClient, room: str) -> None:
    """Be in the room again, as an application does after a reconnect that recovered nothing."""
    if not client.recovered:
        check_ack("join", await client.emit("join", {"room": room}))


async def test_goodbye(server: Server, node: Node, transports: str):
    """Who says goodbye leaves at once, long before the five seconds of recovery.grace are over."""
    room, who = unique("lobby"), unique("bob")
    ada = await node.member(server.url, room, unique("ada"), transports=transports)
    bob = await node.member(server.url, room, who, transports=transports)
    bob.disconnect()
    left = check_event("user_left", await ada.next("user_left", timeout=4.5))
    assert (left["room"], left["client_id"], left["count"]) == (room, who, 1)
    assert check_ack("presence", await ada.emit("presence", {"room": room}))["count"] == 1


async def test_goodbye_leaves_every_room(server: Server, node: Node):
    """A goodbye leaves each of one's rooms, once."""
    rooms = [unique("r") for _ in range(5)]
    who = unique("bob")
    ada = await node.connect(server.url)
    bob = await node.connect(server.url, auth={"client_id": who})
    for room in rooms:
        check_ack("join", await ada.emit("join", {"room": room}))
        check_ack("join", await bob.emit("join", {"room": room}))
    bob.disconnect()
    left = await ada.take("user_left", len(rooms), timeout=4.5)
    assert sorted(payload["room"] for payload in left) == sorted(rooms)
    await ada.none("user_left")


async def test_lost(brief: Server, node: Node):
    """Who is lost is held for recovery.grace, counts as present meanwhile, and leaves then."""
    room, who = unique("lobby"), unique("bob")
    ada = await node.member(brief.url, room, unique("ada"))
    bob = await node.member(brief.url, room, who)
    await ada.next("user_joined")
    begun = time.monotonic()
    bob.lose()
    await bob.until_disconnected()
    held = check_ack("presence", await ada.emit("presence", {"room": room}))
    assert held["count"] == 2
    assert who in {member["client_id"] for member in held["members"]}
    left = check_event("user_left", await ada.next("user_left"))
    assert time.monotonic() - begun >= GRACE * 0.9
    assert (left["client_id"], left["count"]) == (who, 1)
    assert check_ack("presence", await ada.emit("presence", {"room": room}))["count"] == 1
    await ada.none("user_left", "user_joined")


@pytest.mark.parametrize("blinks", [1, 3])
async def test_a_blink(brief: Server, node: Node, transports: str, blinks: int):
    """Nobody hears of a client that was lost and is back within the grace, and it is a member as before."""
    room, who = unique("lobby"), unique("bob")
    ada = await node.member(brief.url, room, unique("ada"))
    bob = await node.member(brief.url, room, who, transports=transports, **BACK)
    await ada.next("user_joined")
    for number in range(blinks):
        bob.lose()
        await bob.until_reconnected(number + 2)
        await rejoin(bob, room)
    await asyncio.sleep(GRACE + 0.4)
    await ada.none("user_left", "user_joined")
    ack = check_ack("presence", await ada.emit("presence", {"room": room}))
    assert ack["count"] == 2
    check_ack("chat", await ada.emit("chat", {"room": room, "message": "still here?"}))
    assert (await bob.next("chat"))["message"] == "still here?"
    if (
        transports != "polling"
    ):  # where a server cannot know that the first line is dead before its ping times out
        bob.disconnect()
        assert (await ada.next("user_left"))["client_id"] == who


async def test_back_too_late(brief: Server, node: Node):
    """Who comes back after the grace left and joined again."""
    room, who = unique("lobby"), unique("bob")
    ada = await node.member(brief.url, room, unique("ada"))
    bob = await node.member(brief.url, room, who)
    await ada.next("user_joined")
    bob.lose()
    await ada.next("user_left")
    again = await node.member(brief.url, room, who)
    assert (await ada.next("user_joined"))["client_id"] == who
    await again.sync()


async def test_lost_with_another_tab(brief: Server, node: Node):
    """A lost tab of a member who is still there is nobody's news."""
    room, who = unique("lobby"), unique("bob")
    ada = await node.member(brief.url, room, unique("ada"))
    tab = await node.member(brief.url, room, who)
    await node.member(brief.url, room, who)
    await ada.next("user_joined")
    tab.lose()
    await tab.until_disconnected()
    await asyncio.sleep(GRACE + 0.4)
    await ada.none("user_left", "user_joined")
    (member,) = [
        member
        for member in check_ack("presence", await ada.emit("presence", {"room": room}))["members"]
        if member["client_id"] == who
    ]
    assert member["connections"] == 1


async def test_silence_and_patience(attentive: Server, node: Node):
    """Who falls silent is missed after ping_interval and ping_timeout over every transport; who answers stays."""
    room = unique("lobby")
    patient = [await node.member(attentive.url, room, unique(kind), transports=kind) for kind in TRANSPORTS]
    polling, websocket = unique("polling"), unique("websocket")
    lost = await node.member(attentive.url, room, polling, transports="polling")
    async with raw.client(attentive.url, websocket) as mute:
        await mute.event("join", {"room": room}, ack=1)
        await mute.until("431[")
        lost.lose()
        left = await patient[0].take("user_left", 2)
        assert sorted(payload["client_id"] for payload in left) == [polling, websocket]
    for client in patient:
        await client.sync()
        assert client.connects == 1
        assert client.disconnected is None
    assert check_ack("presence", await patient[0].emit("presence", {"room": room}))["count"] == len(patient)


async def test_a_page_reload(brief: Server, node: Node):
    """A new page of the same client_id that joins again within the grace was never away; where it does not, it left."""
    again, not_again, who = unique("again"), unique("not-again"), unique("bob")
    ada = await node.member(brief.url, again, unique("ada"))
    check_ack("join", await ada.emit("join", {"room": not_again}))
    page = await node.member(brief.url, again, who)
    check_ack("join", await page.emit("join", {"room": not_again}))
    await ada.take("user_joined", 2)
    page.lose()
    await page.until_disconnected()
    reloaded = await node.member(brief.url, again, who)
    left = await ada.next("user_left")
    assert (left["room"], left["client_id"]) == (not_again, who)
    await asyncio.sleep(0.3)
    await ada.none("user_left", "user_joined")
    (member,) = [
        member
        for member in check_ack("presence", await ada.emit("presence", {"room": again}))["members"]
        if member["client_id"] == who
    ]
    assert member["connections"] == 1
    reloaded.disconnect()
    assert (await ada.next("user_left"))["room"] == again


async def test_goodbye_beside_a_lost_tab(brief: Server, node: Node):
    """A member with one tab lost and one that says goodbye leaves when the lost one's grace is over, once."""
    room, who = unique("lobby"), unique("bob")
    ada = await node.member(brief.url, room, unique("ada"))
    lost = await node.member(brief.url, room, who)
    other = await node.member(brief.url, room, who)
    begun = time.monotonic()
    lost.lose()
    await lost.until_disconnected()
    other.disconnect()
    left = await ada.next("user_left")
    assert (left["client_id"], left["count"]) == (who, 1)
    assert time.monotonic() - begun >= GRACE * 0.9
    await ada.none("user_left")


async def test_the_lost_are_not_counted(brief: Server, node: Node):
    """A client that was lost and never comes back is not counted among the connections for ever."""
    first = await node.connect(brief.url)
    before = (await first.next("welcome"))["total_connections"]
    lost = [await node.connect(brief.url) for _ in range(5)]
    for client in lost:
        client.lose()
        await client.until_disconnected()
    await asyncio.sleep(GRACE + 0.4)
    late = await node.connect(brief.url)
    assert (await late.next("welcome"))["total_connections"] <= before + 1
