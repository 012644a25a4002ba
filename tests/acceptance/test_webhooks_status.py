"""Webhooks about the server: server-status, broadcast-stats; and the numbers that all of them carry (section 7)."""

from __future__ import annotations

import asyncio

import pytest

from .harness.node_client import Node
from .harness.receiver import Event, Receiver, Receivers
from .harness.server import Server, Servers
from .harness.shapes import check_ack, unique
from .harness.webhooks import check_webhook, hooked, restarted, said

OFTEN = {"stats_interval": "200ms", "status_interval": "200ms"}


@pytest.fixture(scope="module")
def audit(module_receivers: Receivers) -> Receiver:
    """Gets every event of `talkative`."""
    return module_receivers.open()


@pytest.fixture(scope="module")
def talkative(audit: Receiver, module_servers: Servers) -> Server:
    """A server with a name that tells its state five times a second."""
    return module_servers.serve(hooked(audit.target(), webhooks=OFTEN, server={"name": "north-1"}))


def check_complete(events: list[Event]) -> None:
    """One life of one node: every number from the first to the last."""
    assert len({(event.data["node"], event.data["epoch"]) for event in events}) == 1
    numbers = sorted(event.seq for event in events)
    assert numbers == list(range(numbers[0], numbers[0] + len(events)))
    assert numbers[0] in (0, 1)


async def test_the_interval(audit: Receiver, talkative: Server):
    """Server-status comes at the start and every status_interval, with the time since."""
    told = [check_webhook(event) for event in await audit.take(4, "server-status")]
    assert {data["status"] for data in told} == {"running"}
    assert {data["node"] for data in told} == {"north-1"}
    uptimes = [data["uptime_s"] for data in told]
    assert uptimes == sorted(uptimes)
    assert uptimes[-1] > uptimes[0]


async def test_the_stats(audit: Receiver, talkative: Server, node: Node):
    """Broadcast-stats counts who is connected, the rooms, what was said and what was delivered."""
    room = unique("lobby")
    clients = [await node.member(talkative.url, room, unique("ada")) for _ in range(3)]
    for number in range(5):
        await said(clients[0], room, str(number))

    def counted() -> list[Event]:
        return [
            event
            for event in audit.find("broadcast-stats", active_connections=3, rooms=1)
            if event.data["total_messages"] >= 5
        ]

    data = check_webhook((await audit.until(counted, "stats that count"))[-1])
    assert data["deliveries"] >= 15
    for client in clients:
        client.disconnect()
    await audit.event("broadcast-stats", active_connections=0, rooms=0)


async def test_start_and_stop(receiver: Receiver, servers: Servers, node: Node):
    """A server says that it runs before anything else, and once that it stops; what it tells is complete."""
    server = servers.serve(hooked(receiver.target()))
    room = unique("lobby")
    ada = await node.member(server.url, room, "ada")
    await node.member(server.url, room, "bob")
    check_ack("chat", await ada.emit("chat", {"message": "hi"}))
    await asyncio.to_thread(server.stop)
    (stopping,) = receiver.find("server-status", status="stopping")
    check_webhook(stopping)
    events = sorted(receiver.distinct(), key=lambda event: event.seq)
    assert (events[0].type, events[0].data["status"]) == ("server-status", "running")
    check_complete(events)


async def test_everybody_is_let_go(receiver: Receiver, servers: Servers, node: Node):
    """A server that stops has told of every client that it is gone, and of every room that it is vacated."""
    server = servers.serve(hooked(receiver.target(), recovery={"grace": "30s"}))
    for number in range(5):
        await node.member(server.url, f"room-{number}", f"ada-{number}")
    lost = await node.member(server.url, "room-0", "lost")
    lost.lose()
    await lost.until_disconnected()
    await asyncio.to_thread(server.stop)
    assert len(receiver.find("client-connected")) == 6
    for one, other, key in (
        ("client-connected", "client-disconnected", "session_id"),
        ("room-occupied", "room-vacated", "room"),
        ("room-joined", "room-left", "sid"),
    ):
        begun = sorted(event.data[key] for event in receiver.find(one))
        assert begun == sorted(event.data[key] for event in receiver.find(other)), other
    check_complete(receiver.distinct())


async def test_numbers_without_a_gap(receiver: Receiver, servers: Servers, node: Node):
    """A target that takes all events gets every `seq` of an epoch; the next life of the node has a later epoch."""
    config = hooked(receiver.target(), webhooks=OFTEN)
    server = servers.serve(config)
    clients = [await node.member(server.url, unique("lobby"), unique("ada")) for _ in range(4)]
    for client in clients:
        client.burst("broadcast", 25)
    await receiver.take(100, "message-broadcast")
    await asyncio.to_thread(server.stop)
    check_complete(receiver.distinct())
    first = receiver.distinct()[0].data["epoch"]
    again = restarted(servers, server, config)
    await asyncio.to_thread(again.stop)
    later = [event for event in receiver.distinct() if event.data["epoch"] != first]
    check_complete(later)
    assert later[0].data["epoch"] > first


async def test_no_targets(serve, node: Node):
    """Without a target nothing is told, and everything else works."""
    server = serve()
    ada = await node.member(server.url, "lobby", "ada")
    check_ack("chat", await ada.emit("chat", {"room": "lobby", "message": "hi"}))
