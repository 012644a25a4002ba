"""Plain WebSockets against the real command: every row of CONTRACT section 9."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from tests.plain import Plain, plain

from .harness.node_client import HERE, LIMIT, Driver, Node
from .harness.receiver import Receiver
from .harness.server import Server, Servers
from .harness.shapes import SECRET, check_ack, check_event, check_refusal, token, unique
from .harness.webhooks import hooked

KEY = {"authorization": "Bearer the-key"}
TOKENS = {"jwt": {"secret": SECRET}, "refresh_grace": "2s"}


@pytest.fixture(scope="module", params=["optional", "required"])
def secured(request: pytest.FixtureRequest, module_servers: Servers) -> Server:
    """A server with tokens; guests come in, or not."""
    rooms = [{"match": "team-*", "join": "claim"}, {"match": "closed", "join": "nobody"}, {"match": "*"}]
    auth = {"mode": request.param, **TOKENS}
    return module_servers.serve({"auth": auth, "api": {"keys": ["the-key"]}, "rooms": rooms})


async def tell(server: Server, path: str, **body: str) -> None:
    """A backend's POST of a notification."""
    async with httpx.AsyncClient(base_url=server.url, trust_env=False) as http:
        answer = await http.post(path, headers=KEY, json=body)
        assert answer.status_code in (200, 201), answer.text


async def refused(server: Server, path: str) -> tuple[int | None, str]:
    """How a connection to *path* is closed that is not let in."""
    async with plain(server.url, path, welcome=False) as ws:
        code, reason = await ws.closed()
        assert ws.story == []
        return code, reason


def payload(event: str, frame: dict) -> dict:
    """What a frame carries, which must be the event's."""
    kind = {"type": frame["level"]} if "level" in frame else {}
    return check_event(event, {**{key: value for key, value in frame.items() if key != "type"}, **kind})


class TestUnmodified:
    async def test_a_client_of_a_hand_written_manager(self, server: Server, node: Node, driver: Driver):
        """JSON with message_type, text, and its own ping: a client written for something else works as it is."""
        who = unique("user123")
        other = await node.connect(server.url)
        url = f"ws://127.0.0.1:{server.port}/ws/{who}"
        client = await asyncio.create_subprocess_exec(
            "node", "unmodified.mjs", url, cwd=HERE, stdout=asyncio.subprocess.PIPE
        )
        out, _ = await asyncio.wait_for(client.communicate(), LIMIT)
        welcome, chat, text, pong, closed = (json.loads(line) for line in out.splitlines())
        assert payload("welcome", welcome)["client_id"] == who
        assert (chat["type"], chat["message"], chat["sender"], chat["room"]) == (
            "chat",
            "Hello world",
            who,
            None,
        )
        assert (text["type"], text["message"]) == ("broadcast", "just text")
        assert pong.keys() == {"type", "timestamp"}
        assert closed["type"] == "closed"
        assert payload("chat", chat) == check_event("chat", await other.next("chat"))
        assert payload("broadcast", text) == check_event("broadcast", await other.next("broadcast"))


class TestEvents:
    async def test_one_room(self, server: Server, node: Node):
        """A Socket.IO client and plain ones share a room: joins, messages, typing, presence, history, private words."""
        room, ada, bob = unique("lobby"), unique("ada"), unique("bob")
        sio = await node.member(server.url, room, ada)
        async with plain(server.url, f"/ws/{bob}?name=Bob") as ws:
            check_ack("join", await ws.ask("join", room=room))
            joined = check_event("user_joined", await sio.next("user_joined"))
            assert (joined["client_id"], joined["name"], joined["count"]) == (bob, "Bob", 2)
            ack = await ws.ask("chat", room=room, message="hello", data={"n": [1]})
            heard = check_event("chat", await sio.next("chat"))
            assert payload("chat", await ws.next("chat")) == heard
            assert (ack["message_id"], ack["offset"]) == (heard["id"], heard["offset"])
            await sio.emit("chat", {"room": room, "message": "hi"})
            assert payload("chat", await ws.next("chat"))["sender"] == ada
            await ws.send({"type": "typing", "room": room, "is_typing": True})
            assert (await sio.next("user_typing"))["client_id"] == bob
            presence = check_ack("presence", await ws.ask("presence", room=room))
            assert {member["client_id"] for member in presence["members"]} == {ada, bob}
            history = await ws.ask("history", room=room)
            assert [one["message"] for one in history["messages"]] == ["hello", "hi"]
            assert (await ws.ask("private", to=ada, message="psst"))["delivered"] == 1
            assert (await sio.next("private"))["sender"] == bob
            assert (await ws.ask("rooms"))["rooms"] == [room]
            check_ack("leave", await ws.ask("leave", room=room))
            assert (await sio.next("user_left"))["client_id"] == bob
            check_refusal(await ws.ask("leave", room=room), "not_a_member")

    async def test_a_chat_room(self, server: Server):
        """On /ws/chat/{room} one is joined, what names no room goes there, and `since` brings what was missed."""
        room = unique("room")
        async with (
            plain(server.url, f"/ws/chat/{room}?client_id=a") as ada,
            plain(server.url, f"/ws/chat/{room}?client_id=b") as bob,
        ):
            assert payload("user_joined", await ada.next("user_joined"))["client_id"] == "b"
            for frame in ({"message": "one"}, "two", {"type": "broadcast", "message": "three"}):
                await ada.send(frame)
            heard = [await bob.receive() for _ in range(3)]
            assert [(one["message"], one["room"]) for one in heard] == [
                (text, room) for text in ("one", "two", "three")
            ]
            assert (await ada.ask("rooms"))["rooms"] == [room]
        async with plain(server.url, f"/ws/chat/{room}?client_id=b&since={heard[0]['offset']}") as bob:
            joined = await bob.receive()
            assert (joined["type"], joined["recovered"]) == ("joined", True)
            assert [one["message"] for one in joined["history"]] == ["two", "three"]
            again = check_ack("join", await bob.ask("join", room=room, since=heard[1]["offset"]))
            assert [one["message"] for one in again["history"]] == ["three"]

    async def test_a_topic(self, secured: Server, node: Node):
        """On /ws/notify/{topic} one hears the topic; the kind of a notification is in `level`."""
        topic = unique("deploys")
        async with plain(secured.url, f"/ws/notify/{topic}?token={token('ada')}") as ws:
            await ws.ask("ping")
            await tell(secured, f"/notify/{topic}", title="Out", message="1.4", type="success")
            notification = await ws.next("notification")
            assert (notification["level"], notification["title"], notification["topic"]) == (
                "success",
                "Out",
                topic,
            )
            payload("notification", notification)
            check_ack("unsubscribe", await ws.ask("unsubscribe"))

    async def test_an_inbox(self, secured: Server, node: Node):
        """On /ws/notifications a user's notifications arrive, can be read, and the other tabs hear of it."""
        user = unique("ada")
        other = await node.connect(secured.url, auth={"token": token(user)})
        async with plain(secured.url, f"/ws/notifications?token={token(user)}") as ws:
            await tell(
                secured, f"/api/users/{user}/notifications", title="Shipped", message="x", type="warning"
            )
            got = payload("new_notification", await ws.next("new_notification"))
            assert (got["level"], got["user"]) == ("warning", user)
            await other.next("new_notification")
            page = await ws.ask("notifications", unread=True)
            assert page["unread"] == 1
            assert (await ws.ask("mark_read", notification_ids=[got["id"]]))["marked"] == 1
            assert (await other.next("notification_read"))["notification_ids"] == [got["id"]]


class TestTokens:
    async def test_who_gets_in(self, secured: Server, request: pytest.FixtureRequest):
        """A token counts; a bad or expired one, another user's path, and an inbox without one close with their code."""
        good, mode = token("ada", name="Ada"), request.node.callspec.params["secured"]
        for path in ("/ws", "/ws/ada", "/ws/chat/r", "/ws/notify/t", "/ws/notifications"):
            async with plain(secured.url, f"{path}?token={good}&client_id=eve", welcome=False) as ws:
                welcome = payload("welcome", await ws.receive())
                assert (welcome["client_id"], welcome["name"], welcome["verified"]) == ("ada", "Ada", True)
            assert (await refused(secured, f"{path}?token=rubbish"))[0] == 4001
            assert (await refused(secured, f"{path}?token={token('ada', ttl=-120)}"))[0] == 4012
        code, reason = await refused(secured, f"/ws/bob?token={good}")
        assert (code, reason.partition(":")[0]) == (4003, "forbidden")
        assert await refused(secured, "/ws/notifications") == (
            4001,
            "unauthorized: a token is required" + (": guests have no inbox" if mode == "optional" else ""),
        )
        if mode == "required":
            assert (await refused(secured, "/ws/bob"))[0] == 4001
        else:
            async with plain(secured.url, "/ws/ada", welcome=False) as ws:
                assert (await ws.receive())["client_id"].startswith("guest:")

    async def test_rooms_that_are_closed(self, secured: Server):
        """A room that one may not join closes with `forbidden`, after saying so; one that the token names is joined."""
        for path in ("/ws/chat/closed", "/ws/chat/team-1", "/ws/chat/user:x"):
            async with plain(secured.url, f"{path}?token={token('ada')}") as ws:
                code, reason = await ws.closed()
                assert (code, reason) == (4003, "forbidden")
                assert (await ws.next("disconnecting_by_server"))["reason"] == "forbidden"
        async with plain(secured.url, f"/ws/chat/team-1?token={token('ada', rooms=['team-*'])}") as ws:
            assert (await ws.ask("rooms"))["rooms"] == ["team-1"]

    async def test_expiry(self, secured: Server):
        """A token's end is announced; a new one of the same user lets one stay, none closes with token_expired."""
        async with plain(secured.url, f"/ws?token={token('ada', ttl=3)}") as ws:
            await ws.next("token_expiring")
            check_refusal(await ws.ask("refresh_token", token=token("eve")), "forbidden")
            check_ack("refresh_token", await ws.ask("refresh_token", token=token("ada", ttl=3)))
            await ws.next("token_expiring")
            assert await ws.closed() == (4012, "token_expired")
            assert (await ws.next("disconnecting_by_server"))["reconnect"] is True


class TestLimits:
    async def test_connections(self, serve):
        """One connection too many closes with too_many_connections; those of Socket.IO and plain ones count as one."""
        server = serve({"limits": {"connections": {"per_ip": 2}}})
        async with plain(server.url), plain(server.url):
            assert (await refused(server, "/ws"))[0] == 4009
        async with plain(server.url) as ws:
            assert (await ws.ask("ping"))["pong"] is True

    async def test_accept_rate(self, serve):
        """Who comes too fast is refused before the upgrade, with 503 and when to come again."""
        server = serve({"limits": {"connections": {"accept_rate": 1}}})
        with pytest.raises(InvalidStatus) as error:
            for _ in range(5):
                async with plain(server.url):
                    pass
        assert error.value.response.status_code == 503
        assert int(error.value.response.headers["retry-after"]) >= 1

    async def test_rate(self, serve):
        """Frames over the rate are refused with retry_after, whatever they are; a flood ends with the connection."""
        rate = {"messages": 5, "per": "1s", "burst": 5}
        server = serve({"limits": {"rate": rate}})
        async with plain(server.url) as ws:
            for _ in range(5):
                await ws.send("text")
            answer = check_refusal(await ws.ask("chat", message="x"), "rate_limited")
            assert answer["retry_after"] > 0
            await ws.send(b"\x00")
            assert (await ws.next("error"))["reason"] == "rate_limited"
            flood = asyncio.ensure_future(self._flood(ws))
            assert await ws.closed() == (4008, "rate_limited")
            await asyncio.gather(flood, return_exceptions=True)

    async def _flood(self, ws: Plain) -> None:
        for _ in range(5000):
            await ws.send({"type": "pong"})


class TestBackends:
    async def test_webhooks(self, serve, receiver: Receiver):
        """Backends hear of plain clients, rooms and messages as of any other."""
        server = serve(hooked(receiver.target(), recovery={"grace": "200ms"}))
        who = unique("ws")
        async with plain(server.url, f"/ws/chat/r?client_id={who}") as ws:
            connected = await receiver.event("client-connected", client_id=who)
            assert connected.data["transport"] == "websocket"
            await receiver.event("room-joined", client_id=who, room="r")
            ack = await ws.ask("chat", message="hi")
            said = await receiver.event("message-broadcast", sender=who)
            assert (said.data["id"], said.data["room"]) == (ack["message_id"], "r")
        gone = await receiver.event("client-disconnected", client_id=who)
        assert gone.data["session_id"] == connected.data["session_id"]
        assert gone.data["reason"] == "client disconnect"

    async def test_stopping(self, serve):
        """A server that stops tells its plain clients, and closes with server_draining."""
        server = serve({})
        async with plain(server.url) as ws:
            server.terminate()
            assert await ws.closed() == (4015, "server_draining")
            assert (await ws.next("disconnecting_by_server"))["reconnect"] is True
        assert await asyncio.to_thread(server.wait) == 0

    async def test_another_server(self, servers: Servers):
        """Under plain uvicorn the same works, slower."""
        import sys

        from .harness.server import free_port

        where, port = servers.directory(), free_port()
        (where / "my_app.py").write_text("from rtserver import create_app\n\napp = create_app({})\n")
        argv = [sys.executable, "-m", "uvicorn", "my_app:app", "--port", str(port), "--app-dir", str(where)]
        servers.start(Server(argv, where, port, codes=(0, 143, -15), says_so_on="stderr"))
        async with plain(f"http://127.0.0.1:{port}", "/ws/chat/r") as ws:
            await ws.send("hello")
            assert (await ws.next("broadcast"))["room"] == "r"
