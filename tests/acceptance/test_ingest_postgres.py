"""NOTIFY and outbox tables of PostgreSQL are published (`ingest.postgres`)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import asyncpg
import httpx
import pytest

from .harness.node_client import Node, until
from .harness.postgres import Postgres, execute
from .harness.receiver import Receiver
from .harness.server import Server, Servers
from .harness.shapes import check_event
from .harness.webhooks import hooked, restarted

Serve = Callable[..., Server]
ROOM = "floor"
DDL = """
CREATE TABLE {table} (
    id         bigserial   PRIMARY KEY,
    body       jsonb       NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    error      text,
    failed_at  timestamptz
)
"""
WAKE = (
    """
CREATE FUNCTION outbox_wake() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN PERFORM pg_notify('outbox', ''); RETURN NULL; END $$
""",
    "CREATE TRIGGER wake AFTER INSERT ON outbox FOR EACH STATEMENT EXECUTE FUNCTION outbox_wake()",
)


@pytest.fixture
def postgres(postgres: Postgres) -> Iterator[Postgres]:
    """The server, which runs again after each test."""
    yield postgres
    if postgres.stopped:
        postgres.start()


def reading(dsn: str, **what: Any) -> dict[str, Any]:
    """A config with one source."""
    return {"ingest": {"postgres": [{"name": "shop", "dsn": dsn, **what}]}}


def body(number: int, **more: Any) -> str:
    """What is published in the room."""
    return json.dumps({"room": ROOM, "message": str(number), **more})


async def notify(dsn: str, channel: str, *payloads: str) -> None:
    """NOTIFY, in order."""
    await execute(dsn, *(("SELECT pg_notify($1, $2)", channel, payload) for payload in payloads))


async def insert(dsn: str, table: str, *bodies: str) -> None:
    """Rows of one transaction."""
    rows = f"INSERT INTO {table} (body) SELECT b::jsonb FROM unnest($1::text[]) WITH ORDINALITY AS t (b, n) ORDER BY n"
    await execute(dsn, (rows, list(bodies)))


async def until_empty(dsn: str, table: str) -> None:
    """Wait until every row is published, or marked."""

    async def ask() -> int:
        (row,) = await execute(dsn, f"SELECT count(*) FROM {table} WHERE error IS NULL")
        return int(row[0])

    await until(ask, lambda count: count == 0, timeout=60)


def numbers(events: list[Any]) -> list[int]:
    """What was said."""
    return [int(event["message"]) for event in events]


async def state(server: Server) -> str:
    """What /readyz says of the one source; it is 200 whatever that does."""
    async with httpx.AsyncClient(trust_env=False) as client:
        response = await client.get(f"{server.url}/readyz")
    assert response.status_code == 200, response.text
    ((source),) = response.json()["sources"]
    assert (source["kind"], source["name"]) == ("postgres", "shop")
    return str(source["state"])


async def until_state(server: Server, wanted: str) -> None:
    """Wait until the one source is in that state."""
    await until(lambda: state(server), lambda now: now == wanted, timeout=60)


class TestNotify:
    """Channels."""

    async def test_payloads_are_published_in_order(self, database: str, serve: Serve, node: Node):
        """A member hears what is said with NOTIFY, in order, also on a channel whose name has to be quoted."""
        server = serve(reading(database, channel='Shop "live"'))
        await until_state(server, "up")
        member = await node.member(server.url, ROOM, "ann")
        await notify(database, 'Shop "live"', *map(body, range(200)))
        heard = await member.take("broadcast", 200)
        assert numbers(heard) == list(range(200))
        check_event("broadcast", heard[0])

    async def test_bad_payloads_are_logged(self, database: str, serve: Serve, node: Node):
        """What is cut, no JSON, or names nobody is told in the log, and what comes after it is published."""
        server = serve(reading(database, channel="live") | {"logging": {"format": "json"}})
        await until_state(server, "up")
        member = await node.member(server.url, ROOM, "ann")
        whole = body(1, data="x" * 9000)
        await notify(database, "live", whole[:7999], "", body(2))
        assert numbers(await member.take("broadcast", 1)) == [2]
        told = [json.loads(line) for line in server.stderr if "a record cannot be published" in line]
        assert told[0]["record"] == "NOTIFY on live"
        assert "7999 bytes, an outbox table any number" in told[0]["why"]

    async def test_the_longest_payload(self, database: str, serve: Serve, node: Node):
        """A payload of 7999 bytes is no cut one."""
        server = serve(reading(database, channel="live"))
        await until_state(server, "up")
        member = await node.member(server.url, ROOM, "ann")
        await notify(database, "live", body(1, data="x" * (7999 - len(body(1, data="")))))
        assert numbers(await member.take("broadcast", 1)) == [1]

    async def test_down_and_back(self, database: str, postgres: Postgres, serve: Serve, node: Node):
        """A database that is down, at the start or later, costs clients nothing, and is listened to when it is back."""
        postgres.stop()
        server = serve(reading(database, channel="live"))
        await until_state(server, "down")
        member = await node.member(server.url, ROOM, "ann")
        for number in range(2):
            postgres.start()
            await until_state(server, "up")
            await notify(database, "live", body(number))
            assert numbers(await member.take("broadcast", 1)) == [number]
            postgres.stop()
            await until_state(server, "down")
            assert (await member.emit("chat", {"room": ROOM, "message": "hi"}))["ok"]


class TestOutbox:
    """Tables."""

    @pytest.mark.parametrize("table", ["outbox", "app.outbox", '"My ""odd"".Table"'])
    async def test_rows_are_published_in_order(self, database: str, serve: Serve, node: Node, table: str):
        """Rows are published by their ids and deleted, whatever the table's name, and without anybody who wakes it."""
        await execute(database, "CREATE SCHEMA app", DDL.format(table=table))
        await insert(database, table, *map(body, range(1200)))
        server = serve(
            reading(database, table=table) | {"rooms": [{"match": "*", "history": {"size": 2000}}]}
        )
        await until_empty(database, table)
        member = await node.connect(server.url)
        first = (await member.emit("join", {"room": ROOM, "history": 1000}))["history"]
        assert numbers(first) == list(range(200, 1200))
        await insert(database, table, *map(body, range(1200, 1210)))
        assert numbers(await member.take("broadcast", 10)) == list(range(1200, 1210))
        await until_empty(database, table)
        assert await execute(database, f"SELECT * FROM {table}") == []

    async def test_a_trigger_wakes_it(self, database: str, serve: Serve, node: Node):
        """With the documented trigger rows are published when they are committed, each before the next poll."""
        await execute(database, DDL.format(table="outbox"), *WAKE)
        server = serve(reading(database, table="outbox"))
        await until_state(server, "up")
        member = await node.member(server.url, ROOM, "ann")
        clock = asyncio.get_running_loop().time
        begun = clock()
        for number in range(60):
            await insert(database, "outbox", body(number))
            assert numbers(await member.take("broadcast", 1)) == [number]
        # By polling alone, once a second, it would be a minute.
        assert clock() - begun < 30

    async def test_what_is_rolled_back_was_never_said(self, database: str, serve: Serve, node: Node):
        """A row goes out with its transaction, or not at all."""
        await execute(database, DDL.format(table="outbox"), *WAKE)
        server = serve(reading(database, table="outbox"))
        member = await node.member(server.url, ROOM, "ann")
        connection = await asyncpg.connect(database)
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("INSERT INTO outbox (body) VALUES ($1::jsonb)", body(1))
        await transaction.rollback()
        await connection.close()
        await insert(database, "outbox", body(2))
        assert numbers(await member.take("broadcast", 1)) == [2]

    async def test_poisoned_rows_are_marked(self, database: str, serve: Serve, node: Node):
        """A row that cannot be published stays with its error, holds up nobody, and goes when it is put right."""
        await execute(database, DDL.format(table="outbox"))
        bad = [
            '{"message": "nobody"}',
            '"text"',
            body(0, colour="red"),
            body(0, data="x" * 1_000_000),
            '{"room": 1e999}',
        ]
        server = serve(reading(database, table="outbox"))
        member = await node.member(server.url, ROOM, "ann")
        await insert(database, "outbox", body(1), *bad, body(2))
        assert numbers(await member.take("broadcast", 2)) == [1, 2]
        await until_empty(database, "outbox")
        rows = await execute(database, "SELECT id, error, failed_at FROM outbox ORDER BY id")
        assert [row["id"] for row in rows] == [2, 3, 4, 5, 6]
        reasons = [row["error"].partition(":")[0] for row in rows]
        assert reasons == [*["bad_request"] * 3, "message_too_large", "bad_request"]
        assert all(row["failed_at"] is not None for row in rows)
        right = "UPDATE outbox SET body = $1::jsonb, error = NULL WHERE id = 2"
        await execute(database, (right, body(3)))
        assert numbers(await member.take("broadcast", 1)) == [3]

    async def test_a_locked_row_holds_up_nobody(self, database: str, serve: Serve, node: Node):
        """A row that somebody else has locked is passed over, and published once it is free."""
        await execute(database, DDL.format(table="outbox"))
        await insert(database, "outbox", body(1), body(2))
        connection = await asyncpg.connect(database)
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("SELECT * FROM outbox WHERE id = 1 FOR UPDATE")
        server = serve(
            reading(database, table="outbox") | {"rooms": [{"match": "*", "history": {"size": 10}}]}
        )

        async def said() -> list[int]:
            client = await node.connect(server.url)
            return numbers((await client.emit("join", {"room": ROOM, "history": 10}))["history"])

        await until(said, lambda heard: heard == [2])
        await transaction.rollback()
        await connection.close()
        await until(said, lambda heard: heard == [2, 1])

    async def test_a_table_that_is_not_there(self, database: str, serve: Serve, node: Node):
        """A missing table is told in the log, and read once it was made."""
        server = serve(reading(database, table="outbox"))
        await until_state(server, "down")
        told = [json.loads(line)["why"] for line in server.stderr if "a source cannot be read" in line]
        assert told == ['relation "outbox" does not exist']
        member = await node.member(server.url, ROOM, "ann")
        await execute(database, DDL.format(table="outbox"))
        await insert(database, "outbox", body(1))
        assert numbers(await member.take("broadcast", 1, timeout=60)) == [1]

    async def test_down_midway(self, database: str, postgres: Postgres, serve: Serve, node: Node):
        """Over a restart of the database every row is heard once, in order."""
        await execute(database, DDL.format(table="outbox"), *WAKE)
        server = serve(reading(database, table="outbox"))
        member = await node.member(server.url, ROOM, "ann")
        await insert(database, "outbox", *map(body, range(5)))
        assert numbers(await member.take("broadcast", 5)) == list(range(5))
        await until_empty(database, "outbox")
        postgres.stop()
        await until_state(server, "down")
        postgres.start()
        await insert(database, "outbox", *map(body, range(5, 10)))
        assert numbers(await member.take("broadcast", 5, timeout=60)) == list(range(5, 10))
        await until_empty(database, "outbox")
        await member.none("broadcast")

    async def test_two_nodes_share_a_table(
        self, database: str, servers: Servers, serve: Serve, receiver: Receiver
    ):
        """Two nodes publish each row once, in order, and when one is killed the other goes on with the rest."""
        await execute(database, DDL.format(table="outbox"), *WAKE)
        config = hooked(
            receiver.target(batch={"max_events": 100, "max_wait": "20ms"}),
            **reading(database, table="outbox"),
        )
        one, two = serve(config), serve(config)
        for start in range(0, 2000, 100):
            await insert(database, "outbox", *map(body, range(start, start + 100)))
        await until_empty(database, "outbox")

        def heard() -> list[int]:
            return [
                int(event.data["message"])
                for event in receiver.distinct()
                if event.type == "message-broadcast"
            ]

        await receiver.until(lambda: len(heard()) >= 2000, "every row", timeout=60)
        assert sorted(heard()) == list(range(2000))
        one.kill()
        await insert(database, "outbox", *map(body, range(2000, 2100)))
        await receiver.until(lambda: len(set(heard())) == 2100, "the rest", timeout=60)
        assert two.running

    async def test_kill_9(
        self, database: str, servers: Servers, serve: Serve, receiver: Receiver, node: Node
    ):
        """Over kill -9 in the middle every row is published at least once, and webhooks hear of all, in order."""
        await execute(database, DDL.format(table="outbox"))
        config = hooked(
            receiver.target(batch={"max_events": 100, "max_wait": "20ms"}),
            **reading(database, table="outbox"),
        )
        server = serve(config)
        for round_ in range(3):
            member = await node.member(server.url, ROOM, f"ann-{round_}")
            await insert(database, "outbox", *map(body, range(round_ * 3000, round_ * 3000 + 3000)))
            await member.take("broadcast", 50)
            server.kill()
            assert await execute(database, "SELECT 1 FROM outbox LIMIT 1")
            server = restarted(servers, server, config)
        await until_empty(database, "outbox")

        def heard() -> list[int]:
            return [
                int(event.data["message"])
                for event in receiver.distinct()
                if event.type == "message-broadcast"
            ]

        await receiver.until(lambda: len(set(heard())) == 9000, "every row", timeout=90)
        first = list(dict.fromkeys(heard()))
        assert first == sorted(first)
