"""What Socket.IO servers are known to get wrong, on the wire (DESIGN section 4)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os

import pytest
from websockets.exceptions import InvalidStatus
from websockets.frames import Frame, Opcode

from .harness import raw
from .harness.node_client import Node, until
from .harness.server import Server, Servers
from .harness.shapes import check_ack, check_refusal, unique

RESERVED = ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"]


@pytest.fixture(scope="module")
def brief(module_servers: Servers) -> Server:
    """A server that lets go of lost clients soon."""
    return module_servers.serve(
        {"recovery": {"grace": "100ms"}, "engine": {"connect_timeout": "500ms", "max_payload": "100KB"}}
    )


async def until_gone(witness, room: str, who: str) -> None:
    """Wait until `who` is no member of `room` any more, and find exactly one `user_left`."""
    left = await witness.next("user_left")
    assert left["client_id"] == who
    witness.unread("user_joined")
    count = check_ack("presence", await witness.emit("presence", {"room": room}))["count"]
    assert count == 1
    await witness.none("user_left", "user_joined", "chat", "broadcast")


class TestReservedNames:
    """Hazard 1: the lifecycle belongs to the server."""

    @pytest.mark.parametrize("event", RESERVED)
    @pytest.mark.parametrize("ack", [None, 5])
    async def test_over_websocket(self, brief: Server, node: Node, event: str, ack: int | None):
        """Who sends an event of a reserved name is disconnected with a close frame and is in no room any more."""
        room, who = unique("lobby"), unique("mallory")
        witness = await node.member(brief.url, room, unique("w"))
        async with raw.client(brief.url, who) as bare:
            assert check_ack("join", await bare.call("join", {"room": room}))["count"] == 2
            await bare.event(event, {"client_id": "admin"}, {"client_id": "admin"}, ack=ack)
            assert await bare.until_closed() is not None
            assert not [frame for frame in bare.seen if str(frame).startswith("435[")]
        await until_gone(witness, room, who)

    @pytest.mark.parametrize("event", RESERVED)
    async def test_over_polling(self, brief: Server, node: Node, event: str):
        """The same over long-polling."""
        room, who = unique("lobby"), unique("mallory")
        witness = await node.member(brief.url, room, unique("w"))
        async with raw.polling(brief.url, connect_as=who) as bare:
            await bare.post("421" + json.dumps(["join", {"room": room}]))
            await bare.until("431")
            await bare.post("42" + json.dumps([event, "transport close"]))
            assert await bare.until_closed() == 400
        await until_gone(witness, room, who)


class TestEverybodyIsItsOwnVerb:
    """Hazard 2: nothing empty means everybody."""

    @pytest.mark.parametrize("target", ["", [], {}, [""], 0, False], ids=repr)
    @pytest.mark.parametrize(("event", "field"), [("chat", "room"), ("broadcast", "room"), ("private", "to")])
    async def test_empty_targets(self, server: Server, node: Node, event: str, field: str, target: object):
        """An empty room or recipient is a bad_request, and reaches nobody."""
        witness = await node.connect(server.url)
        client = await node.connect(server.url)
        check_refusal(await client.emit(event, {field: target, "message": "x"}), "bad_request", field)
        await witness.none(event)
        await client.none(event)


class TestBeforeConnect:
    """Hazards 3 and 6: who has not connected is nobody."""

    async def test_nothing_is_received(self, brief: Server, node: Node):
        """A connection that has not sent CONNECT gets no event."""
        speaker = await node.connect(brief.url)
        async with raw.engine(brief.url) as bare:
            for number in range(5):
                check_ack("chat", await speaker.emit("chat", {"message": str(number)}))
            answer = await bare.open_namespace({"client_id": unique("late")})
            assert answer.startswith("40{"), answer
            await bare.call("ping", {})
            assert not [frame for frame in bare.seen if str(frame).startswith('42["chat"')]

    @pytest.mark.parametrize("packet", ['42["chat",{"message":"x"}]', '421["rooms"]', "41", "43[]"])
    async def test_nothing_is_done(self, brief: Server, node: Node, packet: str):
        """A packet before CONNECT does nothing, and is not answered."""
        witness = await node.connect(brief.url)
        async with raw.engine(brief.url) as bare:
            await bare.send(packet)
            await bare.until_closed()
            assert not [frame for frame in bare.seen if str(frame).startswith(("42", "43"))]
        await witness.none("chat")

    async def test_connect_timeout(self, brief: Server):
        """Who does not send CONNECT within engine.connect_timeout is disconnected."""
        async with raw.engine(brief.url) as bare:
            await bare.until_closed(3)
        async with raw.polling(brief.url) as slow:
            assert await slow.until_closed() == 400

    async def test_who_was_refused_is_let_go(self, server: Server):
        """A refused CONNECT leaves no connection behind, either, long before it would have to be connected."""
        async with raw.engine(server.url) as bare:
            assert (await bare.open_namespace({"client_id": 5})).startswith("44{")
            await bare.until_closed(5)


class TestGhosts:
    """Hazard 4: who is not there is no member."""

    async def test_a_line_cut_in_the_handshake(self, brief: Server, node: Node):
        """Connections that end anywhere in the handshake are not counted among the living."""
        for _ in range(10):
            async with raw.engine(brief.url) as bare:
                await bare.send('40{"client_id":"ghost"}')
                bare.connection.transport.abort()
            async with raw.engine(brief.url) as bare:
                bare.connection.transport.abort()
        await asyncio.sleep(0.6)
        one = await node.connect(brief.url, auth={"client_id": unique("a")})
        check_refusal(await one.emit("private", {"to": "ghost", "message": "there?"}), "not_found")

    @pytest.mark.parametrize("again", ["40", '40{"client_id":"other"}'])
    async def test_connecting_twice(self, brief: Server, node: Node, again: str):
        """A second CONNECT makes no second client of one connection."""
        room, who = unique("lobby"), unique("twice")
        witness = await node.member(brief.url, room, unique("w"))
        async with raw.client(brief.url, who) as bare:
            await bare.call("join", {"room": room})
            await witness.next("user_joined")
            await bare.send(again)
            with contextlib.suppress(raw.ConnectionClosed):
                await bare.call("ping", {}, ack=9)
        await until_gone(witness, room, who)
        check_refusal(await witness.emit("private", {"to": "other", "message": "x"}), "not_found")

    async def test_coming_back_after_a_goodbye(self, brief: Server, node: Node):
        """After DISCONNECT events do nothing; a new CONNECT on the same connection is a new client."""
        room, who = unique("lobby"), unique("back")
        witness = await node.member(brief.url, room, unique("w"))
        async with raw.client(brief.url, who) as bare:
            await bare.call("join", {"room": room})
            await bare.send("41")
            assert (await witness.next("user_left"))["client_id"] == who
            await bare.event("chat", {"room": room, "message": "from beyond"})
            with contextlib.suppress(raw.ConnectionClosed):
                await bare.open_namespace({"client_id": who})
                assert room not in check_ack("rooms", await bare.call("rooms", ack=8))["rooms"]
        witness.unread("user_joined")
        await witness.none("chat", "user_left", "user_joined")

    async def test_a_thousand_comings_and_goings(self, brief: Server, node: Node):
        """After many clients came and went in every way, one member is left where one is."""
        room = unique("busy")
        witness = await node.member(brief.url, room, unique("w"))

        async def visit(number: int) -> None:
            async with raw.client(brief.url, unique("v")) as bare:
                await bare.event("join", {"room": room}, ack=1)
                if number % 3:
                    await bare.until("431[")
                if number % 4 == 0:
                    await bare.send("41")
                elif number % 4 == 1:
                    bare.connection.transport.abort()

        for _ in range(5):
            await asyncio.gather(*(visit(number) for number in range(24)))
        await until(lambda: witness.emit("presence", {"room": room}), lambda ack: ack["count"] == 1)


MALFORMED = [
    "4",
    "4abc",
    "42",
    "42{}",
    "42[",
    "42[]",
    "42[{}]",
    "42[null]",
    '42"chat"',
    "42nonsense",
    '42abc["chat",{"message":"x"}]',
    '42["chat",{"message":"x"}',
    '42["chat",{"message":NaN}]',
    '42["chat",{"message":"x"}]]',
    "47[]",
    "4-1[]",
    "43{}",
    "431{}",
    "45",
    "45-",
    "45x-[]",
    "45-1-[]",
    '451["chat"]',
    '450x-["chat"]',
    '4599999999999-["chat",{"_placeholder":true,"num":0}]',
    '451-["chat",{"message":"x","data":{"_placeholder":true,"num":5}}]',
    '451-["chat",{"message":"x","data":{"_placeholder":true,"num":"0"}}]',
    "abc",
    "8",
    "",
    b"\x00\x01",
]


class TestMalformedPackets:
    """Hazards 6 and 7: a packet that is none closes the connection, and nothing else happens."""

    @pytest.mark.parametrize("packet", MALFORMED, ids=lambda p: repr(p)[:40])
    async def test_over_websocket(self, brief: Server, node: Node, packet: str | bytes):
        """A malformed packet closes the connection, with a close frame, and leaves no zombie in the room."""
        room, who = unique("lobby"), unique("m")
        witness = await node.member(brief.url, room, unique("w"))
        async with raw.client(brief.url, who) as bare:
            await bare.call("join", {"room": room})
            await bare.send(packet)
            if isinstance(packet, str) and packet.startswith(("451-", "431")):
                await bare.send(b"attachment")
            assert await bare.until_closed() is not None
        await until_gone(witness, room, who)

    @pytest.mark.parametrize(
        "packet", ["4abc", "42{}", "42[", "abc", "47[]", "b!!!", "4\x1e4abc", "\x1e", "42[]\x1e\x1e"]
    )
    async def test_over_polling(self, brief: Server, node: Node, packet: str):
        """The same over long-polling."""
        room, who = unique("lobby"), unique("m")
        witness = await node.member(brief.url, room, unique("w"))
        async with raw.polling(brief.url, connect_as=who) as bare:
            await bare.post("421" + json.dumps(["join", {"room": room}]))
            await bare.until("431")
            await bare.post(packet)
            assert await bare.until_closed() == 400
        await until_gone(witness, room, who)

    async def test_a_text_frame_between_attachments(self, brief: Server):
        """An event that interrupts another's attachments is malformed."""
        async with raw.client(brief.url, unique("m")) as bare:
            await bare.send('452-["chat",{"message":"x","data":[{"_placeholder":true,"num":0}]}]')
            await bare.send(b"one")
            await bare.send('421["ping",{}]')
            assert await bare.until_closed() is not None

    @pytest.mark.parametrize(
        "frame",
        [b"\x83\x00", b"\xf1\x80\x00\x00\x00\x00", b"\x81\x05hello", b"\x81\x82\x00\x00\x00\x00\xff\xfe"],
    )
    async def test_broken_frames(self, brief: Server, node: Node, frame: bytes):
        """A frame that breaks WebSocket's own rules closes the connection and leaves no member."""
        room, who = unique("lobby"), unique("m")
        witness = await node.member(brief.url, room, unique("w"))
        async with raw.client(brief.url, who) as bare:
            await bare.call("join", {"room": room})
            bare.connection.transport.write(frame)
            await bare.until_closed()
        await until_gone(witness, room, who)


def frame(opcode: Opcode, data: bytes, fin: bool = True) -> bytes:
    """The bytes of one frame as a client sends it."""
    return Frame(opcode, data, fin).serialize(mask=True, extensions=[])


class TestFrames:
    """Frames of every kind that RFC 6455 allows reach the same ears as the common one."""

    @pytest.mark.parametrize("piece", [1, 2, 3, 7, 10_000])
    async def test_in_pieces(self, server: Server, piece: int):
        """However the bytes of frames are cut on their way, each frame is one message, in order."""
        sizes = (0, 5, 130, 300, 70_000 if piece > 100 else 500)
        packets = [
            f"42{number}" + json.dumps(["ping", {"x": "y" * size}]) for number, size in enumerate(sizes)
        ]
        sent = b"".join(frame(Opcode.TEXT, packet.encode()) for packet in packets)
        async with raw.client(server.url, unique("p")) as bare:
            for start in range(0, len(sent), piece):
                bare.connection.transport.write(sent[start : start + piece])
                await asyncio.sleep(0)
            for number in range(len(sizes)):
                assert (await bare.until("43")).startswith(f"43{number}[")

    async def test_fragments_and_control_frames(self, server: Server):
        """A message in fragments, with pings between them, is one message; pings are answered."""
        room = unique("r")
        async with raw.client(server.url, unique("p")) as bare:
            await bare.call("join", {"room": room})
            write = bare.connection.transport.write
            write(frame(Opcode.TEXT, b'421["pi', fin=False) + frame(Opcode.PING, b"hello"))
            write(frame(Opcode.CONT, b"ng", fin=False) + frame(Opcode.CONT, b'",{}]'))
            assert (await bare.until("43")).startswith("431[")
            head = json.dumps(
                ["chat", {"room": room, "message": "x", "data": {"_placeholder": True, "num": 0}}]
            )
            write(frame(Opcode.TEXT, b"451-2" + head.encode()))
            write(frame(Opcode.BINARY, b"\x00\x01", fin=False) + frame(Opcode.CONT, b"\x02"))
            assert (await bare.until("43")).startswith("432[")
            assert b"\x00\x01\x02" in bare.seen
            await asyncio.wait_for(await bare.connection.ping(), 5)

    async def test_compression(self, server: Server):
        """A client that offers permessage-deflate is served, whether the server takes the offer or not."""
        async with raw.engine(server.url, compression="deflate") as bare:
            await bare.open_namespace({"client_id": unique("z")})
            for _ in range(3):
                assert (await bare.call("ping", {"x": "y" * 5000}))["pong"] is True


class TestSizes:
    """Hazards 6, 10: everything is bounded."""

    async def test_a_frame_too_large(self, brief: Server, node: Node):
        """A frame over engine.max_payload closes the connection; others do not notice."""
        witness = await node.connect(brief.url)
        async with raw.client(brief.url, unique("m")) as bare:
            assert bare.handshake["maxPayload"] == 100_000
            with contextlib.suppress(raw.ConnectionClosed):
                await bare.event("chat", {"message": "x" * 200_000})
            assert await bare.until_closed() in (1009, None)
        await witness.none("chat")

    async def test_a_post_too_large(self, brief: Server, node: Node):
        """A POST over engine.max_payload is refused by an HTTP status."""
        witness = await node.connect(brief.url)
        async with raw.polling(brief.url, connect_as=unique("m")) as bare:
            answer = await bare.post("42" + json.dumps(["chat", {"message": "x" * 200_000}]))
            assert answer.status_code in (400, 413)
        await witness.none("chat")

    async def test_many_packets_in_one_post(self, server: Server):
        """Every packet of a POST is worked on, however many there are, or the POST is refused: none vanishes."""
        async with raw.polling(server.url, connect_as=unique("m")) as bare:
            answer = await bare.post("\x1e".join(f'42{n}["ping",{{}}]' for n in range(100)))
            assert answer.status_code == 200
            acks: list[str] = []
            async with asyncio.timeout(10):
                while len(acks) < 100:
                    acks += [packet for packet in await bare.packets() if packet.startswith("43")]
            assert [ack.split("[")[0] for ack in acks] == [f"43{n}" for n in range(100)]

    async def test_many_attachments(self, brief: Server, node: Node):
        """More attachments than any message needs are refused, or passed on so that stock clients can read them."""
        room = unique("lobby")
        witness = await node.member(brief.url, room, unique("w"))
        async with raw.client(brief.url, unique("m")) as bare:
            count = 60
            parts = [{"_placeholder": True, "num": n} for n in range(count)]
            with contextlib.suppress(raw.ConnectionClosed):
                await bare.send(
                    f"45{count}-1" + json.dumps(["chat", {"room": room, "message": "x", "data": parts}])
                )
                for _ in range(count):
                    await bare.send(os.urandom(4))
                await bare.until("431[")
        check_ack("chat", await witness.emit("chat", {"room": room, "message": "after"}))
        await witness.sync()
        assert witness.connects == 1
        assert witness.unread("chat")[-1]["message"] == "after"

    async def test_many_namespaces(self, brief: Server):
        """Namespaces that nobody made are refused each, and cost nothing that stays."""
        async with raw.client(brief.url, unique("m")) as bare:
            with contextlib.suppress(raw.ConnectionClosed):
                for number in range(200):
                    await bare.send(f"40/n{number},")
                    assert (await bare.until(f"44/n{number},")).startswith("44")

    async def test_an_endless_name(self, brief: Server, node: Node):
        """A namespace, ack id or event name of any length does no harm."""
        for packet in (
            "40/" + "n" * 50_000 + ",",
            "42" + "9" * 5000 + '["ping",{}]',
            '421["' + "e" * 50_000 + '"]',
        ):
            async with raw.client(brief.url, unique("m")) as bare:
                await bare.send(packet)
                with contextlib.suppress(raw.ConnectionClosed):
                    await bare.call("ping", {}, ack=3)
        await (await node.connect(brief.url)).sync()


class TestClosing:
    """Hazard 9: a goodbye ends the connection."""

    async def test_goodbye_closes_the_line(self, server: Server):
        """After an Engine.IO close packet the server closes the connection."""
        async with raw.client(server.url, unique("m")) as bare:
            await bare.send("1")
            assert await bare.until_closed(3) is not None

    async def test_polling_close(self, server: Server):
        """The same over long-polling: the session is gone."""
        async with raw.polling(server.url, connect_as=unique("m")) as bare:
            assert (await bare.post("1")).status_code == 200
            assert await bare.until_closed() == 400


class TestOrigins:
    """Hazard 10: the Origin is checked, on WebSocket too."""

    @pytest.fixture(scope="class")
    @staticmethod
    def guarded(module_servers: Servers) -> Server:
        """A server for some origins."""
        return module_servers.serve(
            {"cors": {"allowed_origins": ["https://good.example", "https://*.many.example"]}}
        )

    @pytest.mark.parametrize("origin", ["https://good.example", "https://a.many.example"])
    async def test_allowed(self, guarded: Server, origin: str):
        """An allowed origin connects, by name or by pattern, and is told so by CORS headers."""
        async with raw.engine(guarded.url, headers={"Origin": origin}):
            pass
        async with raw.http(guarded.url) as web:
            answer = await web.get(
                raw.PATH, params={"EIO": "4", "transport": "polling"}, headers={"Origin": origin}
            )
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == origin

    @pytest.mark.parametrize(
        "origin",
        [
            "https://evil.example",
            "http://good.example",
            "https://good.example.evil.example",
            "https://good.example:8443",
            "https://evil.example/.many.example",
            "https://many.example",
            "null",
        ],
    )
    async def test_refused(self, guarded: Server, origin: str):
        """Any other origin is HTTP 403 before the handshake."""
        with pytest.raises(InvalidStatus) as refused:
            async with raw.engine(guarded.url, headers={"Origin": origin}):
                pass
        assert refused.value.response.status_code == 403
        async with raw.http(guarded.url) as web:
            answer = await web.get(
                raw.PATH, params={"EIO": "4", "transport": "polling"}, headers={"Origin": origin}
            )
        assert answer.status_code == 403
        assert "access-control-allow-origin" not in answer.headers

    async def test_no_origin(self, guarded: Server, node: Node, transports: str):
        """A client that is no browser has no Origin, and connects."""
        await node.connect(guarded.url, transports=transports)


class TestHttp:
    """Requests to the engine that no client makes."""

    @pytest.mark.parametrize(
        "params",
        [
            {},
            {"EIO": "3", "transport": "polling"},
            {"EIO": "4"},
            {"EIO": "4", "transport": "pigeon"},
            {"EIO": "4", "transport": "polling", "sid": "nobody"},
            {"EIO": "4", "transport": "websocket"},
        ],
        ids=str,
    )
    async def test_bad_handshakes(self, server: Server, params: dict):
        """A handshake of another protocol, transport or session is HTTP 400."""
        async with raw.http(server.url) as web:
            assert (await web.get(raw.PATH, params=params)).status_code == 400

    async def test_methods(self, server: Server):
        """Methods that mean nothing here are refused."""
        params = {"EIO": "4", "transport": "polling"}
        async with raw.http(server.url) as web:
            for method in ("PUT", "DELETE", "PATCH"):
                assert (await web.request(method, raw.PATH, params=params)).status_code in (400, 405)
            assert (await web.post(raw.PATH, params=params, content="4")).status_code == 400

    async def test_two_polls_at_once(self, server: Server):
        """Two GETs of one session at once end the session, or the second is refused; the server lives on."""
        async with raw.polling(server.url, connect_as=unique("m")) as bare:
            await bare.until('42["welcome"')
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(3):
                    answers = await asyncio.gather(bare.poll(), bare.poll())
                    assert 400 in [answer.status_code for answer in answers]
        async with raw.client(server.url, unique("m")) as other:
            await other.call("ping", {})
