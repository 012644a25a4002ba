"""What survives a restart, a crash and a broken file (CONTRACT section 7)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from .harness.node_client import Node
from .harness.receiver import HANG, OK, Answer, Receiver, Receivers
from .harness.server import Server, Servers
from .harness.webhooks import check_webhook, hooked, restarted, said, steer

TALK = {"events": ["message-broadcast"]}


async def stop(server: Server, how: str) -> None:
    """SIGTERM or SIGKILL."""
    await asyncio.to_thread(server.kill if how == "killed" else server.stop)


@pytest.mark.parametrize(
    ("how", "failure"),
    [("killed", Answer(500)), ("killed", HANG), ("killed", None), ("stopped", HANG)],
    ids=["killed-500", "killed-hangs", "killed-down", "stopped-hangs"],
)
async def test_pending(receiver: Receiver, servers: Servers, node: Node, how: str, failure: Answer | None):
    """What was acknowledged to a client and not yet to us is delivered by the next server, in order."""
    config = hooked(receiver.target(**TALK))
    if failure is None:
        receiver.refuse()
    else:
        receiver.always(failure)
    server = servers.serve(config)
    ada = await node.connect(server.url)
    for number in range(30):
        await said(ada, None, str(number))
    await stop(server, how)
    assert not receiver.events()
    receiver.always(OK)
    receiver.accept()
    restarted(servers, server, config)
    events = await receiver.take(30, "message-broadcast")
    assert [event.data["message"] for event in events] == [str(number) for number in range(30)]


async def test_node_lost(receiver: Receiver, servers: Servers, node: Node):
    """Who was connected to a node that was killed is told of once, as node_lost, and so is the room it was in."""
    config = hooked(receiver.target(), recovery={"grace": "30s"})
    server = servers.serve(config)
    ada = await node.member(server.url, "lobby", "ada")
    bob = await node.member(server.url, "lobby", "bob")
    gone = await node.connect(server.url)
    gone.disconnect()
    await receiver.event("client-disconnected", sid=gone.sid)
    bob.lose()
    await bob.until_disconnected()
    before = await receiver.take(3, "client-connected")
    await stop(server, "killed")
    again = restarted(servers, server, config)
    for client in (ada, bob):
        data = check_webhook(await receiver.event("client-disconnected", sid=client.sid))
        assert data["reason"] == "node_lost"
    await asyncio.to_thread(again.stop)
    after = receiver.find("client-disconnected")
    assert sorted(e.data["session_id"] for e in after) == sorted(e.data["session_id"] for e in before)


async def test_killed_again_and_again(receiver: Receiver, servers: Servers, node: Node):
    """However often a server is killed, one who was lost is told of once, and each life has a later epoch."""
    config = hooked(receiver.target())
    server = servers.serve(config)
    await node.connect(server.url)
    await receiver.event("client-connected")
    for _ in range(3):
        await stop(server, "killed")
        server = restarted(servers, server, config)
    await receiver.event("client-disconnected", reason="node_lost")
    await asyncio.to_thread(server.stop)
    assert len(receiver.find("client-disconnected")) == 1
    starts = receiver.find("server-status", status="running")
    epochs = [event.data["epoch"] for event in starts]
    assert epochs == sorted(set(epochs))
    assert len({event.data["node"] for event in starts}) == 1


async def test_a_disabled_target(receiver: Receiver, servers: Servers, node: Node):
    """A restart enables what a 410 disabled; what went dead meanwhile is dead until it is retried."""
    config = hooked(receiver.target(**TALK))
    server = servers.serve(config)
    receiver.next(Answer(410))
    await said(await node.connect(server.url), None, "first")
    await receiver.until(lambda: [r.status for r in receiver.attempts()] == [410], "the 410")
    await stop(server, "stopped")
    server = restarted(servers, server, config)
    await said(await node.connect(server.url), None, "second")
    await receiver.event("message-broadcast", message="second")
    assert not receiver.find(message="first")
    steer(server, "retry", "--dead", "--target", "audit")
    await receiver.event("message-broadcast", message="first")


async def test_steered_while_stopped(receiver: Receiver, servers: Servers, node: Node):
    """The commands work while no server runs: the next one delivers what was retried, and not what was dropped."""
    config = hooked(receiver.target(**TALK, retry={"schedule": [], "jitter": 0}))
    server = servers.serve(config)
    receiver.next(Answer(500), Answer(500))
    ada = await node.connect(server.url)
    for text in ("keep", "drop"):
        await said(ada, None, text)
    await receiver.until(lambda: [r.status for r in receiver.attempts()] == [500, 500], "the failures")
    await stop(server, "stopped")
    ids = {request.payload["data"]["message"]: request.id for request in receiver.attempts()}
    steer(server, "drop", ids["drop"])
    steer(server, "retry", ids["keep"])
    restarted(servers, server, config)
    await receiver.event("message-broadcast", message="keep")
    assert not receiver.find(message="drop")


async def test_in_memory(receiver: Receiver, servers: Servers, node: Node):
    """With `memory://` there is no file, and webhooks with retries work as long as the server lives."""
    server = servers.serve(hooked(receiver.target(), store={"url": "memory://"}))
    receiver.next(Answer(500), Answer(503))
    ada = await node.member(server.url, "lobby", "ada")
    await said(ada, "lobby", "hi")
    await receiver.event("message-broadcast", message="hi")
    await asyncio.to_thread(server.stop)
    (gone,) = receiver.find("client-disconnected")
    assert gone.data["client_id"] == "ada"
    assert [file.name for file in server.cwd.iterdir()] == ["config.yaml"]


def never_one(_: bytes) -> bytes:
    """What was never a database."""
    return b"this is no database\n" * 500


def overwritten(good: bytes) -> bytes:
    """A database of which all but the first page was overwritten."""
    assert len(good) > 8192
    return good[:4096] + b"\xa5" * (len(good) - 4096)


def cut_short(good: bytes) -> bytes:
    """A database that lost its second half."""
    assert len(good) > 8192
    return good[: len(good) // 8192 * 4096]


@pytest.fixture(scope="module")
def database(module_receivers: Receivers, module_servers: Servers) -> bytes:
    """What a server left behind that was stopped."""
    server = module_servers.serve(hooked(module_receivers.open().target()))
    server.stop()
    return (server.cwd / "rtserver.db").read_bytes()


@pytest.mark.parametrize("damage", [never_one, overwritten, cut_short])
async def test_a_corrupt_file(
    database: bytes, receiver: Receiver, servers: Servers, node: Node, damage: Callable[[bytes], bytes]
):
    """A corrupt database file is moved aside, which is said on stderr, and the server starts and works."""
    directory = servers.directory()
    (directory / "rtserver.db").write_bytes(damage(database))
    server = servers.serve(hooked(receiver.target()), cwd=directory)
    ada = await node.connect(server.url)
    await said(ada, None, "after")
    await receiver.event("message-broadcast", message="after")
    ours = {"config.yaml", "rtserver.db", "rtserver.db-wal", "rtserver.db-shm"}
    aside = {file.name for file in directory.iterdir()} - ours
    assert aside
    assert any(name in line for name in aside for line in server.stderr), server.tail()
