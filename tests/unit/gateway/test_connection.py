"""One session as Socket.IO sees it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rtserver.gateway import packets
from rtserver.gateway.formats import json_format
from rtserver.gateway.msgpack import msgpack_format
from rtserver.gateway.socketio_connection import SocketIoConnection
from rtserver.transport.mailbox import HIGH
from rtserver.transport.packets import MalformedPacket
from rtserver.transport.session import Session, SessionEvents
from tests.unit.node.stand_ins import RecordingLane, app, person


def connection(query: str = "") -> SocketIoConnection:
    """A connection whose handshake had this query."""
    session = Session("eio", RecordingLane(), SessionEvents())
    return SocketIoConnection(session, {"REMOTE_ADDR": "192.0.2.1", "QUERY_STRING": query})


def msgpack(**fields: Any) -> bytes:
    """A packet of the other encoding."""
    import msgpack as library

    return library.packb({"nsp": "/", **fields})


class TestReading:
    """From messages to packets."""

    def test_attachments(self):
        """A binary packet is there with its last attachment; then the next one can come."""
        one = connection()
        assert one.read('52-["x",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]') is None
        assert one.read(b"a") is None
        packet = one.read(b"b")
        assert packet is not None
        assert packet.data == ["x", b"a", b"b"]
        following = one.read('2["y"]')
        assert following is not None
        assert following.data == ["y"]

    @pytest.mark.parametrize("text", ['2["x"]', "1", '51-["x",{"_placeholder":true,"num":0}]', "garbage"])
    def test_text_between_attachments(self, text: str):
        """Nothing may come between a packet and its attachments."""
        one = connection()
        one.read('51-["x",{"_placeholder":true,"num":0}]')
        with pytest.raises(MalformedPacket):
            one.read(text)

    def test_an_attachment_too_many(self):
        """An attachment that no packet waits for is malformed."""
        one = connection()
        one.read('51-["x",{"_placeholder":true,"num":0}]')
        one.read(b"a")
        with pytest.raises(MalformedPacket):
            one.read(b"b")

    def test_the_first_message_tells_the_encoding(self):
        """Who begins in MessagePack speaks MessagePack, and who begins in text speaks JSON."""
        one = connection()
        packet = one.read(msgpack(type=0))
        assert packet is not None
        assert packet.type == packets.CONNECT
        assert one.format("/admin") is msgpack_format("/admin")
        with pytest.raises(MalformedPacket):
            one.read("0")
        other = connection()
        other.read("0")
        assert other.format("/admin") is json_format("/admin")
        with pytest.raises(MalformedPacket):
            other.read(msgpack(type=0))


class TestHandshake:
    """What is kept of it."""

    def test_query(self):
        """The query's parameters are decoded."""
        assert connection("EIO=4&token=a%20b&client_id=z%C3%B6&empty=&token2").query["token"] == "a b"
        assert connection("client_id=z%C3%B6").query == {"client_id": "zö"}
        assert connection().query == {}

    @pytest.mark.parametrize("query", ["%", "%ff=%fe", "&&&", "a" * 10_000, "=;=", "a=1" + "&a=1" * 5000])
    def test_any_query(self, query: str):
        """Whatever stands there is read, or means nothing."""
        assert isinstance(connection(query).query, dict)

    def test_accepted(self):
        """A connection is accepted once any of its namespaces has accepted it."""
        one = connection()
        client = person(app().node)
        one.clients["/"] = client
        assert not one.accepted
        client.live = True
        assert one.accepted


class TestOrder:
    """Jobs of one connection."""

    async def test_in_order(self):
        """A job that does not wait is done at once, unless one before it waits."""
        one = connection()
        seen: list[str] = []
        gate = asyncio.Event()

        async def slow() -> None:
            await gate.wait()
            seen.append("slow")

        one.do(lambda: seen.append("first"))
        assert seen == ["first"]
        one.do(slow)
        one.do(lambda: seen.append("second"))
        assert seen == ["first"]
        gate.set()
        while len(seen) < 3:
            await asyncio.sleep(0)
        assert seen == ["first", "slow", "second"]

    async def test_is_bounded(self):
        """While too many wait the line is not read, and then it is again."""
        one = connection()
        gate = asyncio.Event()
        lane = one.session.lane
        assert isinstance(lane, RecordingLane)
        one.do(gate.wait)
        for _ in range(HIGH):
            one.do(lambda: None)
        assert not lane.reading
        gate.set()
        while not lane.reading:
            await asyncio.sleep(0)
