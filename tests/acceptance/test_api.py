"""The HTTP API of CONTRACT section 8, asked over real connections, with stock clients in the rooms."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from rtserver.protocol import answers

from .harness.http import Backend, check_error, check_item_error
from .harness.node_client import Node, NodeClient, until
from .harness.receiver import Receivers
from .harness.server import Server, Servers
from .harness.shapes import SECRET, check_ack, check_event, check_member, check_timestamp, token, unique
from .harness.webhooks import check_webhook, hooked

KEY = "the-key"


@pytest.fixture(scope="module")
def api_server(module_servers: Servers) -> Server:
    """A server that asks nobody for a key, with small limits."""
    return module_servers.serve(
        {
            "engine": {"max_payload": "200KB"},
            "limits": {"message_size": "2KB", "rooms_per_client": 4},
            "rooms": [
                {"match": "full-*", "max_members": 1},
                {"match": "closed-*", "join": "nobody", "publish": "nobody"},
                {"match": "*"},
            ],
        }
    )


@pytest.fixture(scope="module")
def secured(module_servers: Servers) -> Server:
    """A server with keys and tokens."""
    return module_servers.serve(
        {"auth": {"mode": "required", "jwt": {"secret": SECRET}}, "api": {"keys": ["other-key", KEY]}}
    )


@pytest.fixture
async def backend(api_server: Server) -> AsyncIterator[Backend]:
    """Somebody who asks it."""
    async with Backend(api_server) as one:
        yield one


async def member(node: Node, server: Server, *rooms: str, **auth: Any) -> NodeClient:
    """A client in these rooms."""
    client = await node.connect(server.url, auth=auth)
    for room in rooms:
        check_ack("join", await client.emit("join", {"room": room}))
    return client


async def sid_of(client: NodeClient) -> str:
    """Its sid."""
    return str((await client.next("welcome"))["sid"])


class TestPublish:
    """``POST /api/publish``."""

    async def test_room(self, node: Node, api_server: Server, backend: Backend, transports: str):
        """Members get the broadcast, by nobody and called SYSTEM; others do not."""
        room = unique("room")
        inside = await node.connect(api_server.url, transports=transports)
        check_ack("join", await inside.emit("join", {"room": room}))
        outside = await member(node, api_server)
        answer = await backend.post(
            "/api/publish", answers.Accepted, {"room": room, "message": "hi", "data": {"n": 1}}
        )
        assert answer["recipients"] == 1
        heard = check_event("broadcast", await inside.next("broadcast"))
        assert (heard["id"], heard["offset"]) == (answer["id"], answer["offset"])
        assert (heard["room"], heard["message"], heard["data"]) == (room, "hi", {"n": 1})
        assert (heard["sender"], heard["username"]) == (None, "SYSTEM")
        await outside.none("broadcast")

    async def test_event(self, node: Node, api_server: Server, backend: Backend):
        """An event of its own name has exactly the data for its payload, or the message, an offset and history."""
        room = unique("room")
        client = await member(node, api_server, room)
        payloads = [{"data": {"done": 3}}, {"message": "text"}, {"message": "text", "data": None}]
        offsets = [
            (
                await backend.post(
                    "/api/publish", answers.Accepted, {"room": room, "event": "task_update", **more}
                )
            )["offset"]
            for more in payloads
        ]
        assert offsets == list(range(offsets[0], offsets[0] + 3))
        assert await client.take("task_update", 3) == [{"done": 3}, "text", None]
        history = await backend.get(f"/api/rooms/{room}/history", answers.RoomHistory)
        assert [one["data"] for one in history["messages"]] == [{"done": 3}, "text", None]

    async def test_all(self, servers: Servers, node: Node):
        """Everybody gets it, in no room, but for those in `except`."""
        server = servers.serve()
        one, other = [await node.connect(server.url) for _ in range(2)]
        sid = await sid_of(other)
        async with Backend(server) as backend:
            body = {"all": True, "event": "chat", "message": "hi", "except": [sid]}
            assert (await backend.post("/api/publish", answers.Accepted, body))["recipients"] == 1
        assert check_event("chat", await one.next("chat"))["room"] is None
        await other.none("chat")

    async def test_user(self, node: Node, api_server: Server, backend: Backend):
        """Every tab of the user gets it, and nobody else; offsets rise by one."""
        name = unique("ada")
        tabs = [await member(node, api_server, client_id=name) for _ in range(2)]
        other = await member(node, api_server)
        done = [
            await backend.post(
                "/api/publish", answers.Accepted, {"user": name, "event": "job", "data": number}
            )
            for number in range(2)
        ]
        assert [one["recipients"] for one in done] == [2, 2]
        assert done[1]["offset"] == done[0]["offset"] + 1
        for tab in tabs:
            assert await tab.take("job", 2) == [0, 1]
        await other.none("job")

    async def test_sid(self, node: Node, api_server: Server, backend: Backend):
        """One tab of the user gets it and the other does not; an unknown sid is 404."""
        name = unique("ada")
        one, other = [await member(node, api_server, client_id=name) for _ in range(2)]
        body = {"sid": await sid_of(one), "message": "you"}
        assert (await backend.post("/api/publish", answers.Accepted, body))["recipients"] == 1
        assert check_event("broadcast", await one.next("broadcast"))["message"] == "you"
        await other.none("broadcast")
        response = await backend.ask("POST", "/api/publish", json={"sid": "nobody", "message": "x"})
        check_error(response, 404, "not_found", "sid")

    @pytest.mark.parametrize("target", [{"room": "nobody-here"}, {"user": "nobody-here"}])
    async def test_nobody_there(self, backend: Backend, target: dict[str, str]):
        """Publishing to nobody is 200 with no recipients."""
        answer = await backend.post("/api/publish", answers.Accepted, {**target, "message": "x"})
        assert answer["recipients"] == 0

    async def test_where_only_backends_may(self, node: Node, api_server: Server, backend: Backend):
        """A room of policy `nobody` is joined and published to by backends alone."""
        room = unique("closed")
        client = await member(node, api_server)
        sid = await sid_of(client)
        joined = await backend.post(f"/api/clients/{sid}/join", answers.Joined, {"room": room})
        assert joined == {"room": room, "joined": True, "count": 1}
        answer = await backend.post("/api/publish", answers.Accepted, {"room": room, "message": "x"})
        assert answer["recipients"] == 1
        check_event("broadcast", await client.next("broadcast"))

    async def test_form(self, backend: Backend):
        """What curl sends when nobody says that it is JSON is taken: a form, or JSON in its clothes."""
        room = unique("room")
        for more in (
            {"data": {"room": room, "message": "x"}},
            {
                "content": f'{{"room": "{room}", "message": "x"}}',
                "headers": {"content-type": "application/x-www-form-urlencoded"},
            },
        ):
            response = await backend.ask("POST", "/api/publish", **more)
            assert response.status_code == 200, response.text

    @pytest.mark.parametrize(
        ("body", "named"),
        [
            ({"message": "x"}, "room, user, sid and all"),
            ({"room": "a", "all": True, "message": "x"}, "exactly one"),
            ({"all": False, "message": "x"}, "all"),
            ({"room": "a"}, "message or data"),
            ({"room": 7, "message": "x"}, "room"),
            ({"room": "", "message": "x"}, "room"),
            ({"room": "user:ada", "message": "x"}, "room"),
            ({"room": "a\u202eb", "message": "x"}, "room"),
            ({"room": "a", "message": 7}, "message"),
            ({"room": "a", "message": "x", "event": "disconnect"}, "event"),
            ({"room": "a", "message": "x", "event": "connect"}, "event"),
            ({"room": "a", "message": "x", "rooom": 1}, "rooom"),
            ({"room": "a", "message": "x", "except": "sid"}, "except"),
            ({"room": "a", "data": {"_placeholder": True, "num": 0}}, "data"),
            ([], "object"),
            ("text", "object"),
        ],
    )
    async def test_bad_body(self, backend: Backend, body: Any, named: str):
        """A wrong body is 400 and says what is wrong with it."""
        check_error(await backend.ask("POST", "/api/publish", json=body), 400, "bad_request", named)

    @pytest.mark.parametrize(
        ("content", "kind", "named"),
        [
            (b"{", "application/json", "JSON"),
            (b"", "application/json", "JSON"),
            (b"\xff", "application/json", "JSON"),
            (b"<room/>", "text/xml", "content-type"),
            (b"room=a&room=b&message=x", "application/x-www-form-urlencoded", "twice"),
            (b"--x\r\nno", "multipart/form-data", ""),
        ],
    )
    async def test_bad_content(self, backend: Backend, content: bytes, kind: str, named: str):
        """What cannot be read is 400, whatever it says it is."""
        response = await backend.ask("POST", "/api/publish", content=content, headers={"content-type": kind})
        check_error(response, 400, "bad_request", named)

    async def test_too_large(self, backend: Backend):
        """A message over `message_size`, and a body over `max_payload`, are 413."""
        for size in (2001, 300_000):
            response = await backend.ask("POST", "/api/publish", json={"room": "a", "message": "x" * size})
            check_error(response, 413, "message_too_large", "bytes")


class TestIdempotency:
    """`idempotency_key`."""

    async def test_once(self, node: Node, api_server: Server, backend: Backend):
        """Twenty requests at once under one key are one publication, and all get its answer."""
        room = unique("room")
        client = await member(node, api_server, room)
        body = {"room": room, "message": "once", "idempotency_key": unique("key")}
        done = await asyncio.gather(
            *(backend.post("/api/publish", answers.Accepted, body) for _ in range(20)),
            *(
                backend.post("/api/publish/batch", answers.Results, {"publications": [body]})
                for _ in range(5)
            ),
        )
        assert {str(one.get("results", [one])[0]) for one in done} == {str(done[0])}
        assert check_event("broadcast", await client.next("broadcast"))["message"] == "once"
        await client.none("broadcast")


class TestBatch:
    """``POST /api/publish/batch``."""

    async def test_in_order(self, node: Node, api_server: Server, backend: Backend):
        """A thousand arrive in order; an item's error is that item's."""
        room = unique("room")
        client = await member(node, api_server, room)
        items: list[Any] = [{"room": room, "event": "n", "data": number} for number in range(998)]
        items[500:500] = [{"room": room}, 7]
        results = (await backend.post("/api/publish/batch", answers.Results, {"publications": items}))[
            "results"
        ]
        for bad in (500, 501):
            check_item_error(results[bad], "bad_request")
        offsets = [one["offset"] for one in results if "offset" in one]
        assert offsets == list(range(offsets[0], offsets[0] + 998))
        assert await client.take("n", 998) == list(range(998))

    @pytest.mark.parametrize(
        ("body", "named"),
        [
            ({"publications": [{}] * 1001}, "publications"),
            ({"publications": {}}, "publications"),
            ({}, "publications"),
            ([], "object"),
            ({"publications": [], "more": 1}, "more"),
        ],
    )
    async def test_bad(self, backend: Backend, body: Any, named: str):
        """What is no batch is refused as a whole."""
        check_error(await backend.ask("POST", "/api/publish/batch", json=body), 400, "bad_request", named)

    async def test_empty(self, backend: Backend):
        """An empty batch has no results."""
        body: dict[str, Any] = {"publications": []}
        assert await backend.post("/api/publish/batch", answers.Results, body) == {"results": []}


class TestRooms:
    """``GET /api/rooms…``."""

    async def test_listing(self, servers: Servers, node: Node):
        """Rooms come by name, page by page, with their number of members; those without any are not there."""
        server = servers.serve()
        await member(node, server, *(f"room-{number}" for number in range(5)), client_id="ada")
        await member(node, server, "room-3", client_id="bob")
        async with Backend(server) as backend:
            await backend.post("/api/publish", answers.Accepted, {"room": "empty", "message": "x"})
            names: list[str] = []
            query: dict[str, Any] = {"limit": 2}
            while True:
                page = await backend.get("/api/rooms", answers.Rooms, **query)
                names += page["rooms"]
                assert page["counts"] == {name: 2 if name == "room-3" else 1 for name in page["rooms"]}
                if page["next"] is None:
                    break
                query["cursor"] = page["next"]
            assert names == [f"room-{number}" for number in range(5)]

    async def test_one(self, node: Node, api_server: Server, backend: Backend):
        """A room has members and an offset; one that nobody was ever in has none, and is no error."""
        room = unique("room")
        before = await backend.get(f"/api/rooms/{room}", answers.Room)
        assert (before["room"], before["count"]) == (room, 0)
        await member(node, api_server, room)
        published = await backend.post("/api/publish", answers.Accepted, {"room": room, "message": "x"})
        now = await backend.get(f"/api/rooms/{room}", answers.Room)
        assert now == {"room": room, "count": 1, "offset": published["offset"]}

    async def test_slashes(self, node: Node, api_server: Server, backend: Backend):
        """A name with a slash in it is one segment of the path when the slash is encoded."""
        room = unique("a/members")
        await member(node, api_server, room)
        path = room.replace("/", "%2F")
        assert (await backend.get(f"/api/rooms/{path}", answers.Room))["count"] == 1
        assert (await backend.get(f"/api/rooms/{path}/members", answers.Members))["count"] == 1

    async def test_members(self, node: Node, api_server: Server, backend: Backend):
        """Members come in the order in which they joined; two tabs are one member; the count is exact."""
        room = unique("room")
        names = [unique("member") for _ in range(5)]
        for name in (*names, names[0]):
            await member(node, api_server, room, client_id=name)
        found: list[str] = []
        query: dict[str, Any] = {"limit": 2}
        while True:
            page = await backend.get(f"/api/rooms/{room}/members", answers.Members, **query)
            assert page["count"] == 5
            found += [check_member(one)["client_id"] for one in page["members"]]
            if page["next"] is None:
                break
            query["cursor"] = page["next"]
        assert found == names

    async def test_history(self, backend: Backend):
        """History is oldest first; `next` leads back to the first; `since` and `before` are exclusive."""
        room = unique("room")
        items = [{"room": room, "event": "n", "data": number} for number in range(10)]
        results = (await backend.post("/api/publish/batch", answers.Results, {"publications": items}))[
            "results"
        ]
        offsets = [one["offset"] for one in results]
        path = f"/api/rooms/{room}/history"
        found: list[int] = []
        query: dict[str, Any] = {"limit": 4}
        while True:
            page = await backend.get(path, answers.RoomHistory, **query)
            assert (page["offset"], page["complete"]) == (offsets[-1], True)
            for one in page["messages"]:
                check_timestamp(one["timestamp"])
            found = [one["data"] for one in page["messages"]] + found
            if page["next"] is None:
                break
            query["cursor"] = page["next"]
        assert found == list(range(10))
        part = await backend.get(path, answers.RoomHistory, since=offsets[2], before=offsets[5])
        assert [one["data"] for one in part["messages"]] == [3, 4]
        cut = await backend.get(path, answers.RoomHistory, since=offsets[0], limit=2)
        assert ([one["data"] for one in cut["messages"]], cut["complete"]) == ([8, 9], False)
        assert cut["next"] == str(offsets[8])

    async def test_binary(self, node: Node, api_server: Server, backend: Backend):
        """Binary data is base64 text over HTTP, and so never an error."""
        room = unique("room")
        client = await member(node, api_server, room)
        check_ack(
            "chat", await client.emit("chat", {"room": room, "message": "x", "data": {"b": b"\x00\xff"}})
        )
        page = await backend.get(f"/api/rooms/{room}/history", answers.RoomHistory)
        assert page["messages"][0]["data"] == {"b": "AP8="}

    @pytest.mark.parametrize(
        ("query", "named"),
        [
            ("limit=0", "limit"),
            ("limit=1001", "limit"),
            ("limit=x", "limit"),
            ("limit=1&limit=2", "limit"),
            ("since=-1", "since"),
            ("nonsense=1", "nonsense"),
        ],
    )
    async def test_bad_query(self, backend: Backend, query: str, named: str):
        """A wrong query is 400 and says which part of it."""
        check_error(await backend.ask("GET", f"/api/rooms/a/history?{query}"), 400, "bad_request", named)


class TestClients:
    """``/api/clients`` and ``/api/users``."""

    async def test_looking_up(self, servers: Servers, node: Node):
        """A connection and a user are found with their rooms; lists come page by page."""
        server = servers.serve()
        clients = [await member(node, server, "lobby", client_id="ada", name="Ada") for _ in range(3)]
        sids = [await sid_of(client) for client in clients]
        async with Backend(server) as backend:
            one = await backend.get(f"/api/clients/{sids[0]}", answers.ConnectedClient)
            assert (one["sid"], one["client_id"], one["user_id"]) == (sids[0], "ada", None)
            assert (one["rooms"], one["ip"], one["namespace"]) == (["lobby"], "127.0.0.1", "/")
            check_timestamp(one["connected_at"])
            user = await backend.get("/api/users/ada", answers.User)
            assert user["connected"] is True
            assert {client["sid"] for client in user["clients"]} == set(sids)
            assert user["rooms"] == ["lobby"]
            first = await backend.get("/api/clients", answers.Clients, limit=2)
            rest = await backend.get("/api/clients", answers.Clients, limit=2, cursor=first["next"])
            assert (first["count"], rest["next"]) == (3, None)
            assert [one["sid"] for one in first["clients"] + rest["clients"]] == sorted(sids)
            nobody = await backend.get("/api/users/nobody", answers.User)
            assert nobody == {"user": "nobody", "connected": False, "clients": [], "rooms": []}

    async def test_disconnect(self, node: Node, api_server: Server, backend: Backend):
        """The client is told the reason and stays away; the user's other tabs go with the user."""
        name = unique("ada")
        tabs = [await member(node, api_server, client_id=name) for _ in range(3)]
        sid = await sid_of(tabs[0])
        done = await backend.post(
            f"/api/clients/{sid}/disconnect", answers.Disconnected, {"reason": "too loud"}
        )
        assert done == {"disconnected": 1}
        told = check_event("disconnecting_by_server", await tabs[0].next("disconnecting_by_server"))
        assert (told["reason"], told["message"], told["reconnect"]) == ("kicked", "too loud", False)
        check_error(await backend.ask("POST", f"/api/clients/{sid}/disconnect"), 404, "not_found", "sid")
        await tabs[1].none("disconnecting_by_server")
        assert await backend.post(f"/api/users/{name}/disconnect", answers.Disconnected) == {
            "disconnected": 2
        }
        for tab in tabs[1:]:
            check_event("disconnecting_by_server", await tab.next("disconnecting_by_server"))
        assert await backend.post(f"/api/users/{name}/disconnect", answers.Disconnected, {}) == {
            "disconnected": 0
        }

    async def test_one_whose_line_was_cut(self, servers: Servers, node: Node):
        """One that is held after its line was cut can be sent away, and its room hears of it at once."""
        server = servers.serve({"recovery": {"grace": "30s"}})
        other = await member(node, server, "lobby", client_id="bob")
        ada = await node.member(server.url, "lobby", "ada", reconnection=False)
        sid = await sid_of(ada)
        check_event("user_joined", await other.next("user_joined"))
        ada.lose()
        async with Backend(server) as backend:

            async def look() -> int:
                return int((await backend.get("/api/clients", answers.Clients))["count"])

            await until(look, lambda count: count == 1)
            assert await backend.post(f"/api/clients/{sid}/disconnect", answers.Disconnected) == {
                "disconnected": 1
            }
            check_event("user_left", await other.next("user_left"))
            check_error(await backend.ask("GET", f"/api/clients/{sid}"), 404, "not_found")

    async def test_join_and_leave(self, node: Node, api_server: Server, backend: Backend):
        """A backend puts a client into a room and takes it out; the others hear of it; twice changes nothing."""
        room = unique("room")
        other = await member(node, api_server, room)
        client = await member(node, api_server, client_id=unique("ada"))
        path = f"/api/clients/{await sid_of(client)}"
        for joined in (True, False):
            answer = await backend.post(f"{path}/join", answers.Joined, {"room": room})
            assert answer == {"room": room, "joined": joined, "count": 2}
        check_event("user_joined", await other.next("user_joined"))
        check_ack("chat", await client.emit("chat", {"room": room, "message": "here I am"}))
        for left in (True, False):
            answer = await backend.post(f"{path}/leave", answers.Left, {"room": room})
            assert answer == {"room": room, "left": left, "count": 1}
        check_event("user_left", await other.next("user_left"))

    async def test_limits_of_joining(self, node: Node, api_server: Server, backend: Backend):
        """A full room, and a client in as many rooms as it may, are 409."""
        room = unique("full")
        await member(node, api_server, room)
        client = await member(node, api_server, *(unique("room") for _ in range(4)))
        sid = await sid_of(client)
        path = f"/api/clients/{sid}/join"
        check_error(await backend.ask("POST", path, json={"room": "fifth"}), 409, "too_many_rooms")
        fresh = await sid_of(await member(node, api_server))
        path = f"/api/clients/{fresh}/join"
        check_error(await backend.ask("POST", path, json={"room": room}), 409, "room_full")

    @pytest.mark.parametrize(
        ("path", "body", "status", "reason"),
        [
            ("/api/clients/nobody/join", {"room": "a"}, 404, "not_found"),
            ("/api/clients/nobody/leave", {"room": "a"}, 404, "not_found"),
            ("/api/clients/nobody/join", {}, 400, "bad_request"),
            ("/api/clients/nobody/join", {"room": "sid:x"}, 400, "bad_request"),
            ("/api/clients/nobody/disconnect", {"reason": 7}, 400, "bad_request"),
            ("/api/clients/nobody/disconnect", {"reason": "x" * 501}, 400, "bad_request"),
            ("/api/users/%00/disconnect", {}, 400, "bad_request"),
        ],
    )
    async def test_refused(self, backend: Backend, path: str, body: Any, status: int, reason: str):
        """Who is not there is 404, a wrong body or name 400."""
        check_error(await backend.ask("POST", path, json=body), status, reason)


class TestDeliveries:
    """``/api/webhooks/deliveries``."""

    async def test_listing_and_retrying(self, receivers: Receivers, servers: Servers, node: Node):
        """Deliveries are listed by state and target, page by page, and one that is retried arrives again."""
        receiver = receivers.open()
        server = servers.serve(hooked(receiver.target(events=["message-broadcast"])))
        path = "/api/webhooks/deliveries"
        async with Backend(server) as backend:
            for number in range(3):
                body = {"room": "lobby", "message": str(number), "data": {"n": number}}
                answer = await backend.post("/api/publish", answers.Accepted, body)
            first = await receiver.take(3, "message-broadcast")
            data = check_webhook(first[-1])
            assert (data["message"], data["data"]) == ("2", {"n": 2})
            assert (data["id"], data["offset"]) == (answer["id"], answer["offset"])
            assert (data["sender"], data["username"]) == (None, "SYSTEM")

            async def delivered() -> dict[str, Any]:
                return await backend.get(path, answers.Deliveries, state="delivered", target="audit", limit=2)

            page = await until(delivered, lambda found: found["next"] is not None)
            rest = await backend.get(path, answers.Deliveries, cursor=page["next"])
            ids = [one["id"] for one in page["deliveries"] + rest["deliveries"]]
            assert ids == sorted(ids, reverse=True)
            assert len(ids) == 3
            assert await backend.post(f"{path}/{ids[0]}/retry", answers.Retried) == {"retried": 1}
            await receiver.until(lambda: len(receiver.events()) == 4, "the fourth delivery")
            assert receiver.events()[-1].id == ids[0].partition("/")[0]
            check_error(await backend.ask("POST", f"{path}/no-such/retry"), 404, "not_found", "delivery")
            check_error(await backend.ask("GET", path, params={"target": "audti"}), 404, "not_found", "audit")
            check_error(await backend.ask("GET", path, params={"state": "gone"}), 400, "bad_request", "state")


class TestKeys:
    """Who may ask."""

    CALLS = (
        ("POST", "/api/publish"),
        ("POST", "/api/publish/batch"),
        ("GET", "/api/rooms"),
        ("GET", "/api/rooms/a"),
        ("GET", "/api/rooms/a/members"),
        ("GET", "/api/rooms/a/history"),
        ("GET", "/api/clients"),
        ("GET", "/api/clients/a"),
        ("POST", "/api/clients/a/disconnect"),
        ("POST", "/api/clients/a/join"),
        ("POST", "/api/clients/a/leave"),
        ("GET", "/api/users/a"),
        ("POST", "/api/users/a/disconnect"),
        ("GET", "/api/webhooks/deliveries"),
        ("POST", "/api/webhooks/deliveries/a/retry"),
    )

    @pytest.mark.parametrize(("method", "path"), CALLS)
    async def test_needed(self, secured: Server, method: str, path: str):
        """Without a key, with a wrong one, and with a user's token there is nothing but 401."""
        async with Backend(secured) as backend:
            for header in (
                {},
                {"authorization": "Bearer wrong"},
                {"authorization": f"Bearer {token('ada')}"},
            ):
                response = await backend.ask(method, path, headers=header, content=b"{}")
                check_error(response, 401, "unauthorized")
                assert response.headers["www-authenticate"] == "Bearer"

    @pytest.mark.parametrize("key", ["other-key", KEY])
    async def test_each_is_enough(self, secured: Server, node: Node, key: str):
        """Any of the keys opens the API; a user's own identity is in what it answers."""
        user = unique("ada")
        client = await node.connect(secured.url, auth={"token": token(user, name="Ada")})
        sid = await sid_of(client)
        async with Backend(secured, key) as backend:
            one = await backend.get(f"/api/clients/{sid}", answers.ConnectedClient)
            assert (one["user_id"], one["verified"], one["name"]) == (user, True, "Ada")


class TestMethods:
    """What is there, and how it may be asked for."""

    @pytest.mark.parametrize(
        ("method", "path"), [*TestKeys.CALLS, ("GET", "/openapi.json"), ("GET", "/docs")]
    )
    async def test_wrong_method(self, backend: Backend, method: str, path: str):
        """A wrong method is 405 with `bad_request`, and says which is right."""
        for wrong in {"GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"} - {method}:
            response = await backend.ask(wrong, path)
            check_error(response, 405, "bad_request")
            assert method in response.headers["allow"]

    @pytest.mark.parametrize(
        "path", ["/api", "/api/", "/api/publish/", "/api/rooms/a/b", "/api/rooms//members"]
    )
    async def test_not_there(self, backend: Backend, path: str):
        """What is not there is 404."""
        check_error(await backend.ask("GET", path), 404, "not_found")

    async def test_a_foreign_page(self, backend: Backend):
        """A page of a foreign origin may not publish, though the API is open."""
        response = await backend.ask(
            "POST",
            "/api/publish",
            json={"all": True, "message": "x"},
            headers={"origin": "https://evil.example"},
        )
        check_error(response, 403, "forbidden")
