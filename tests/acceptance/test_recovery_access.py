"""Connection state recovery beside everything that decides who may come in: tokens, hooks, limits, revocation."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from .harness.backend import SECRET as HOOK_SECRET
from .harness.backend import Backend
from .harness.line import Line, line
from .harness.node_client import Node, NodeClient, until
from .harness.receiver import Receiver
from .harness.server import Server, Servers
from .harness.shapes import SECRET, check_ack, check_event, check_refusal, token, unique
from .harness.webhooks import hooked

BACK = {
    "timeout": 2000,
    "reconnection": True,
    "reconnectionDelay": 20,
    "reconnectionDelayMax": 60,
    "randomizationFactor": 0.5,
}
KEY = {"authorization": "Bearer the-key"}
TOKENS: dict[str, Any] = {
    "auth": {"mode": "required", "jwt": {"secret": SECRET}},
    "api": {"keys": ["the-key"]},
    "recovery": {"grace": "30s"},
}
NO_GRACE = {"recovery": {"grace": 0}}


@pytest.fixture(scope="module")
def guarded(module_servers: Servers) -> Server:
    """A server that wants tokens, and holds lost clients for long."""
    return module_servers.serve(TOKENS)


@pytest.fixture
def backend() -> Iterator[Backend]:
    """Allows everything until it is told otherwise."""
    backend = Backend()
    yield backend
    backend.close()


async def comes_with(wire: Line, node: Node, given: str) -> NodeClient:
    """A client behind the line with a token, which comes back by itself."""
    return await node.connect(wire.url, auth={"token": given}, **BACK)


async def join(client: NodeClient, room: str) -> None:
    """Enter a room."""
    check_ack("join", await client.emit("join", {"room": room}))


async def cut(wire: Line, client: NodeClient) -> None:
    """Cut the line, and let nobody through until `wire.down` is false again."""
    wire.down = True
    wire.cut()
    await client.until_disconnected()


async def back(wire: Line, client: NodeClient, connects: int = 2) -> None:
    """Let it through, and wait for it."""
    wire.down = False
    await client.until_reconnected(connects)


async def refused(client: NodeClient, why: str) -> None:
    """Wait until the server refuses it; before that the line may have."""
    await client.until(lambda: client.connect_error is not None and client.connect_error.message == why, why)


async def members(client: NodeClient, room: str) -> list[str]:
    """Who is in the room."""
    ack = check_ack("presence", await client.emit("presence", {"room": room}))
    return [member["client_id"] for member in ack["members"]]


async def ask(server: Server, path: str, body: Any) -> httpx.Response:
    """A backend's request."""
    async with httpx.AsyncClient(base_url=server.url, trust_env=False) as client:
        return await client.post(path, json=body, headers=KEY)


class TestTokens:
    """The token that a client comes back with decides who it is."""

    async def test_a_newer_one(self, guarded: Server, node: Node):
        """A session goes on with a new token of the same user; from then on that one counts, and may be renewed."""
        who, room = unique("bob"), unique("r")
        ada = await node.connect(guarded.url, auth={"token": token(unique("ada"))})
        await join(ada, room)
        async with line(guarded.port) as wire:
            first = token(who, ttl=3)
            bob, witness = [
                await comes_with(wire, node, first),
                await node.connect(guarded.url, auth={"token": first}),
            ]
            await join(bob, room)
            await cut(wire, bob)
            check_ack("chat", await ada.emit("chat", {"room": room, "message": "missed"}))
            bob.authorize({"token": token(who, ttl=3600)})
            await back(wire, bob)
            assert bob.recovered
            assert (await bob.next("chat"))["message"] == "missed"
            # When the first token is over for who has nothing else, bob stays.
            assert (await witness.next("disconnecting_by_server"))["reason"] == "token_expired"
            await bob.none("disconnecting_by_server")
            check_ack("refresh_token", await bob.emit("refresh_token", {"token": token(who)}))

    async def test_it_expires_after_the_return(self, servers: Servers, node: Node):
        """A client that recovered is watched like any other: when its token expires it is sent away."""
        server = servers.serve({**TOKENS, "auth": {**TOKENS["auth"], "refresh_grace": "1s"}})
        async with line(server.port) as wire:
            bob = await comes_with(wire, node, token("bob", ttl=4))
            await cut(wire, bob)
            await back(wire, bob)
            assert bob.recovered
            check_event("token_expiring", await bob.next("token_expiring"))
            farewell = check_event("disconnecting_by_server", await bob.next("disconnecting_by_server"))
            assert farewell["reason"] == "token_expired"

    async def test_renewed_before_the_cut(self, guarded: Server, node: Node):
        """A client that renewed its token and comes back with another good one recovers."""
        who, room = unique("bob"), unique("r")
        async with line(guarded.port) as wire:
            bob = await comes_with(wire, node, token(who, ttl=5))
            await join(bob, room)
            check_ack("refresh_token", await bob.emit("refresh_token", {"token": token(who, ttl=3600)}))
            await cut(wire, bob)
            await back(wire, bob)
            assert bob.recovered

    async def test_another_user(self, guarded: Server, node: Node):
        """A client that comes back as another user is another one: in no room, told nothing of what was missed."""
        who, room = unique("bob"), unique("r")
        ada = await node.connect(guarded.url, auth={"token": token(unique("ada"))})
        await join(ada, room)
        async with line(guarded.port) as wire:
            bob = await comes_with(wire, node, token(who))
            await join(bob, room)
            sid = bob.sid
            await cut(wire, bob)
            check_ack("chat", await ada.emit("chat", {"room": room, "message": "for bob"}))
            bob.authorize({"token": token(unique("eve"))})
            await back(wire, bob)
            assert (bob.recovered, bob.sid == sid) == (False, False)
            assert check_ack("rooms", await bob.emit("rooms"))["rooms"] == []
            await bob.none("chat")

    @pytest.mark.parametrize("graceful", [True, False], ids=["within grace", "after it"])
    async def test_revoked_while_away(self, servers: Servers, node: Node, graceful: bool):
        """Who is revoked while away is gone at once for the others, and a new token begins a new session."""
        server, now = servers.serve(TOKENS if graceful else {**TOKENS, **NO_GRACE}), int(time.time())
        ada = await node.connect(server.url, auth={"token": token("ada")})
        await join(ada, "r")
        async with line(server.port) as wire:
            bob = await comes_with(wire, node, token("bob", iat=now - 60))
            await join(bob, "r")
            await cut(wire, bob)
            if graceful:
                assert await members(ada, "r") == ["ada", "bob"]
            rule = {"user": "bob", "issued_before": now - 30}
            assert (await ask(server, "/api/tokens/revoke", rule)).json() == {"revoked": 0}
            assert await members(ada, "r") == ["ada"]
            check_ack("chat", await ada.emit("chat", {"room": "r", "message": "not for bob"}))
            wire.down = False
            await refused(bob, "token_revoked")
            bob.authorize({"token": token("bob", iat=now)})
            bob.reconnect()
            await bob.until_reconnected()
            assert not bob.recovered
            assert check_ack("rooms", await bob.emit("rooms"))["rooms"] == []
            await bob.none("chat")

    async def test_others_are_not_revoked(self, guarded: Server, node: Node):
        """Revoking one user costs no other user that is away its session."""
        async with line(guarded.port) as wire:
            bob = await comes_with(wire, node, token(unique("bob")))
            await cut(wire, bob)
            await ask(guarded, "/api/tokens/revoke", {"user": unique("eve")})
            await back(wire, bob)
            assert bob.recovered


class TestHooks:
    """The operator's backend is asked on every return who that is, and about rooms that are joined again."""

    def config(self, backend: Backend, *kinds: str, **more: Any) -> dict[str, Any]:
        """A server that asks it."""
        hooks = {kind: f"{backend.url}/{kind}" for kind in kinds} | {"secrets": [HOOK_SECRET], "cache": 0}
        return {"auth": {"mode": "optional", "jwt": {"secret": SECRET}, "hooks": hooks}, **more}

    async def test_named_by_the_backend(self, servers: Servers, backend: Backend, node: Node):
        """A client that the backend names recovers under that name; when it names another user, nothing is."""
        server = servers.serve(self.config(backend, "connect", recovery={"grace": "30s"}))
        backend.rules["connect"] = lambda data: {"allow": True, "client_id": data["auth"]["session"]}
        ada = await node.connect(server.url, auth={"session": "ada"})
        await join(ada, "r")
        async with line(server.port) as wire:
            bob = await node.connect(wire.url, auth={"session": "bob"}, **BACK)
            await join(bob, "r")
            await cut(wire, bob)
            check_ack("chat", await ada.emit("chat", {"room": "r", "message": "missed"}))
            await back(wire, bob)
            assert bob.recovered
            assert (await bob.next("chat"))["message"] == "missed"
            assert await members(ada, "r") == ["ada", "bob"]
            # What the library says of the session is nobody else's.
            assert all(set(data["auth"]) == {"session"} for data in backend.of("connect"))
            backend.rules["connect"] = lambda data: {"allow": True, "client_id": "eve"}
            await cut(wire, bob)
            await back(wire, bob, 3)
            assert not bob.recovered
            assert check_ack("rooms", await bob.emit("rooms"))["rooms"] == []

    async def test_refused_by_the_backend(self, servers: Servers, backend: Backend, node: Node):
        """Whom the backend refuses on its return is given nothing, and recovers when it is let in again."""
        server = servers.serve(self.config(backend, "connect", recovery={"grace": "30s"}))
        async with line(server.port) as wire:
            bob = await node.connect(wire.url, auth={"token": token("bob")}, **BACK)
            await join(bob, "r")
            await cut(wire, bob)
            backend.rules["connect"] = lambda _: {"allow": False}
            wire.down = False
            await refused(bob, "forbidden")
            del backend.rules["connect"]
            bob.reconnect()
            await bob.until_reconnected()
            assert bob.recovered

    async def test_revoked_while_the_backend_thinks(self, servers: Servers, backend: Backend, node: Node):
        """A token that is revoked while its client is on the way in recovers nothing, and its client is sent away."""
        server = servers.serve(
            self.config(backend, "connect", recovery={"grace": "30s"}, api={"keys": ["the-key"]})
        )
        asked, answer = threading.Event(), threading.Event()

        def thinks(_: Any) -> dict[str, Any]:
            asked.set()
            answer.wait(1.5)
            return {"allow": True}

        async with line(server.port) as wire:
            bob = await node.connect(wire.url, auth={"token": token("bob")}, **BACK)
            await join(bob, "r")
            sid = bob.sid
            await cut(wire, bob)
            backend.rules["connect"] = thinks
            wire.down = False
            await asyncio.to_thread(asked.wait, 10)
            assert (await ask(server, "/api/tokens/revoke", {"user": "bob"})).status_code == 200
            answer.set()
            assert (await bob.next("disconnecting_by_server"))["reason"] == "token_revoked"
            assert [story[1:] for story in bob.story if story[0] == "connect"][1:] != [(sid, True)]
            ada = await node.connect(server.url, auth={"token": token("ada")})
            assert await members(ada, "r") == []

    async def test_a_room_within_grace(self, servers: Servers, backend: Backend, node: Node):
        """Within its time of grace a client never left its rooms, so nobody is asked about them."""
        server = servers.serve(self.config(backend, "join", recovery={"grace": "30s"}))
        async with line(server.port) as wire:
            bob = await node.connect(wire.url, auth={"token": token("bob")}, **BACK)
            await join(bob, "r")
            backend.rules["join"] = lambda _: {"allow": False}
            await cut(wire, bob)
            await back(wire, bob)
            assert bob.recovered
            assert len(backend.of("join")) == 1

    @pytest.mark.parametrize("allow", [True, False])
    async def test_a_room_after_grace(self, servers: Servers, backend: Backend, node: Node, allow: bool):
        """After it the backend is asked about each room; one no, and nothing is recovered or shown."""
        server = servers.serve(self.config(backend, "join", **NO_GRACE))
        ada = await node.connect(server.url, auth={"token": token("ada")})
        await join(ada, "r2")
        async with line(server.port) as wire:
            bob = await node.connect(wire.url, auth={"token": token("bob")}, **BACK)
            await join(bob, "r1")
            await join(bob, "r2")
            sid = bob.sid
            await cut(wire, bob)
            await until(lambda: members(ada, "r2"), lambda found: found == ["ada"])
            check_ack("chat", await ada.emit("chat", {"room": "r2", "message": "missed"}))
            backend.rules["join"] = lambda data: {"allow": allow or data["room"] == "r1"}
            asked = len(backend.of("join"))
            await back(wire, bob)
            assert bob.recovered is allow
            assert await members(ada, "r2") == (["ada", "bob"] if allow else ["ada"])
            again = backend.of("join")[asked:]
            assert sorted((one["client_id"], one["room"], one["sid"]) for one in again) == [
                ("bob", "r1", sid),
                ("bob", "r2", sid),
            ]
            if allow:
                assert (await bob.next("chat"))["message"] == "missed"
            else:
                await bob.none("chat")
                check_refusal(await bob.emit("join", {"room": "r2"}), "forbidden")


class TestLimits:
    """Who comes back is counted like anybody else, and never twice."""

    async def test_accept_rate(self, servers: Servers, node: Node):
        """A crowd that comes back faster than is accepted is turned away at the door, tries again, and recovers."""
        server = servers.serve({"limits": {"connections": {"accept_rate": 30}}, "recovery": {"grace": "30s"}})
        async with line(server.port) as wire:
            crowd = []
            for number in range(50):
                one = node.open(wire.url, auth={"client_id": f"c{number}"}, **BACK)
                crowd.append(one)
            for one in crowd:
                await one.until_reconnected(1)
                await join(one, "r")
            wire.cut()
            for one in crowd:
                await one.until_reconnected(2)
            assert all(one.recovered for one in crowd)
            check_ack("chat", await crowd[0].emit("chat", {"room": "r", "message": "all here"}))
            for one in crowd:
                assert (await one.next("chat"))["message"] == "all here"

    @pytest.mark.parametrize("half", [False, True], ids=["cut", "half-open"])
    async def test_full_house(self, servers: Servers, node: Node, half: bool):
        """With every limit reached those who are in come back to their own places."""
        limits = {"total": 4, "per_user": 2, "per_ip": 4}
        server = servers.serve({"limits": {"connections": limits}, "recovery": {"grace": "30s"}})
        async with line(server.port) as wire:
            crowd = [
                await node.connect(wire.url, auth={"client_id": f"c{number // 2}"}, **BACK)
                for number in range(4)
            ]
            for round_ in range(3):
                wire.down = True
                wire.cut(half=half)
                for one in crowd:
                    await one.until_disconnected()
                wire.down = False
                for one in crowd:
                    await one.until_reconnected(2 + round_)
                assert all(one.recovered for one in crowd)

    async def test_a_full_room(self, servers: Servers, node: Node):
        """Within its time of grace a client keeps its place in a full room."""
        rooms = [{"match": "*", "max_members": 1}]
        server = servers.serve({"rooms": rooms, "recovery": {"grace": "30s"}})
        async with line(server.port) as wire:
            bob = await node.connect(wire.url, auth={"client_id": "bob"}, **BACK)
            await join(bob, "r")
            await cut(wire, bob)
            eve = await node.connect(server.url, auth={"client_id": "eve"})
            check_refusal(await eve.emit("join", {"room": "r"}), "room_full")
            await back(wire, bob)
            assert bob.recovered


class TestWebhooks:
    """What backends hear of a return (CONTRACT section 7)."""

    async def test_within_grace(self, receiver: Receiver, servers: Servers, node: Node):
        """Within grace: one `client-resumed` of the same session, recovered, and of the rooms nothing."""
        server = servers.serve(hooked(receiver.target("audit"), recovery={"grace": "30s"}))
        async with line(server.port) as wire:
            bob = await node.connect(wire.url, auth={"client_id": "bob"}, **BACK)
            await join(bob, "r")
            await cut(wire, bob)
            await back(wire, bob)
            resumed = (await receiver.event("client-resumed", client_id="bob")).data
            connected = (await receiver.event("client-connected", client_id="bob")).data
            assert (resumed["session_id"], resumed["sid"]) == (connected["session_id"], bob.sid)
            assert (connected["recovered"], resumed["recovered"]) == (False, True)
            bob.disconnect()
            await receiver.event("client-disconnected", client_id="bob")
            types = [event.type for event in receiver.events() if event.data.get("client_id") == "bob"]
            assert types == [
                "client-connected",
                "room-joined",
                "client-resumed",
                "room-left",
                "client-disconnected",
            ]

    async def test_after_grace(self, receiver: Receiver, servers: Servers, node: Node):
        """Later: disconnected, then connected and recovered with a new session, and joined again."""
        server = servers.serve(hooked(receiver.target("audit"), **NO_GRACE))
        async with line(server.port) as wire:
            bob = await node.connect(wire.url, auth={"client_id": "bob"}, **BACK)
            await join(bob, "r")
            await cut(wire, bob)
            await receiver.event("client-disconnected", client_id="bob")
            await back(wire, bob)
            assert bob.recovered
            first, second = [
                event.data for event in await receiver.take(2, "client-connected", client_id="bob")
            ]
            assert (first["recovered"], second["recovered"]) == (False, True)
            assert first["session_id"] != second["session_id"]
            assert first["sid"] == second["sid"] == bob.sid
            await receiver.take(2, "room-joined", client_id="bob")
            assert not [event for event in receiver.events() if event.type == "client-resumed"]


async def test_notifications(guarded: Server, node: Node):
    """What a topic and the own inbox were told meanwhile is missed like everything else: once, in order, both tabs."""
    who, topic = unique("bob"), unique("t")
    async with line(guarded.port) as wire:
        bob = await comes_with(wire, node, token(who))
        tab = await node.connect(guarded.url, auth={"token": token(who)})
        check_ack("subscribe", await bob.emit("subscribe", {"topic": topic}))
        await ask(guarded, f"/api/users/{who}/notifications", {"title": "0", "message": ""})
        stored = await bob.next("new_notification")
        await cut(wire, bob)
        for title in "12":
            await ask(guarded, f"/notify/{topic}", {"title": title, "message": ""})
            await ask(guarded, f"/api/users/{who}/notifications", {"title": title, "message": ""})
        check_ack("mark_read", await tab.emit("mark_read", {"notification_ids": [stored["id"]]}))
        check_ack("mark_all_read", await tab.emit("mark_all_read", {}))
        await back(wire, bob)
        assert bob.recovered
        assert [one["title"] for one in await bob.take("notification", 2)] == ["1", "2"]
        assert [one["title"] for one in await bob.take("new_notification", 2)] == ["1", "2"]
        assert await bob.next("notification_read") == {"notification_ids": [stored["id"]]}
        assert await bob.next("all_read") == {}
        await ask(guarded, f"/notify/{topic}", {"title": "3", "message": ""})
        assert (await bob.next("notification"))["title"] == "3"
        await bob.none("notification", "new_notification")
