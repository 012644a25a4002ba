"""Several nodes on one PostgreSQL: who looks after what, when a node dies, and when it comes back."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from typing import Any

import httpx
import pytest

from .harness.node_client import Node, until
from .harness.receiver import OK, Answer, Receiver
from .harness.server import Server, Servers
from .harness.shapes import SECRET, check_ack, token, unique
from .harness.webhooks import (
    check_rising,
    check_webhook,
    deliveries,
    hooked,
    restarted,
    said,
    steer,
    until_listed,
)

KEY = {"authorization": "Bearer the-key"}
LEASE = 1.0
TALK = {"events": ["message-broadcast"]}


def config(database: str, *targets: Any, name: str = "one", **more: Any) -> dict[str, Any]:
    """A node of a cluster, with a lease that a test can outlive."""
    return hooked(
        *targets,
        store={"url": database},
        broker={"lease": f"{LEASE:g}s"},
        server={"name": name},
        recovery={"grace": "200ms"},
        **more,
    )


def goodbyes(receiver: Receiver) -> Counter[str]:
    """How often each session was said goodbye to."""
    return Counter(event.data["session_id"] for event in receiver.find("client-disconnected"))


async def ready(server: Server) -> int:
    """What /readyz says."""
    async with httpx.AsyncClient(trust_env=False) as client:
        return (await client.get(f"{server.url}/readyz")).status_code


async def test_at_the_same_time(database: str, servers: Servers, receiver: Receiver):
    """Three nodes that start at the same moment on a new database all get it, with epochs of their own."""
    started = await asyncio.gather(
        *(
            asyncio.to_thread(servers.serve, config(database, receiver.target(), name=name))
            for name in ("one", "two", "three")
        )
    )
    assert [await ready(server) for server in started] == [200] * 3
    starts = await receiver.take(3, "server-status", status="running")
    assert len({event.data["epoch"] for event in starts}) == 3
    assert {event.data["node"] for event in starts} == {"one", "two", "three"}


async def test_offsets_of_two_nodes(database: str, servers: Servers, node: Node):
    """Offsets of two nodes, and of two runs, never overlap: none is taken for one of another."""
    seen = []
    for name in ("one", "two", "three"):
        server = servers.serve(config(database, name=name))
        ada = await node.member(server.url, "lobby", "ada")
        seen.append((await said(ada, "lobby", "hello"))["offset"])
    assert [offset >> 32 for offset in seen] == [0, 1, 2]


async def test_a_node_dies(database: str, servers: Servers, node: Node, receiver: Receiver):
    """What a killed node could not deliver or say, another one does, once; its return adds nothing."""
    target = receiver.target()
    one = servers.serve(config(database, target))
    two = servers.serve(config(database, target, name="two"))
    ada = await node.member(one.url, "lobby", "ada")
    bob = await node.member(one.url, "lobby", "bob")
    eve = await node.member(two.url, "lobby", "eve")
    await receiver.take(3, "room-joined")
    receiver.always(Answer(500))
    texts = [unique("text") for _ in range(20)]
    for text in texts:
        await said(ada, "lobby", text)
    await asyncio.to_thread(one.kill)
    receiver.always(OK)
    for client in (ada, bob):
        data = check_webhook(await receiver.event("client-disconnected", sid=client.sid))
        assert (data["reason"], data["lost_node"], data["node"]) == ("node_lost", "one", "two")
    heard = await receiver.take(len(texts), "message-broadcast")
    assert [event.data["message"] for event in heard] == texts
    again = restarted(servers, one, config(database, target))
    await said(eve, "lobby", "and on it goes")
    await receiver.event("server-status", status="running", epoch=await epoch_of(receiver, "one", 2))
    await asyncio.sleep(3 * LEASE)  # long enough for anybody to take anybody for dead
    assert set(goodbyes(receiver).values()) == {1}
    assert {event.data["client_id"] for event in receiver.find("client-disconnected")} == {"ada", "bob"}
    assert again.running


async def epoch_of(receiver: Receiver, name: str, starts: int) -> int:
    """The epoch of a node's latest start, once it has started so often."""
    found = await receiver.take(starts, "server-status", status="running", node=name)
    return max(event.data["epoch"] for event in found)


async def test_one_survivor(database: str, servers: Servers, node: Node, receiver: Receiver):
    """Of several survivors one says what a dead node could not, and delivers what it left."""
    target = receiver.target()
    nodes = [servers.serve(config(database, target, name=f"node-{number}")) for number in range(3)]
    for number in range(5):
        await node.member(nodes[0].url, "lobby", f"client-{number}")
    await receiver.take(5, "room-joined")
    await asyncio.to_thread(nodes[0].kill)
    await receiver.take(5, "client-disconnected")
    await receiver.event("room-vacated", room="lobby")
    await asyncio.sleep(2 * LEASE)
    assert set(goodbyes(receiver).values()) == {1}
    assert len(receiver.find("room-vacated")) == 1


async def test_a_node_that_stood_still(database: str, servers: Servers, node: Node, receiver: Receiver):
    """A node that others took for dead introduces its clients anew, and each session is said goodbye to once."""
    target = receiver.target()
    one = servers.serve(config(database, target))
    servers.serve(config(database, target, name="two"))
    ada = await node.member(one.url, "lobby", "ada")
    bob = await node.member(one.url, "lobby", "bob")
    first = {
        event.data["sid"]: event.data["session_id"] for event in await receiver.take(2, "client-connected")
    }
    await receiver.take(2, "room-joined")
    os.kill(one.pid, signal.SIGSTOP)
    try:
        await receiver.take(2, "client-disconnected", reason="node_lost")
    finally:
        os.kill(one.pid, signal.SIGCONT)
    second = {
        event.data["sid"]: event.data["session_id"]
        for event in (await receiver.take(4, "client-connected"))
        if event.data["session_id"] not in first.values()
    }
    assert second.keys() == first.keys()
    await receiver.take(4, "room-joined", room="lobby")
    await said(ada, "lobby", "still here")
    await receiver.event("message-broadcast", message="still here")
    bob.disconnect()
    left = await receiver.event("client-disconnected", session_id=second[bob.sid])
    assert left.data["reason"] != "node_lost"
    await asyncio.to_thread(one.stop)
    assert goodbyes(receiver) == dict.fromkeys((*first.values(), *second.values()), 1)
    assert "took this one for dead" in one.logs()


async def test_a_disabled_target(database: str, servers: Servers, node: Node, receiver: Receiver):
    """A 410 to one node disables the target at all, and one command enables it at all."""
    target = receiver.target(**TALK)
    one, two = (servers.serve(config(database, target, name=name)) for name in ("one", "two"))
    ada, bob = await node.connect(one.url), await node.connect(two.url)
    receiver.next(Answer(410))
    await said(ada, None, "gone?")
    await until_listed(one, 1, "--state", "dead")

    async def dead_at_once() -> list[dict[str, Any]]:
        await said(bob, None, "anybody?")
        return deliveries(two, "--state", "dead")

    await until(dead_at_once, lambda found: len(found) > 1)
    steer(two, "enable", "audit")

    async def heard() -> list[Any]:
        for client in (ada, bob):
            await said(client, None, f"hello from {client.c}")
        await asyncio.sleep(0.1)
        return receiver.find("message-broadcast")

    await until(
        heard, lambda found: {f"hello from {c.c}" for c in (ada, bob)} <= {e.data["message"] for e in found}
    )
    steer(one, "retry", "--dead", "--target", "audit")
    await receiver.event("message-broadcast", message="gone?")
    await receiver.event("message-broadcast", message="anybody?")


async def test_commands(database: str, servers: Servers, node: Node, receiver: Receiver):
    """`rtserver webhooks` reads and steers the outbox of all nodes."""
    target = receiver.target(**TALK, retry={"schedule": ["1h"]})
    receiver.always(Answer(500))
    one, two = (servers.serve(config(database, target, name=name)) for name in ("one", "two"))
    for number, server in enumerate((one, two)):
        await said(await node.connect(server.url), None, str(number))
    found = await until_listed(one, 2, "--state", "pending")
    receiver.always(OK)
    steer(one, "drop", found[0]["id"])
    steer(one, "retry", found[1]["id"])
    await until_listed(two, 1, "--state", "delivered")
    await until_listed(two, 0, "--state", "pending")


async def test_revocations(database: str, servers: Servers, node: Node):
    """A token that is revoked at one node is refused at the others, and its clients there are sent away."""
    guarded = {"auth": {"mode": "required", "jwt": {"secret": SECRET}}, "api": {"keys": ["the-key"]}}
    one, two = (servers.serve(config(database, name=name, **guarded)) for name in ("one", "two"))
    user = unique("ada")
    given = token(user)
    there = await node.connect(two.url, auth={"token": given})
    async with httpx.AsyncClient(base_url=one.url, trust_env=False) as client:
        answer = await client.post("/api/tokens/revoke", json={"user": user}, headers=KEY)
    assert answer.status_code == 200, answer.text
    assert (await there.next("disconnecting_by_server", timeout=5))["reason"] == "token_revoked"
    refused = await node.open(two.url, auth={"token": given}).until_refused()
    assert refused.message == "token_revoked"


async def test_an_inbox(database: str, servers: Servers, node: Node):
    """Two nodes serve one user's inbox: what is stored at one is read, marked and counted at the other."""
    guarded = {"auth": {"mode": "required", "jwt": {"secret": SECRET}}, "api": {"keys": ["the-key"]}}
    one, two = (servers.serve(config(database, name=name, **guarded)) for name in ("one", "two"))
    user = unique("ada")
    tabs = [await node.connect(server.url, auth={"token": token(user)}) for server in (one, two)]
    for server in (one, two):
        async with httpx.AsyncClient(base_url=server.url, trust_env=False) as client:
            notice = {"title": "Deployed", "message": "1.4 is out"}
            answer = await client.post(f"/api/users/{user}/notifications", json=notice, headers=KEY)
            assert answer.status_code == 201, answer.text
    inboxes = [check_ack("notifications", await tab.emit("notifications", {})) for tab in tabs]
    assert inboxes[0] == inboxes[1]
    assert inboxes[0]["unread"] == 2
    ids = [notice["id"] for notice in inboxes[0]["notifications"]]
    answers = await asyncio.gather(*(tab.emit("mark_read", {"notification_ids": ids}) for tab in tabs))
    assert sorted(answer["marked"] for answer in answers) == [0, 2]


async def test_order(database: str, servers: Servers, node: Node, receiver: Receiver):
    """Each node's events of a room reach a target in order, whatever the other node does."""
    target = receiver.target(**TALK)
    nodes = [servers.serve(config(database, target, name=name)) for name in ("one", "two")]
    clients = [await node.connect(server.url) for server in nodes]
    for number in range(50):
        for client in clients:
            await said(client, None, f"{client.c} {number}")
    await receiver.take(100, "message-broadcast")
    for name in ("one", "two"):
        check_rising(receiver.find("message-broadcast", node=name), name)
    assert len(receiver.distinct()) == len(receiver.events()) == 100


@pytest.mark.parametrize("grace", ["0s", "30s"])
async def test_an_end_in_good_order(
    database: str, servers: Servers, node: Node, receiver: Receiver, grace: str
):
    """A node that is stopped says its own goodbyes; the deliveries it leaves are another's at once."""
    target = receiver.target()
    one = servers.serve(config(database, target) | {"recovery": {"grace": grace}})
    servers.serve(config(database, target, name="two"))
    ada = await node.connect(one.url, reconnection=False)
    await receiver.event("client-connected")
    receiver.always(Answer(500))
    await said(ada, None, "not yet")
    await asyncio.to_thread(one.stop)
    receiver.always(OK)
    await receiver.event("message-broadcast", message="not yet")
    await receiver.event("client-disconnected", sid=ada.sid)
    await asyncio.sleep(2 * LEASE)
    assert set(goodbyes(receiver).values()) == {1}
