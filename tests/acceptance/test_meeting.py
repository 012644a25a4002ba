"""Every way in leads to the same rooms, by the same rules: who comes by different ones meets in one room, in order."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from .harness.kafka import Kafka
from .harness.node_client import Node, until
from .harness.postgres import execute
from .harness.server import Server
from .harness.shapes import check_event, unique

Say = Callable[[str], Awaitable[None]]
OUTBOX = (
    "CREATE TABLE outbox (id bigserial PRIMARY KEY, body jsonb NOT NULL, "
    "created_at timestamptz NOT NULL DEFAULT now(), error text, failed_at timestamptz)"
)


async def test_they_meet_in_one_room(kafka: Kafka, database: str, serve: Callable[..., Server], node: Node):
    """What clients and backends say by turns is heard by all in one order, with offsets without a gap."""
    kafka.create("talk")
    await execute(database, OUTBOX)
    server = serve(
        {
            "ingest": {
                "kafka": [
                    {"name": "talk", "bootstrap_servers": kafka.servers, "topics": "talk"}
                    | {"auto_offset_reset": "earliest"}
                ],
                "postgres": [
                    {"name": "live", "dsn": database, "channel": "talk"},
                    {"name": "sure", "dsn": database, "table": "outbox"},
                ],
            }
        }
    )

    async def states() -> list[str]:
        async with httpx.AsyncClient(base_url=server.url, trust_env=False) as http:
            return [source["state"] for source in (await http.get("/readyz")).json()["sources"]]

    # What is notified before somebody listens is lost.
    await until(states, lambda found: found == ["up"] * 3)
    room = unique("meeting")
    ann, bob = await node.member(server.url, room, "ann"), await node.member(server.url, room, "bob")

    def body(text: str) -> str:
        return json.dumps({"room": room, "event": "chat", "message": text})

    async def client(text: str) -> None:
        assert (await ann.emit("chat", {"room": room, "message": text}))["ok"]

    async def record(text: str) -> None:
        await asyncio.to_thread(kafka.produce, "talk", [body(text).encode()])

    async def notify(text: str) -> None:
        await execute(database, ("SELECT pg_notify('talk', $1)", body(text)))

    async def row(text: str) -> None:
        await execute(database, ("INSERT INTO outbox (body) VALUES ($1::jsonb)", body(text)))

    # Each way in, with whom it makes the sender.
    ways: dict[str, tuple[Say, str | None]] = {
        "socket.io": (client, "ann"),
        "kafka": (record, None),
        "notify": (notify, None),
        "outbox": (row, None),
    }
    heard: dict[str, list[Any]] = {"ann": [], "bob": []}
    said: list[tuple[str, str | None]] = []
    for turn in range(5):
        for way, (say, sender) in ways.items():
            text = f"{way} {turn}"
            await say(text)
            said.append((text, sender))
            for who in (ann, bob):
                heard["ann" if who is ann else "bob"].append(check_event("chat", await who.next("chat")))
    assert heard["ann"] == heard["bob"]
    assert [(event["message"], event["sender"]) for event in heard["bob"]] == said
    offsets = [event["offset"] for event in heard["bob"]]
    assert offsets == list(range(offsets[0], offsets[0] + len(said)))
