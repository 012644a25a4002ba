"""Limits and policies (CONTRACT section 10), each with its reason of the closed list."""

from __future__ import annotations

import asyncio
import time

import pytest

from .harness import raw
from .harness.node_client import Node, NodeClient, RefusedError, until
from .harness.server import Server, Servers
from .harness.shapes import (
    SECRET,
    check_ack,
    check_connect_error,
    check_error_event,
    check_event,
    check_refusal,
    token,
    unique,
)


@pytest.fixture(scope="module")
def limited(module_servers: Servers) -> Server:
    """A server with small sizes and a policy of every kind."""
    return module_servers.serve(
        {
            "limits": {"message_size": "1KB", "rooms_per_client": 3},
            "rooms": [
                {"match": "nobody-*", "join": "nobody", "publish": "nobody"},
                {"match": "news-*", "join": "anyone", "publish": "nobody"},
                {"match": "club-*", "join": "anyone", "publish": "members"},
                {"match": "users-*", "join": "authenticated", "publish": "authenticated"},
                {"match": "small-*", "max_members": 2},
                {"match": "*", "join": "anyone", "publish": "anyone"},
            ],
        }
    )


SIZES = [
    ({"message": "x" * 1001}, False),
    ({"message": "\u00e9" * 501}, False),
    ({"message": "x", "data": "y" * 1001}, False),
    ({"message": "x", "data": {"deep": ["y" * 1001]}}, False),
    ({"message": "x", "data": b"\x00" * 1001}, False),
    ({"message": "x", "data": [b"\x00" * 400, b"\x00" * 400, b"\x00" * 400]}, False),
    ({"message": "x" * 600, "data": "y" * 600}, False),
    ({"message": "x" * 600, "data": b"\x00" * 600}, False),
    ({"message": "x" * 1000}, True),
    ({"message": "x", "data": "y" * 900}, True),
    ({"message": "x", "data": b"\x00" * 900}, True),
]


@pytest.mark.parametrize(("payload", "fits"), SIZES, ids=[str(n) for n in range(len(SIZES))])
@pytest.mark.parametrize("event", ["chat", "broadcast", "private"])
async def test_message_size(limited: Server, node: Node, event: str, payload: dict, fits: bool):
    """message_size counts message and data together, binary included; more is message_too_large."""
    room, who = unique("r"), unique("a")
    client = await node.member(limited.url, room, who)
    target = {"to": who} if event == "private" else {"room": room}
    ack = await client.emit(event, {**target, **payload})
    if fits:
        check_ack(event, ack)
        await client.next(event)
    else:
        check_refusal(ack, "message_too_large")
        client.send(event, {**target, **payload})
        check_error_event(await client.next("error"), "message_too_large", event)
    await client.none(event, "error")


async def test_message_size_of_text(limited: Server, node: Node, transports: str):
    """Plain text through `message` has the same limit."""
    client = await node.connect(limited.url, transports=transports)
    check_refusal(await client.emit("message", "x" * 1001), "message_too_large")
    await client.none("broadcast", "error")


async def test_too_many_rooms(limited: Server, node: Node):
    """One room too many is too_many_rooms; leaving one makes space; being in one again needs none."""
    client = await node.connect(limited.url)
    rooms = [unique("r") for _ in range(4)]
    for room in rooms[:3]:
        check_ack("join", await client.emit("join", {"room": room}))
    check_refusal(await client.emit("join", {"room": rooms[3]}), "too_many_rooms")
    check_ack("join", await client.emit("join", {"room": rooms[0]}))
    check_ack("leave", await client.emit("leave", {"room": rooms[1]}))
    check_ack("join", await client.emit("join", {"room": rooms[3]}))
    assert set((await client.emit("rooms"))["rooms"]) >= {rooms[0], rooms[2], rooms[3]}


async def test_room_full(limited: Server, node: Node):
    """max_members counts client_ids: a second tab of a member still gets in, a third member gets room_full."""
    room, who = unique("small"), unique("a")
    first = await node.member(limited.url, room, who)
    bob = await node.member(limited.url, room, unique("b"))
    await node.member(limited.url, room, who)
    eve = await node.connect(limited.url)
    check_refusal(await eve.emit("join", {"room": room}), "room_full")
    assert check_ack("presence", await first.emit("presence", {"room": room}))["count"] == 2
    check_ack("leave", await bob.emit("leave", {"room": room}))
    check_ack("join", await eve.emit("join", {"room": room}))


@pytest.mark.parametrize(
    ("event", "fields"),
    [
        ("join", {}),
        ("chat", {"message": "x"}),
        ("broadcast", {"message": "x"}),
        ("presence", {}),
    ],
)
async def test_nobody(limited: Server, node: Node, event: str, fields: dict):
    """What a policy gives to nobody is forbidden to every client."""
    client = await node.connect(limited.url)
    check_refusal(await client.emit(event, {"room": unique("nobody"), **fields}), "forbidden")
    await client.none("chat", "broadcast")


@pytest.mark.parametrize("event", ["chat", "broadcast"])
async def test_readers_do_not_publish(limited: Server, node: Node, event: str):
    """In a room where nobody may publish a member may listen, and no more."""
    room = unique("news")
    client = await node.member(limited.url, room, unique("a"))
    check_refusal(await client.emit(event, {"room": room, "message": "x"}), "forbidden")
    await client.none(event)


@pytest.mark.parametrize("event", ["chat", "broadcast"])
async def test_members_publish(limited: Server, node: Node, event: str):
    """With publish: members who is not in the room is not_a_member."""
    room = unique("club")
    member = await node.member(limited.url, room, unique("a"))
    outside = await node.connect(limited.url)
    check_refusal(await outside.emit(event, {"room": room, "message": "x"}), "not_a_member")
    check_ack(event, await member.emit(event, {"room": room, "message": "y"}))
    assert (await member.next(event))["message"] == "y"
    await member.none(event)


async def test_anyone_publishes(limited: Server, node: Node):
    """With publish: anyone who is not in the room is heard there and hears nothing; an empty room has no recipients."""
    room, who = unique("open"), unique("bob")
    tabs = [await node.member(limited.url, room, who) for _ in range(3)]
    outside = await node.connect(limited.url)
    ack = check_ack("broadcast", await outside.emit("broadcast", {"room": room, "message": "from outside"}))
    assert ack["recipients"] == 3
    ack = check_ack(
        "broadcast", await outside.emit("broadcast", {"room": room, "message": "again", "echo": False})
    )
    assert ack["recipients"] == 3
    for tab in tabs:
        assert [payload["message"] for payload in await tab.take("broadcast", 2)] == ["from outside", "again"]
    await outside.none("broadcast")
    ack = check_ack(
        "broadcast", await outside.emit("broadcast", {"room": unique("empty"), "message": "hello?"})
    )
    assert ack["recipients"] == 0


async def test_authenticated_only(limited: Server, node: Node):
    """A room for the authenticated is forbidden to who is not."""
    client = await node.connect(limited.url)
    room = unique("users")
    check_refusal(await client.emit("join", {"room": room}), "forbidden")
    check_refusal(await client.emit("chat", {"room": room, "message": "x"}), "forbidden")
    check_refusal(await client.emit("presence", {"room": room}), "forbidden")


async def test_claims(serve, node: Node):
    """With `claim` the token's patterns say which rooms one may join and which one may publish to."""
    server = serve(
        {
            "auth": {"mode": "required", "jwt": {"secret": SECRET, "algorithms": ["HS256"]}},
            "rooms": [{"match": "*", "join": "claim", "publish": "claim"}],
        }
    )
    mine = token("ada", rooms=["team-*", "lobby"], publish=["team-1"])
    ada = await node.connect(server.url, auth={"token": mine})
    for room in ("team-1", "team-2", "lobby"):
        check_ack("join", await ada.emit("join", {"room": room}))
    for room in ("other", "team", "lobby2", "xteam-1"):
        check_refusal(await ada.emit("join", {"room": room}), "forbidden")
    check_ack("chat", await ada.emit("chat", {"room": "team-1", "message": "x"}))
    check_refusal(await ada.emit("chat", {"room": "team-2", "message": "x"}), "forbidden")
    bob = await node.connect(server.url, auth={"token": token("bob")})
    check_refusal(await bob.emit("join", {"room": "team-1"}), "forbidden")
    check_refusal(await bob.emit("broadcast", {"room": "team-1", "message": "x"}), "forbidden")
    await ada.next("chat")
    await ada.none("chat", "broadcast")


class TestRate:
    @pytest.fixture(scope="class")
    @staticmethod
    def slow(module_servers: Servers) -> Server:
        """A server for five events at once, and one more every second."""
        return module_servers.serve({"limits": {"rate": {"messages": 5, "per": "5s", "burst": 5}}})

    async def test_rate(self, slow: Server, node: Node, transports: str):
        """Over limits.rate events are rate_limited with retry_after, and after that they work again."""
        client = await node.connect(slow.url, transports=transports, auth={"client_id": "ada"})
        begun = time.monotonic()
        futures = [client.start("chat", {"message": str(n)}) for n in range(12)]
        acks = [(await client.awaited(future, "chat"))[0] for future in futures]
        good = [ack for ack in acks if ack["ok"]]
        assert 5 <= len(good) <= 6 + (time.monotonic() - begun), acks
        assert all(ack["ok"] for ack in acks[:5])
        errors = [check_refusal(ack, "rate_limited") for ack in acks if not ack["ok"]]
        assert all(0 < error["retry_after"] <= 1.0 for error in errors)
        error = errors[-1]
        await asyncio.sleep(error["retry_after"] + 0.05)
        check_ack("chat", await client.emit("chat", {"message": "again"}))
        assert client.connects == 1

    async def test_everything_counts(self, serve, node: Node):
        """Unknown and bad events count against the rate, and without an ack `error` tells of it."""
        server = serve({"limits": {"rate": {"messages": 3, "per": "1m", "burst": 3}}})
        client = await node.connect(server.url)
        check_refusal(await client.emit("nonsense"), "unknown_event")
        check_refusal(await client.emit("join", {}), "bad_request")
        check_refusal(await client.emit("message", {"type": "nonsense"}), "unknown_event")
        error = check_refusal(await client.emit("ping", {}), "rate_limited")
        assert 0 < error["retry_after"] <= 60
        check_refusal(await client.emit("nonsense"), "rate_limited")
        client.send("chat", {"message": "x"})
        check_error_event(await client.next("error"), "rate_limited", "chat")
        other = await node.connect(server.url)
        await other.sync()

    async def test_one_event(self, serve, node: Node):
        """limits.events limits one event alone, however it is reached."""
        server = serve({"limits": {"events": {"chat": {"messages": 2, "per": "1m", "burst": 2}}}})
        client = await node.connect(server.url)
        check_ack("chat", await client.emit("chat", {"message": "1"}))
        check_ack("chat", await client.emit("message", {"type": "chat", "message": "2"}))
        check_refusal(await client.emit("message", {"type": "chat", "message": "3"}), "rate_limited")
        check_refusal(await client.emit("chat", {"message": "3"}), "rate_limited")
        check_ack("broadcast", await client.emit("broadcast", {"message": "free"}))
        await client.sync()


async def test_sustained_abuse(serve, node: Node):
    """Who does not stop is told rate_limited and disconnected, comes back by itself, and others notice nothing."""
    server = serve({"limits": {"rate": {"messages": 10, "per": "1s", "burst": 10}}})
    witness = await node.connect(server.url)
    flooder = await node.connect(server.url, reconnection=True, reconnectionDelay=100)
    flooder.burst("ping", 3000)
    farewell = check_event("disconnecting_by_server", await flooder.next("disconnecting_by_server"))
    assert (farewell["reason"], farewell["reconnect"]) == ("rate_limited", True)
    await flooder.until_reconnected()
    assert len(flooder.unread("error")) >= 1000
    assert witness.connects == 1
    await witness.sync()


async def admitted(node: Node, url: str, transports: str) -> NodeClient | None:
    """A connected client, or None when it was refused."""
    try:
        return await node.connect(url, transports=transports)
    except RefusedError:
        return None


class TestConnections:
    async def test_total(self, serve, node: Node, transports: str):
        """One connection too many is refused with too_many_connections; when one has gone there is space."""
        server = serve({"limits": {"connections": {"total": 2}}})
        first = await node.connect(server.url, transports=transports)
        second = await node.connect(server.url, transports=transports)
        refused = await node.open(server.url, transports=transports).until_refused()
        check_connect_error(refused.message, refused.data, "too_many_connections")
        async with raw.http(server.url) as web:
            assert (await web.get("/healthz")).status_code == 200
            assert (await web.get("/readyz")).status_code == 200
        await second.sync()
        first.disconnect()
        await first.until_disconnected()
        third = await until(lambda: admitted(node, server.url, transports), bool)
        assert (await third.next("welcome"))["total_connections"] == 2

    async def test_per_user(self, serve, node: Node):
        """limits.connections.per_user counts the connections of one client_id."""
        server = serve({"limits": {"connections": {"per_user": 2}}})
        for _ in range(2):
            await node.connect(server.url, auth={"client_id": "ada"})
        refused = await node.open(server.url, auth={"client_id": "ada"}).until_refused()
        check_connect_error(refused.message, refused.data, "too_many_connections")
        await node.connect(server.url, auth={"client_id": "bob"})

    async def test_per_ip(self, serve, node: Node):
        """limits.connections.per_ip counts the connections of one address; a forged header does not help."""
        server = serve({"limits": {"connections": {"per_ip": 2}}})
        for _ in range(2):
            await node.connect(server.url)
        client = node.open(server.url, extraHeaders={"X-Forwarded-For": "198.51.100.7"})
        refused = await client.until_refused()
        check_connect_error(refused.message, refused.data, "too_many_connections")

    async def test_accept_rate(self, serve, node: Node):
        """Over accept_rate a handshake is 503 with Retry-After, so that socket.io-client tries again by itself."""
        server = serve({"limits": {"connections": {"accept_rate": 2}}})
        async with raw.http(server.url) as web:
            params = {"EIO": "4", "transport": "polling"}
            answers = [await web.get(raw.PATH, params=params) for _ in range(8)]
        refused = [answer for answer in answers if answer.status_code == 503]
        assert answers[0].status_code == 200
        assert refused
        assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
        patient = node.open(server.url, reconnection=True, reconnectionDelay=200, reconnectionDelayMax=400)
        await patient.until(lambda: patient.connected, "patience to be rewarded")
