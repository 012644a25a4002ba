"""A smaller round with the other official client, python-socketio's AsyncClient."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from typing import Any

import pytest
import socketio

from .harness.node_client import LIMIT, Node
from .harness.server import Server
from .harness.shapes import check_ack, check_event, check_refusal, unique


class PythonClient:
    """AsyncClient with an inbox per event."""

    def __init__(self) -> None:
        self.sio = socketio.AsyncClient(reconnection=False)
        self.inbox: dict[str, asyncio.Queue[Any]] = defaultdict(asyncio.Queue)
        self.sio.on("*", self._take)
        self.sio.on("connect_error", self._refused)

    async def _take(self, event: str, *args: Any) -> None:
        self.inbox[event].put_nowait(args[0] if args else None)

    async def _refused(self, data: Any) -> None:
        await self._take("connect_error", data)

    async def emit(self, event: str, payload: Any = None) -> Any:
        """Emit and wait for the ack."""
        return await self.sio.call(event, payload, timeout=LIMIT)

    async def next(self, event: str) -> Any:
        """The next payload of that event."""
        return await asyncio.wait_for(self.inbox[event].get(), LIMIT)


@contextlib.asynccontextmanager
async def connected(url: str, client_id: str, transports: list[str]):
    """A connected client."""
    client = PythonClient()
    await client.sio.connect(url, transports=transports, auth={"client_id": client_id, "name": client_id})
    try:
        yield client
    finally:
        await client.sio.disconnect()
        await asyncio.sleep(0)


@pytest.mark.parametrize("kinds", [["websocket"], ["polling"], ["polling", "websocket"]], ids=str)
async def test_a_round(server: Server, node: Node, kinds: list[str]):
    """Join, talk, type, whisper, leave: with python-socketio in a room with socket.io-client."""
    room, who, other = unique("lobby"), unique("py"), unique("js")
    ada = await node.member(server.url, room, other)
    async with connected(server.url, who, kinds) as client:
        assert check_event("welcome", await client.next("welcome"))["client_id"] == who
        assert check_ack("join", await client.emit("join", {"room": room}))["count"] == 2
        assert (await ada.next("user_joined"))["client_id"] == who
        for event in ("chat", "broadcast"):
            data = {"bytes": b"\x00\x01", "n": [1, 2]}
            ack = check_ack(event, await client.emit(event, {"room": room, "message": "py", "data": data}))
            for receiver in (client, ada):
                got = check_event(event, await receiver.next(event))
                assert (got["id"], got["data"]) == (ack["id"], data)
        check_ack("chat", await ada.emit("chat", {"room": room, "message": "js", "data": b"\xff"}))
        assert check_event("chat", await client.next("chat"))["data"] == b"\xff"
        assert (
            check_ack("private", await client.emit("private", {"to": other, "message": "psst"}))["delivered"]
            == 1
        )
        assert (await ada.next("private"))["sender"] == who
        check_ack("typing", await ada.emit("typing", {"room": room, "is_typing": True}))
        assert check_event("user_typing", await client.next("user_typing"))["client_id"] == other
        assert check_ack("presence", await client.emit("presence", {"room": room}))["count"] == 2
        assert room in check_ack("rooms", await client.emit("rooms"))["rooms"]
        assert check_ack("ping", await client.emit("ping", {}))["pong"] is True
        await client.sio.send('{"message_type": "chat", "room": "' + room + '", "message": "sent"}')
        assert (await client.next("chat"))["message"] == "sent"
        check_refusal(await client.emit("nonsense", {}), "unknown_event")
        check_refusal(await client.emit("join", {}), "bad_request", "room")
        await client.sio.emit("join", {"room": ""})
        assert check_event("error", await client.next("error"))["event"] == "join"
        check_ack("leave", await client.emit("leave", {"room": room}))
        assert (await ada.next("user_left"))["client_id"] == who


@pytest.mark.parametrize("kinds", [["websocket"], ["polling"]], ids=str)
async def test_goodbye(server: Server, node: Node, kinds: list[str]):
    """Its goodbye is one, too."""
    room, who = unique("lobby"), unique("py")
    ada = await node.member(server.url, room, unique("js"))
    async with connected(server.url, who, kinds) as client:
        check_ack("join", await client.emit("join", {"room": room}))
    left = await ada.next("user_left", timeout=4.5)
    assert left["client_id"] == who


async def test_refused(server: Server):
    """A refusal reaches it with its data."""
    client = PythonClient()
    with pytest.raises(socketio.exceptions.ConnectionError):
        await client.sio.connect(
            server.url, transports=["websocket"], auth={"client_id": "a\nb"}, wait_timeout=LIMIT
        )
    error = await client.next("connect_error")
    assert error["message"] == "bad_request"
    assert error["data"]["code"] == 4000
    await client.sio.disconnect()
