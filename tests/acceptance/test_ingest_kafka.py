"""Topics of Kafka are published: in order, at least once, and bad records hold up nobody (`ingest.kafka`)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from .harness.kafka import Kafka
from .harness.node_client import Node, until
from .harness.receiver import Receiver
from .harness.server import Server, Servers
from .harness.shapes import check_event
from .harness.webhooks import hooked, restarted

Serve = Callable[..., Server]
TOPIC, ROOM, GROUP = "orders", "floor", "rtserver"


def reading(kafka: Kafka, **more: Any) -> dict[str, Any]:
    """A config with one source."""
    source = {
        "name": "orders",
        "bootstrap_servers": kafka.servers,
        "topics": TOPIC,
        "auto_offset_reset": "earliest",
    }
    return {"ingest": {"kafka": [source | more]}}


def body(number: int, **more: Any) -> bytes:
    """A record's value that is published in the room."""
    return json.dumps({"room": ROOM, "message": str(number), **more}).encode()


def bodies(*numbers: int) -> list[bytes | None]:
    """Several."""
    return [body(number) for number in numbers]


def numbers(events: list[Any]) -> list[int]:
    """What was said."""
    return [int(event["message"]) for event in events]


async def sources(server: Server) -> list[dict[str, str]]:
    """What /readyz says of the sources; it is 200 whatever they do."""
    async with httpx.AsyncClient(trust_env=False) as client:
        response = await client.get(f"{server.url}/readyz")
    assert response.status_code == 200, response.text
    found: list[dict[str, str]] = response.json()["sources"]
    return found


async def until_state(server: Server, state: str) -> None:
    """Wait until the one source is in that state."""
    (told,) = await until(lambda: sources(server), lambda found: found[0]["state"] == state, timeout=60)
    assert told.keys() == {"kind", "name", "state", "since"}


async def until_committed(kafka: Kafka, offset: int) -> None:
    """Wait until the group would go on at that offset."""

    async def ask() -> int:
        return await asyncio.to_thread(kafka.committed, GROUP, TOPIC)

    await until(ask, lambda at: at == offset)


@pytest.mark.parametrize("compression", ["none", "gzip", "snappy", "lz4", "zstd"])
async def test_records_are_published_in_order(kafka: Kafka, serve: Serve, node: Node, compression: str):
    """A member hears the records of a partition in their order, however they are compressed, as backends' messages."""
    kafka.create(TOPIC)
    server = serve(reading(kafka))
    member = await node.member(server.url, ROOM, "ann")
    kafka.produce(TOPIC, bodies(*range(1500)), key="k", **{"compression.type": compression})
    heard = await member.take("broadcast", 1500)
    assert numbers(heard) == list(range(1500))
    assert check_event("broadcast", heard[0])["username"] == "SYSTEM"
    assert [event["offset"] for event in heard] == list(range(heard[0]["offset"], heard[0]["offset"] + 1500))
    await until_committed(kafka, 1500)


async def test_a_key_keeps_its_order(kafka: Kafka, serve: Serve, node: Node):
    """Of four partitions everything is heard, and records with the same key in their order."""
    kafka.create(TOPIC, 4)
    server = serve(reading(kafka))
    member = await node.member(server.url, ROOM, "ann")
    for key in range(8):
        kafka.produce(TOPIC, bodies(*range(key * 1000, key * 1000 + 100)), key=f"key-{key}")
    heard = numbers(await member.take("broadcast", 800))
    for key in range(8):
        assert [n for n in heard if n // 1000 == key] == list(range(key * 1000, key * 1000 + 100))


async def test_a_record_is_what_the_http_api_takes(kafka: Kafka, serve: Serve, node: Node):
    """Rooms, users, sids and everybody are reached, with any event, `except` and an idempotency key."""
    kafka.create(TOPIC)
    server = serve(reading(kafka))
    ann, bob = await node.member(server.url, ROOM, "ann"), await node.member(server.url, ROOM, "bob")
    asked: list[dict[str, Any]] = [
        {"room": ROOM, "event": "job", "data": {"n": 1}, "except": [bob.sid]},
        {"user": "bob", "event": "job", "data": 2},
        {"sid": ann.sid, "event": "job", "message": "3"},
        {"all": True, "event": "job", "data": 4, "idempotency_key": "four"},
        {"all": True, "event": "job", "data": 4, "idempotency_key": "four"},
        {"all": True, "event": "end", "data": None},
    ]
    kafka.produce(TOPIC, [json.dumps(one).encode() for one in asked])
    await ann.next("end"), await bob.next("end")
    assert ann.unread("job") == [{"n": 1}, "3", 4]
    assert bob.unread("job") == [2, 4]


BAD: list[tuple[bytes | None, str, str]] = [
    (b"hello", "bad_request", "not JSON"),
    (b"\xff\xfe", "bad_request", "not JSON"),
    (b"", "bad_request", "not JSON"),
    (None, "bad_request", "tombstone"),
    (b"[]", "bad_request", ""),
    (b'{"message": "to nobody"}', "bad_request", "exactly one of room, user, sid and all"),
    (b'{"room": "a", "user": "b", "message": "x"}', "bad_request", "exactly one of"),
    (b'{"room": "a", "message": "x", "colour": "red"}', "bad_request", "colour"),
    (b'{"room": "a"}', "bad_request", "message or data"),
    (b'{"sid": "nobody", "message": "x"}', "not_found", "sid"),
    (b'{"room": "a", "event": "disconnect", "data": 1}', "bad_request", "event"),
    (b'{"room": "a", "message": "' + b"x" * 70_000 + b'"}', "message_too_large", "bytes"),
    (b'{"room": "a", "message": "' + b"x" * 990_000 + b'", "data": 1}', "message_too_large", "bytes"),
]


async def test_bad_records_go_to_the_dead_letter_topic(kafka: Kafka, serve: Serve, node: Node):
    """What can never be published is put aside as it came, with why and where from, and those behind it go on."""
    kafka.create(TOPIC)
    kafka.create("dead")
    server = serve(reading(kafka, dead_letter_topic="dead"))
    member = await node.member(server.url, ROOM, "ann")
    kafka.produce(TOPIC, bodies(1))
    kafka.produce(TOPIC, [value for value, _, _ in BAD], key="k", headers={"trace": b"t"})
    kafka.produce(TOPIC, bodies(2))
    assert numbers(await member.take("broadcast", 2)) == [1, 2]
    letters = await asyncio.to_thread(kafka.read, "dead", len(BAD))
    for number, (letter, (value, reason, sentence)) in enumerate(zip(letters, BAD, strict=True)):
        headers = dict(letter.headers())
        assert (letter.value(), letter.key()) == (value, b"k")
        assert headers["trace"] == b"t"
        assert headers["rtserver.error.reason"] == reason.encode()
        assert sentence in headers["rtserver.error.message"].decode(), headers
        where = [headers[f"rtserver.error.{key}"] for key in ("source", "topic", "partition", "offset")]
        assert where == [b"orders", b"orders", b"0", str(number + 1).encode()]
    await until_committed(kafka, len(BAD) + 2)


async def test_bad_records_are_logged_and_skipped(kafka: Kafka, serve: Serve, node: Node):
    """Without a dead letter topic a flood of bad records is a line in the log, and the good one behind it is heard."""
    kafka.create(TOPIC)
    server = serve(reading(kafka))
    member = await node.member(server.url, ROOM, "ann")
    kafka.produce(TOPIC, [b"not json"] * 2000)
    kafka.produce(TOPIC, bodies(7))
    assert numbers(await member.take("broadcast", 1)) == [7]
    told = [line for line in server.stderr if "a record cannot be published" in line]
    assert 1 <= len(told) <= 5
    assert "orders-0@0" in told[0]
    assert "not JSON" in told[0]
    await until_committed(kafka, 2001)


async def test_down_at_the_start(kafka: Kafka, serve: Serve, node: Node):
    """A server starts without its Kafka, says so in /readyz, serves clients meanwhile, and reads once it is there."""
    kafka.create(TOPIC)
    kafka.produce(TOPIC, bodies(1))
    kafka.down()
    server = serve(reading(kafka))
    await until_state(server, "down")
    member = await node.member(server.url, ROOM, "ann")
    assert (await member.emit("chat", {"room": ROOM, "message": "hi"}))["ok"]
    kafka.up()
    assert numbers(await member.take("broadcast", 1, timeout=60)) == [1]
    await until_state(server, "up")


async def test_down_midway(kafka: Kafka, serve: Serve, node: Node):
    """A Kafka that goes is noticed, nothing else stops, and when it is back every record is heard once, in order."""
    kafka.create(TOPIC)
    server = serve(reading(kafka))
    member = await node.member(server.url, ROOM, "ann")
    kafka.produce(TOPIC, bodies(*range(10)))
    assert numbers(await member.take("broadcast", 10)) == list(range(10))
    kafka.down()
    await until_state(server, "down")
    assert (await member.emit("chat", {"room": ROOM, "message": "hi"}))["ok"]
    kafka.up()
    kafka.produce(TOPIC, bodies(*range(10, 20)))
    assert numbers(await member.take("broadcast", 10, timeout=60)) == list(range(10, 20))
    told = [line for line in server.stderr if "a source cannot be read" in line]
    assert len(told) <= 3, told
    await member.none("broadcast")


async def test_a_stop_commits(kafka: Kafka, serve: Serve, servers: Servers, node: Node):
    """What a server published before SIGTERM is not published again by the next."""
    kafka.create(TOPIC)
    server = serve(reading(kafka))
    member = await node.member(server.url, ROOM, "ann")
    kafka.produce(TOPIC, bodies(*range(100)))
    await member.take("broadcast", 100)
    assert server.stop() == 0
    assert kafka.committed(GROUP, TOPIC) == 100
    restarted(servers, server, reading(kafka))
    again = await node.member(server.url, ROOM, "bob")
    kafka.produce(TOPIC, bodies(100))
    assert numbers(await again.take("broadcast", 1)) == [100]


async def test_kill_9(kafka: Kafka, serve: Serve, servers: Servers, receiver: Receiver, node: Node):
    """Over kill -9 in the middle of a stream every record is published at least once: webhooks hear of all."""
    kafka.create(TOPIC)
    config = hooked(receiver.target(batch={"max_events": 100, "max_wait": "20ms"}), **reading(kafka))
    server = serve(config)
    written = 0
    for round_ in range(3):
        member = await node.member(server.url, ROOM, f"ann-{round_}")
        kafka.produce(TOPIC, bodies(*range(written, written + 2000)))
        written += 2000
        await member.take("broadcast", 50)
        server.kill()
        assert kafka.committed(GROUP, TOPIC) < written
        server = restarted(servers, server, config)

    def heard() -> list[int]:
        return [
            int(event.data["message"]) for event in receiver.distinct() if event.type == "message-broadcast"
        ]

    await receiver.until(lambda: len(set(heard())) == written, "every record", timeout=90)
    first = list(dict.fromkeys(heard()))
    assert first == sorted(first)
    await until_committed(kafka, written)


async def test_two_nodes_share_a_topic(kafka: Kafka, serve: Serve, servers: Servers, receiver: Receiver):
    """Partitions go over to a node that joins the group and back when it leaves: nothing is lost on the way."""
    kafka.create(TOPIC, 4)
    config = hooked(receiver.target(batch={"max_events": 100, "max_wait": "20ms"}), **reading(kafka))

    def heard() -> set[int]:
        return {int(event.data["message"]) for event in receiver.find("message-broadcast")}

    written = 0

    async def write(count: int) -> None:
        nonlocal written
        for number in range(written, written + count):
            await asyncio.to_thread(kafka.produce, TOPIC, bodies(number), partition=number % 4)
        written += count

    one = serve(config)
    await write(40)
    await receiver.until(lambda: len(heard()) == written, "all of one node")
    two = serve(config)
    await write(40)
    await receiver.until(lambda: len(heard()) == written, "all while another joined", timeout=60)
    assert two.stop() == 0
    await write(40)
    await receiver.until(lambda: len(heard()) == written, "all after it left", timeout=60)
    assert one.running
