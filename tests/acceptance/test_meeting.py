"""Every way in leads to the same rooms, by the same rules: who comes by different ones meets in one room, in order."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect

from .harness.kafka import Kafka
from .harness.node_client import Node, until
from .harness.postgres import execute
from .harness.server import Server
from .harness.shapes import check_event, unique


async def said_next(plain: ClientConnection, kind: str) -> dict[str, Any]:
    """The next frame of a kind that a plain WebSocket gets."""
    async with asyncio.timeout(30):
        while True:
            frame: dict[str, Any] = json.loads(await plain.recv())
            if frame["type"] == kind:
                return frame


async def ask(plain: ClientConnection, frame: dict[str, Any]) -> dict[str, Any]:
    """Send a frame with an id, and return what it is acknowledged with."""
    await plain.send(json.dumps(frame))
    return await said_next(plain, "ack")


Say = Callable[[str], Awaitable[None]]
OUTBOX = (
    "CREATE TABLE outbox (id bigserial PRIMARY KEY, body jsonb NOT NULL, "
    "created_at timestamptz NOT NULL DEFAULT now(), error text, failed_at timestamptz)"
)


class Ways:
    """Every way in, each saying a text in the same room."""

    def __init__(self, room: str, ann: Any, plain: ClientConnection, http: httpx.AsyncClient) -> None:
        self._room = room
        self._ann = ann
        self._plain = plain
        self._http = http

    def by_name(self, kafka: Kafka, database: str) -> dict[str, tuple[Say, str | None]]:
        """Return how each way says something, with whom it makes the sender."""

        async def record(text: str) -> None:
            await asyncio.to_thread(kafka.produce, "talk", [self._body(text).encode()])

        async def notify(text: str) -> None:
            await execute(database, ("SELECT pg_notify('talk', $1)", self._body(text)))

        async def row(text: str) -> None:
            await execute(database, ("INSERT INTO outbox (body) VALUES ($1::jsonb)", self._body(text)))

        return {
            "socket.io": (self._client, "ann"),
            "websocket": (self._socket, "cleo"),
            "http": (self._post, None),
            "kafka": (record, None),
            "notify": (notify, None),
            "outbox": (row, None),
        }

    def _body(self, text: str) -> str:
        return json.dumps({"room": self._room, "event": "chat", "message": text})

    async def _client(self, text: str) -> None:
        assert (await self._ann.emit("chat", {"room": self._room, "message": text}))["ok"]

    async def _socket(self, text: str) -> None:
        await self._plain.send(json.dumps({"type": "chat", "room": self._room, "message": text}))

    async def _post(self, text: str) -> None:
        (await self._http.post("/api/publish", content=self._body(text))).raise_for_status()


def sources(kafka: Kafka, database: str) -> dict[str, Any]:
    """The configuration of three streams."""
    talk = {"name": "talk", "bootstrap_servers": kafka.servers, "topics": "talk"}
    return {
        "kafka": [{**talk, "auto_offset_reset": "earliest"}],
        "postgres": [
            {"name": "live", "dsn": database, "channel": "talk"},
            {"name": "sure", "dsn": database, "table": "outbox"},
        ],
    }


async def test_they_meet_in_one_room(kafka: Kafka, database: str, serve: Callable[..., Server], node: Node):
    """What clients and backends say by turns is heard by all in one order, with offsets without a gap."""
    kafka.create("talk")
    await execute(database, OUTBOX)
    server = serve({"ingest": sources(kafka, database)})
    http = httpx.AsyncClient(base_url=server.url, trust_env=False)

    async def states() -> list[str]:
        return [source["state"] for source in (await http.get("/readyz")).json()["sources"]]

    # What is notified before somebody listens is lost.
    await until(states, lambda found: found == ["up"] * 3)
    room = unique("meeting")
    ann, bob = await node.member(server.url, room, "ann"), await node.member(server.url, room, "bob")
    plain = await connect(server.url.replace("http", "ws", 1) + "/ws/cleo")
    assert (await ask(plain, {"type": "join", "room": room, "id": 1}))["ok"]
    heard: dict[str, list[Any]] = {"ann": [], "bob": [], "cleo": []}
    said: list[tuple[str, str | None]] = []
    ways = Ways(room, ann, plain, http).by_name(kafka, database)
    for turn in range(5):
        for way, (say, sender) in ways.items():
            text = f"{way} {turn}"
            await say(text)
            said.append((text, sender))
            for name, who in (("ann", ann), ("bob", bob)):
                heard[name].append(check_event("chat", await who.next("chat")))
            frame = await said_next(plain, "chat")
            del frame["type"]
            heard["cleo"].append(frame)
    await plain.close()
    await http.aclose()
    assert heard["ann"] == heard["bob"] == heard["cleo"]
    assert [(event["message"], event["sender"]) for event in heard["bob"]] == said
    offsets = [event["offset"] for event in heard["bob"]]
    assert offsets == list(range(offsets[0], offsets[0] + len(said)))
