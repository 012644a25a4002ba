"""Webhooks about clients: client-connected, client-disconnected, client-resumed (CONTRACT section 7)."""

from __future__ import annotations

import asyncio
import time

import pytest
import yaml

from .harness.node_client import Node, NodeClient
from .harness.receiver import Event, Receiver, Receivers
from .harness.server import COMMON, Server, Servers, command, free_port, merged
from .harness.shapes import SECRET, check_ack, token, unique
from .harness.webhooks import check_rising, check_webhook, hooked

GRACE = 0.5
BACK = {"reconnection": True, "reconnectionDelay": 20, "reconnectionDelayMax": 50, "randomizationFactor": 0}
OPTIONAL = {"mode": "optional", "jwt": {"secret": SECRET}}

APP = """
from rtserver import create_app

app = create_app("config.yaml")


@app.sio.on("kick")
async def kick(sid, data):
    return await app.node.disconnect(data["client_id"])
"""


@pytest.fixture(scope="module")
def audit(module_receivers: Receivers) -> Receiver:
    """Gets every event of `audited`."""
    return module_receivers.open()


@pytest.fixture(scope="module")
def audited(audit: Receiver, module_servers: Servers) -> Server:
    """A server that verifies tokens, takes guests, and can kick."""
    where, port = module_servers.directory(), free_port()
    config = hooked(audit.target(), auth=OPTIONAL, recovery={"grace": f"{int(GRACE * 1000)}ms"})
    (where / "my_app.py").write_text(APP)
    (where / "config.yaml").write_text(yaml.safe_dump(merged(COMMON, config)))
    argv = [*command(), "serve", "--app", "my_app:app", "--port", str(port)]
    return module_servers.start(Server(argv, where, port))


async def user(node: Node, server: Server, who: str, **more) -> NodeClient:
    """A client of the user `who`."""
    return await node.connect(server.url, auth={"token": token(who)}, **more)


def story(audit: Receiver, who: str) -> list[str]:
    """The types of what was told about `who`, in its order."""
    return [event.type for event in of(audit, who)]


def of(audit: Receiver, who: str) -> list[Event]:
    """What was told about `who`, in its order; rooms that only `who` enters carry its name."""
    events = [e for e in audit.distinct() if e.data.get("client_id") == who or e.data.get("room") == who]
    check_rising(events, who)
    return events


async def test_connected(audit: Receiver, audited: Server, node: Node, transports: str):
    """Who is accepted is told of by client-connected, with who it is, its connection and how many there are."""
    who = unique("ada")
    client = await user(node, audited, who, transports=transports)
    welcome = await client.next("welcome")
    data = check_webhook(await audit.event("client-connected", client_id=who))
    assert (data["user_id"], data["sid"], data["ip"]) == (who, client.sid, "127.0.0.1")
    assert data["transport"] == ("websocket" if transports == "websocket" else "polling")
    for number in ("client_number", "total_connections"):
        assert data[number] == welcome[number], number


async def test_a_guest(audit: Receiver, audited: Server, node: Node):
    """A guest has no user_id."""
    guest = await node.connect(audited.url)
    who = (await guest.next("welcome"))["client_id"]
    assert check_webhook(await audit.event("client-connected", client_id=who))["user_id"] is None
    guest.disconnect()
    assert check_webhook(await audit.event("client-disconnected", client_id=who))["user_id"] is None


async def test_numbers(audit: Receiver, audited: Server, node: Node):
    """`client_number` counts up for the life of the node, also past those who left."""
    names = [unique("ada") for _ in range(3)]
    for who in names:
        (await user(node, audited, who)).disconnect()
        await audit.event("client-disconnected", client_id=who)
    told = [check_webhook(await audit.event("client-connected", client_id=who)) for who in names]
    first = told[0]["client_number"]
    assert [data["client_number"] for data in told] == [first, first + 1, first + 2]


async def test_goodbye(audit: Receiver, audited: Server, node: Node, transports: str):
    """Who says goodbye is told of at once, by one client-disconnected of the same session."""
    who = unique("ada")
    witness = await user(node, audited, unique("bob"))
    client = await user(node, audited, who, transports=transports)
    connected = check_webhook(await audit.event("client-connected", client_id=who))
    begun = time.monotonic()
    client.disconnect()
    data = check_webhook(await audit.event("client-disconnected", client_id=who))
    for same in ("session_id", "sid", "user_id", "node", "epoch"):
        assert data[same] == connected[same], same
    assert data["remaining_connections"] == connected["total_connections"] - 1
    assert data["duration_s"] <= time.monotonic() - begun + 60
    await witness.sync()
    assert story(audit, who) == ["client-connected", "client-disconnected"]


async def test_a_cut_line(audit: Receiver, audited: Server, node: Node):
    """Who is lost is told of when recovery.grace is over, and not before; its rooms and its goodbye come together."""
    who = unique("ada")
    client = await user(node, audited, who)
    check_ack("join", await client.emit("join", {"room": who}))
    await audit.event("room-joined", client_id=who)
    begun = time.monotonic()
    client.lose()
    data = check_webhook(await audit.event("client-disconnected", client_id=who))
    assert time.monotonic() - begun >= GRACE * 0.9
    assert data["sid"] == client.sid
    assert data["duration_s"] > 0
    assert sorted(story(audit, who)[3:]) == ["client-disconnected", "room-left", "room-vacated"]


async def test_kicked(audit: Receiver, audited: Server, node: Node):
    """Who is kicked is told of at once, with that reason."""
    who = unique("ada")
    client = await user(node, audited, who)
    witness = await user(node, audited, unique("bob"))
    assert await witness.emit("kick", {"client_id": who}) == 1
    await client.until_disconnected()
    data = check_webhook(await audit.event("client-disconnected", client_id=who))
    assert data["reason"] == "kicked"
    assert story(audit, who) == ["client-connected", "client-disconnected"]


@pytest.mark.parametrize("blinks", [1, 3])
async def test_resumed(audit: Receiver, audited: Server, node: Node, blinks: int):
    """Who is back within the grace resumed its session: nobody left, no room was vacated, nobody disconnected."""
    who = unique("ada")
    client = await user(node, audited, who, **BACK)
    check_ack("join", await client.emit("join", {"room": who}))
    session = check_webhook(await audit.event("client-connected", client_id=who))["session_id"]
    for number in range(blinks):
        client.lose()
        await client.until_reconnected(number + 2)
        if not client.recovered:
            check_ack("join", await client.emit("join", {"room": who}))
        resumed = check_webhook((await audit.take(number + 1, "client-resumed", client_id=who))[-1])
        assert (resumed["session_id"], resumed["user_id"]) == (session, who)
        assert resumed["sid"] == client.sid
        assert resumed["recovered"] is client.recovered
    await asyncio.sleep(GRACE + 0.3)
    assert story(audit, who) == [
        "client-connected",
        "room-occupied",
        "room-joined",
        *["client-resumed"] * blinks,
    ]
    client.disconnect()
    gone = check_webhook(await audit.event("client-disconnected", client_id=who))
    assert (gone["session_id"], gone["sid"]) == (session, client.sid)
    assert sorted(story(audit, who)[3 + blinks :]) == ["client-disconnected", "room-left", "room-vacated"]


async def test_back_too_late(audit: Receiver, audited: Server, node: Node):
    """Who is back after the grace was disconnected, and is connected again with another session."""
    who = unique("ada")
    client = await user(node, audited, who)
    client.lose()
    await audit.event("client-disconnected", client_id=who)
    await user(node, audited, who)
    first, second = await audit.take(2, "client-connected", client_id=who)
    assert first.data["session_id"] != second.data["session_id"]
    assert story(audit, who) == ["client-connected", "client-disconnected", "client-connected"]


async def test_two_tabs(audit: Receiver, audited: Server, node: Node):
    """Each connection of a user is a session of its own, and ends on its own."""
    who = unique("ada")
    tabs = [await user(node, audited, who) for _ in range(2)]
    sessions = {
        e.data["sid"]: e.data["session_id"] for e in await audit.take(2, "client-connected", client_id=who)
    }
    assert len(set(sessions.values())) == 2
    for tab in tabs:
        tab.disconnect()
        gone = check_webhook(await audit.event("client-disconnected", sid=tab.sid))
        assert gone["session_id"] == sessions[tab.sid]
    assert len(audit.find("client-disconnected", client_id=who)) == 2


async def test_refused(audit: Receiver, audited: Server, node: Node):
    """Who is refused was never connected, and is not told of."""
    who = unique("ada")
    refused = node.open(audited.url, auth={"token": token(who, secret="x" * 64)})
    await refused.until_refused()
    other = unique("bob")
    (await user(node, audited, other)).disconnect()
    await audit.event("client-disconnected", client_id=other)
    await asyncio.sleep(0.2)
    assert story(audit, who) == []
