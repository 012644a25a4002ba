"""Plain WebSockets on the wire of either path: frames of every kind, what ends them, and what is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import json
import zlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
import socketio
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from rtserver.app import App
from rtserver.protocol.names import RESERVED_EVENTS
from tests.integration.gateway.house import House, eventually, served
from tests.plain import Plain, plain

PINGS = {"engine": {"ping_interval": "200ms", "ping_timeout": "200ms"}}


@pytest.fixture
async def small(way: str) -> AsyncIterator[House]:
    """A server that takes little in one message, and allows less of it to be said."""
    async with served({"engine": {"max_payload": "4KB"}, "limits": {"message_size": "1KB"}}, way) as one:
        yield one


class TestFrames:
    async def test_one_room_for_both(self, any_house: House):
        """What a plain client says is heard by Socket.IO, and the other way round, in one order for all."""
        sio = await any_house.client("sio", "lobby")
        async with plain(any_house.url, "/ws/chat/lobby?client_id=ws") as ws:
            (joined,) = await sio.until_event("user_joined")
            assert (joined["client_id"], joined["count"]) == ("ws", 2)
            await ws.send({"message": "from ws"})
            (heard,) = await sio.until_event("chat")
            own = await ws.next("chat")
            assert own == {"type": "chat", **heard}
            (ack,) = await sio.call("chat", {"room": "lobby", "message": "from sio", "data": {"n": 1}})
            heard = await ws.next("chat")
            assert (heard["message"], heard["data"], heard["offset"]) == ("from sio", {"n": 1}, ack["offset"])
        (left,) = await sio.until_event("user_left")
        assert left["client_id"] == "ws"

    async def test_binary_from_socketio(self, any_house: House):
        """Binary data of a Socket.IO client reaches plain clients as base64, and nobody less hears it."""
        sio = await any_house.client("sio", "lobby")
        async with plain(any_house.url, "/ws/chat/lobby") as ws:
            payload = {"room": "lobby", "message": "x", "data": {"_placeholder": True, "num": 0}}
            await sio.send("451-7" + json.dumps(["chat", payload]), b"\x00\xff")
            assert (await ws.next("chat"))["data"] == "AP8="
            await sio.until("437[")

    async def test_fragments(self, any_house: House):
        """A message in fragments is one message."""
        async with plain(any_house.url) as ws:
            await ws.connection.send(iter(['{"type":"pi', 'ng","id":', "1}"]))
            assert (await ws.next("ack"))["pong"] is True

    async def test_binary(self, any_house: House):
        """JSON in a binary frame is JSON; any other binary is refused, and the connection lives on."""
        async with plain(any_house.url) as ws:
            await ws.send(b'{"type":"ping","id":1}')
            assert (await ws.next("ack"))["id"] == 1
            await ws.send(b"\xff\x00")
            error = await ws.next("error")
            assert (error["reason"], error["event"]) == ("bad_request", "message")
            await ws.none("broadcast", "chat")

    async def test_many_at_once(self, any_house: House):
        """Frames are answered in order, also those that came in one write."""
        async with plain(any_house.url) as ws:
            for number in range(500):
                await ws.send({"type": "ping", "id": number})
            for number in range(500):
                assert (await ws.receive())["id"] == number

    async def test_before_the_welcome(self, app: App, any_house: House):
        """What a client says before it is let in waits, and is handled after the welcome, in order."""
        gate = asyncio.Event()

        @app.sio.on("connect")
        async def judge(sid: str, environ: dict[str, Any]) -> None:
            await gate.wait()

        async with plain(any_house.url, "/ws/chat/r", welcome=False) as ws:
            for number in range(200):
                await ws.send({"message": str(number)})
            await eventually(lambda: any_house.app.websocket.connections)
            gate.set()
            assert (await ws.receive())["type"] == "welcome"
            for number in range(200):
                heard = await ws.receive()
                assert (heard["message"], heard["room"]) == (str(number), "r")

    async def test_compressed(self):
        """With engine.compression on, messages go compressed both ways."""
        async with served({"engine": {"compression": True}}) as house:
            house.server.config.ws_per_message_deflate = True
            async with plain(house.url, compression="deflate") as ws:
                assert ws.connection.protocol.extensions
                await ws.send({"message": "abc" * 1000})
                assert (await ws.next("chat"))["message"] == "abc" * 1000


class TestBadInput:
    async def test_too_large_a_message(self, small: House):
        """More than limits.message_size is told message_too_large; the connection lives on."""
        async with plain(small.url) as ws:
            for frame in ({"type": "chat", "message": "x" * 1001}, "x" * 1001):
                await ws.send(frame)
                assert (await ws.next("error"))["reason"] == "message_too_large"
            assert (await ws.ask("chat", message="x" * 1000))["ok"] is True

    async def test_too_large_a_frame(self, small: House):
        """More than engine.max_payload closes with 1009, whole or in fragments."""
        for frame in ("x" * 4001, iter(["x" * 3000, "x" * 3000])):
            async with plain(small.url) as ws:
                await ws.connection.send(frame)
                assert (await ws.closed())[0] == 1009
        await small.empty()

    @pytest.mark.parametrize("event", sorted(RESERVED_EVENTS))
    @pytest.mark.parametrize("kind", ["none", "handlers"])
    async def test_reserved_names(self, app: App, any_house: House, event: str, kind: str):
        """Who sends a reserved name runs nothing, and is disconnected."""
        calls: list[Any] = []
        if kind == "handlers":
            app.sio.on("connect", lambda *args: calls.append(args))
            app.sio.on("disconnect", lambda *args: calls.append(args))
            app.sio.on("*", lambda *args: calls.append(args))
        for field in ("type", "message_type"):
            async with plain(any_house.url) as ws:
                calls.clear()
                await ws.send({field: event, "data": 1})
                assert (await ws.closed())[0] == 4000
            await any_house.empty()
            assert [args[1] for args in calls] == (["transport error"] if kind == "handlers" else [])

    @pytest.mark.parametrize(
        ("frame", "reason", "event"),
        [
            ({"type": "nope"}, "unknown_event", "nope"),
            ({"type": "chat", "message": "x", "colour": "red"}, "bad_request", "chat"),
            ({"type": "chat"}, "bad_request", "chat"),
            ({"type": "join"}, "bad_request", "join"),
            ({"type": "join", "room": "a\u202eb"}, "bad_request", "join"),
            ({"type": 5}, "bad_request", "message"),
            ({"type": "message", "message_type": "message"}, "bad_request", "message"),
            ({"type": "chat", "message_type": "chat", "message": "x"}, "bad_request", "chat"),
            ({"type": "leave", "room": "elsewhere"}, "not_a_member", "leave"),
            ({"type": "private", "to": "nobody", "message": "x"}, "not_found", "private"),
            ({"type": "chat", "message": "x", "id": "y" * 300}, "bad_request", "message"),
        ],
    )
    async def test_refusals(self, any_house: House, frame: dict[str, Any], reason: str, event: str):
        """A bad frame is answered, as an error without an id and as an ack with one, and the connection lives on."""
        async with plain(any_house.url) as ws:
            await ws.send(frame)
            error = await ws.next("error")
            assert (error["reason"], error["event"]) == (reason, event)
            assert error.keys() == {"type", "code", "reason", "message", "event"}
            if "id" not in frame:
                await ws.send({**frame, "id": {"any": ["json"]}})
                ack = await ws.next("ack")
                assert (ack["id"], ack["ok"]) == ({"any": ["json"]}, False)
                assert ack["error"].keys() == {"code", "reason", "message"}
                assert ack["error"]["reason"] == reason
            assert (await ws.ask("ping"))["pong"] is True

    async def test_deep_data(self, any_house: House):
        """Data that nests too deeply is refused, also when it is too deep to be read: it is text for nobody."""
        async with plain(any_house.url) as ws:
            await ws.send('{"type":"chat","message":"x","data":' + "[" * 100 + "]" * 100 + "}")
            assert (await ws.next("error"))["reason"] == "bad_request"
            await ws.send('{"a":' * 3000)
            assert (await ws.next("error"))["reason"] == "bad_request"

    async def test_a_frame_that_breaks_the_protocol(self, any_house: House):
        """An unmasked frame, or text that is not UTF-8, closes the connection and leaves nothing."""
        for wrong, code in ((b"\x81\x02{}", 1002), (b"\x81\x81\x00\x00\x00\x00\xff", 1007)):
            async with plain(any_house.url) as ws:
                ws.connection.transport.write(wrong)
                assert (await ws.closed())[0] == code
        await any_house.empty()


class TestHeartbeat:
    async def test_an_answer_keeps_it_open(self, way: str):
        """Who answers the server's pings stays; hearing anything counts."""
        async with served(PINGS, way) as house, plain(house.url, mute=True) as ws:
            for _ in range(4):
                text = json.loads(await asyncio.wait_for(ws.connection.recv(), 5))
                while text["type"] != "ping":
                    text = json.loads(await asyncio.wait_for(ws.connection.recv(), 5))
                await ws.send("anything")
            assert house.app.node.connections == 1

    async def test_silence_ends_it(self, way: str):
        """Who says nothing after a ping is closed, and not with 1000: a client that reconnects shall do so."""
        async with served(PINGS, way) as house:
            async with plain(house.url, mute=True) as ws:
                assert (await ws.closed())[0] == 1001
                assert [frame["type"] for frame in ws.story][-1] == "ping"
            await house.empty()


class TestEnds:
    @pytest.mark.parametrize("code", [1000, None])
    async def test_goodbye(self, way: str, code: int | None):
        """A close by the client, with 1000 or without a code, is a goodbye: it leaves at once."""
        async with served({"recovery": {"grace": "30s"}}, way) as house:
            sio = await house.client("sio", "lobby")
            async with plain(house.url, "/ws/chat/lobby?client_id=ws") as ws:
                await sio.until_event("user_joined")
                if code is None:
                    ws.connection.transport.write(b"\x88\x80\x00\x00\x00\x00")
                else:
                    await ws.connection.close(code)
                (left,) = await sio.until_event("user_left")
                assert left["client_id"] == "ws"

    @pytest.mark.parametrize("end", ["cut", "1001"])
    async def test_a_cut_is_held(self, way: str, end: str):
        """A lost line, and a page that is left, are held: who comes back in time is nobody's news."""
        async with served({"recovery": {"grace": "30s"}}, way) as house:
            sio = await house.client("sio", "lobby")
            async with plain(house.url, "/ws/chat/lobby?client_id=ws") as ws:
                await sio.until_event("user_joined")
                if end == "cut":
                    ws.cut()
                else:
                    await ws.connection.close(1001)
            await eventually(lambda: house.app.node.connections == 1)
            (ack,) = await sio.call("presence", {"room": "lobby"})
            assert ack["count"] == 2
            async with plain(house.url, "/ws/chat/lobby?client_id=ws"):
                (ack,) = await sio.call("presence", {"room": "lobby"})
                assert ack["count"] == 2
                assert not sio.saw('42["user_left"')

    async def test_nothing_is_left(self, any_house: House):
        """Nothing is left of connections that came, joined, subscribed, spoke, were refused, or were cut."""
        for path in ("/ws", "/ws/a", "/ws/chat/r", "/ws/notify/t", "/ws/notifications", "/ws/no/where"):
            async with plain(any_house.url, path, welcome=False) as ws:
                with contextlib.suppress(ConnectionClosed):
                    await ws.send({"type": "join", "room": "x"})
                if path.endswith("a"):
                    ws.cut()
        await any_house.empty()

    async def test_a_reader_that_stops(self, way: str):
        """A plain client that takes nothing is evicted like any other, counted, and the others hear everything."""
        limits = {"engine": {"send_buffer": {"max_bytes": "64KB", "stall": "300ms"}}}
        async with served(limits, way) as house, plain(house.url, "/ws/chat/r?client_id=slow") as slow:
            slow.connection.transport.pause_reading()
            async with plain(house.url, "/ws/chat/r?client_id=quick") as quick:
                for number in range(400):
                    await house.app.node.publish("r", "blob", data={"n": number, "blob": "x" * 30_000})
                    assert (await quick.next("blob"))["n"] == number
                await eventually(lambda: house.app.engine.limits.evicted == 1)
                await eventually(lambda: not house.app.node.is_connected("slow"))
                await quick.next("user_left")


class TestDoor:
    async def test_a_foreign_origin(self, any_house: House):
        """A page of a foreign origin is refused before the upgrade, with 403."""
        with pytest.raises(InvalidStatus) as refused:
            async with plain(any_house.url, origin="https://evil.example"):
                pass
        assert refused.value.response.status_code == 403

    async def test_draining(self, any_house: House):
        """A server that drains tells its plain clients, closes with 4015, and lets nobody in."""
        async with plain(any_house.url) as ws:
            await any_house.app.drain(0)
            code, reason = await ws.closed()
            assert (code, reason) == (4015, "server_draining")
            farewell = await ws.next("disconnecting_by_server")
            assert (farewell["code"], farewell["reconnect"]) == (4015, True)
        with pytest.raises(InvalidStatus) as refused:
            async with plain(any_house.url):
                pass
        assert refused.value.response.status_code == 503
        assert refused.value.response.headers["retry-after"] == "1"

    async def test_http(self, any_house: House):
        """A request that is no handshake is told what this is."""
        async with any_house.http() as http:
            response = await http.get("/ws/chat/lobby")
        assert response.status_code == 426
        assert response.json()["error"]["reason"] == "bad_request"


class TestEmbedding:
    async def test_handlers(self, app: App, any_house: House):
        """An application's handlers serve plain clients: its own events, a replaced built-in, and its answers."""

        @app.sio.on("order")
        async def order(sid: str, data: dict[str, Any]) -> dict[str, Any]:
            await app.sio.emit("order_taken", {"n": data["n"]}, to=sid)
            return {"price": 2 * data["n"]}

        @app.sio.on("chat")
        async def chat(sid: str, data: Any) -> str:
            return "mine"

        async with plain(any_house.url) as ws:
            assert await ws.ask("order", n=2) == {"ok": True, "price": 4}
            assert (await ws.next("order_taken"))["n"] == 2
            assert await ws.ask("chat", message="x") == {"ok": True, "data": "mine"}
            await ws.send({"message": "x", "message_type": "chat", "id": 5})
            assert (await ws.next("ack"))["data"] == "mine"

    async def test_the_message_event(self, app: App, any_house: House):
        """An application that takes the event `message` gets what has no other name, as it came."""
        seen: list[Any] = []
        app.sio.on("message", lambda sid, data: seen.append(data))
        async with plain(any_house.url) as ws:
            await ws.send("hello")
            await ws.send({"message_type": "chat", "message": "x"})
            await ws.send({"type": "message", "a": 1})
            assert (await ws.ask("chat", message="y"))["ok"] is True
        assert seen == ["hello", {"message_type": "chat", "message": "x"}, {"a": 1}]

    async def test_asking_a_client(self, app: App, any_house: House):
        """`sio.call` asks a plain client, which answers with an ack of that number."""
        async with plain(any_house.url, "/ws/ws") as ws:
            (client,) = app.node.connections_of("ws")
            asking = asyncio.ensure_future(app.sio.call("ask", {"n": 1}, to=client.sid))
            question = await ws.next("ask")
            await ws.send({"type": "ack", "id": question["ack"], "data": {"answer": 42}})
            assert await asking == {"answer": 42}

    async def test_refused_by_the_application(self, app: App, any_house: House):
        """A connect handler judges plain clients, too, and hears of their end."""
        told: list[Any] = []

        @app.sio.on("connect")
        async def connect_handler(sid: str, environ: dict[str, Any], auth: Any) -> None:
            told.append((environ["PATH_INFO"], environ["QUERY_STRING"]))
            if "no" in environ["QUERY_STRING"]:
                raise socketio.exceptions.ConnectionRefusedError("not you")

        app.sio.on("disconnect", lambda sid, reason: told.append(reason))
        async with plain(any_house.url, "/ws?no=1", welcome=False) as ws:
            assert await ws.closed() == (4001, "unauthorized: not you")
        async with plain(any_house.url, "/ws/ann"):
            pass
        await any_house.empty()
        assert told == [("/ws", "no=1"), ("/ws/ann", ""), "client disconnect"]

    async def test_on_connect(self, app: App, any_house: House):
        """An on_connect hook runs before anything that the client said is handled."""
        order: list[str] = []

        @app.on_connect
        async def hook(client: Any, auth: dict[str, Any]) -> None:
            await asyncio.sleep(0)
            order.append(client.client_id)

        app.sio.on("say", lambda sid, data: order.append(data["word"]))
        url = f"ws://{any_house.address}/ws/ann"
        async with connect(url, proxy=None) as connection:
            await connection.send('{"type":"say","word":"hello"}')
            ws = Plain(connection)
            await ws.ask("ping")
        assert order == ["ann", "hello"]


def test_deflate_is_what_websockets_speak() -> None:
    """A frame of this format is compressed without context, as for Socket.IO."""
    from rtserver.gateway.plain_format import PLAIN

    out = PLAIN.event("chat", ({"message": "abc" * 1000},))
    assert out.deflated[0] & 0x40
    squeezed = out.deflated[2 if out.deflated[1] < 126 else 4 :]
    text = zlib.decompressobj(wbits=-15).decompress(squeezed + b"\x00\x00\xff\xff")
    assert json.loads(text)["message"] == "abc" * 1000
