"""What PostgreSQL can do to a server: be away, restart, hang, refuse to write, refuse to be entered."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import httpx
import pytest

from .harness import postgres as postgresql
from .harness.certificates import Authority
from .harness.node_client import Node, NodeClient, until
from .harness.receiver import OK, Answer, Receiver
from .harness.relay import Relay
from .harness.server import Server, Servers, run_command
from .harness.shapes import check_ack, unique
from .harness.webhooks import hooked, said

TALK = {"events": ["message-broadcast"]}
SECRET = "hush-hush-42"


@pytest.fixture
async def own(request: pytest.FixtureRequest) -> AsyncIterator[postgresql.Postgres]:
    """A PostgreSQL of this test's own, which it may treat as it likes."""
    request.getfixturevalue("postgres")  # it says what to install
    programs = postgresql.programs()
    assert programs is not None
    server = await asyncio.to_thread(postgresql.Postgres, programs)
    yield server
    await asyncio.to_thread(server.close)


def through(relay: Relay, database: str) -> str:
    """The URL of a database by way of the relay."""
    return f"postgresql://tests@127.0.0.1:{relay.port}/{database.rpartition('/')[2]}"


async def status(server: Server, path: str = "/readyz") -> int:
    """What the server answers."""
    async with httpx.AsyncClient(trust_env=False) as client:
        return (await client.get(f"{server.url}{path}")).status_code


async def until_ready(server: Server, ready: int = 200) -> None:
    """Wait until /readyz says so."""

    async def ask() -> int:
        return await status(server)

    await until(ask, lambda found: found == ready)


async def say(client: NodeClient, count: int) -> tuple[list[str], list[dict[str, Any]]]:
    """Say so many things at once; what was acknowledged as promised, and what was not."""
    texts = [unique("text") for _ in range(count)]
    acks = await asyncio.gather(*(client.emit("chat", {"message": text}) for text in texts))
    sure = [text for text, ack in zip(texts, acks, strict=True) if ack["ok"]]
    return sure, [ack["error"] for ack in acks if not ack["ok"]]


async def test_away_at_the_start(own: postgresql.Postgres, servers: Servers, node: Node, receiver: Receiver):
    """Without its database a server starts, chats, says so to /readyz and to who waits for an ack; then it delivers."""
    await asyncio.to_thread(own.stop)
    server = await asyncio.to_thread(
        servers.serve, hooked(receiver.target(**TALK), store={"url": own.dsn()}, webhooks={"ack": "queued"})
    )
    assert (await status(server), await status(server, "/healthz")) == (503, 200)
    ada, bob = await node.connect(server.url), await node.connect(server.url)
    await said(ada, None, "anybody?")
    assert (await bob.next("chat"))["message"] == "anybody?"
    await asyncio.to_thread(own.start)
    await until_ready(server)
    await receiver.event("message-broadcast", message="anybody?")
    await said(ada, None, "now?")
    await receiver.event("message-broadcast", message="now?")


async def test_restarted_under_load(
    own: postgresql.Postgres, servers: Servers, node: Node, receiver: Receiver
):
    """While PostgreSQL restarts again and again, every event that is acknowledged is delivered, and once."""
    server = servers.serve(
        hooked(receiver.target(**TALK), store={"url": await asyncio.to_thread(own.database)})
    )
    ada = await node.connect(server.url)
    promised: list[str] = []
    over = asyncio.Event()

    async def talk() -> None:
        while not over.is_set():
            promised.extend((await say(ada, 20))[0])

    talking = asyncio.create_task(talk())
    for _ in range(3):
        before = len(promised)
        async with asyncio.timeout(60):
            while len(promised) < before + 100:
                await asyncio.sleep(0.01)
        await asyncio.to_thread(own.stop)
        await asyncio.to_thread(own.start)
    over.set()
    await talking
    await until_ready(server)
    await say(ada, 20)
    await receiver.until(
        lambda: set(promised) <= {event.data["message"] for event in receiver.find("message-broadcast")},
        "what was promised",
        60,
    )
    ids = [event.data["id"] for event in receiver.distinct()]
    assert len(ids) == len(set(ids))


async def test_it_hangs(
    database: str, postgres: postgresql.Postgres, servers: Servers, node: Node, receiver: Receiver
):
    """When PostgreSQL takes no more bytes an ack says server_error soon, and what was said is delivered later."""
    async with Relay(postgres.port) as relay:
        server = await asyncio.to_thread(
            servers.serve, hooked(receiver.target(**TALK), store={"url": through(relay, database)})
        )
        ada = await node.connect(server.url)
        await said(ada, None, "before")
        relay.freeze()
        for _ in range(3):
            begun = time.monotonic()
            _, errors = await say(ada, 3)
            assert [error["reason"] for error in errors] == ["server_error"] * 3
            assert time.monotonic() - begun < 10
        assert await status(server) == 503
        relay.thaw()
        await until_ready(server)
        await said(ada, None, "after")
        await receiver.take(11, "message-broadcast")
        assert len(receiver.distinct()) == 11


async def test_it_hangs_at_the_end(
    database: str, postgres: postgresql.Postgres, servers: Servers, node: Node, receiver: Receiver
):
    """A server that is told to stop while PostgreSQL hangs does so; the next one delivers what was promised."""
    async with Relay(postgres.port) as relay:
        config = hooked(receiver.target(**TALK), store={"url": through(relay, database)})
        server = await asyncio.to_thread(servers.serve, config)
        ada = await node.connect(server.url)
        receiver.always(Answer(500))
        await said(ada, None, "promised")
        relay.freeze()
        await say(ada, 1)
        await asyncio.to_thread(server.stop)
    receiver.always(OK)
    servers.serve(hooked(receiver.target(**TALK), store={"url": database}))
    await receiver.event("message-broadcast", message="promised")


async def test_two_that_began_without_it(
    own: postgresql.Postgres, servers: Servers, node: Node, receiver: Receiver
):
    """Nodes that began without the database, and heard much meanwhile, lose nothing of it to one another."""
    await asyncio.to_thread(own.stop)
    config = hooked(
        receiver.target(**TALK, batch={"max_events": 100}),
        store={"url": own.dsn()},
        webhooks={"ack": "queued"},
    )
    nodes = [await asyncio.to_thread(servers.serve, config) for _ in range(2)]
    clients = [await node.connect(one.url) for one in nodes]
    said_there = await asyncio.gather(*(say(client, 1000) for client in clients))
    await asyncio.to_thread(own.start)
    texts = {text for sure, _ in said_there for text in sure}
    assert len(texts) == 2000
    await receiver.until(
        lambda: texts <= {event.data["message"] for event in receiver.find("message-broadcast")},
        "all of it",
        60,
    )


async def test_an_inbox_whose_store_hangs(
    database: str, postgres: postgresql.Postgres, servers: Servers, node: Node
):
    """Who asks for an inbox while PostgreSQL hangs is answered server_error, and has it again afterwards."""
    async with Relay(postgres.port) as relay:
        server = await asyncio.to_thread(servers.serve, {"store": {"url": through(relay, database)}})
        ada = await node.connect(server.url)
        check_ack("notifications", await ada.emit("notifications", {}))
        relay.freeze()
        refused = await ada.emit("notifications", {}, timeout=30)
        assert refused["error"]["reason"] == "server_error"
        assert await status(server) == 503
        relay.thaw()
        await until_ready(server)
        check_ack("notifications", await ada.emit("notifications", {}))


async def test_read_only(own: postgresql.Postgres, servers: Servers, node: Node, receiver: Receiver):
    """A database that only reads is said to be so; once it writes again, all that waited is delivered."""
    database = await asyncio.to_thread(own.database)
    name = database.rpartition("/")[2]
    server = servers.serve(hooked(receiver.target(**TALK), store={"url": database}))
    ada = await node.connect(server.url)
    await said(ada, None, "before")
    cut = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
    await postgresql.execute(own.dsn(), f"ALTER DATABASE {name} SET default_transaction_read_only = on", cut)
    _, errors = await say(ada, 3)
    assert [error["reason"] for error in errors] == ["server_error"] * 3
    assert await status(server) == 503
    assert "read-only transaction" in server.logs()
    await postgresql.execute(own.dsn(), f"ALTER DATABASE {name} RESET default_transaction_read_only", cut)
    await until_ready(server)
    await receiver.take(4, "message-broadcast")


async def guarded(own: postgresql.Postgres) -> None:
    """From now on ada needs her password."""
    await postgresql.execute(
        own.dsn(), f"CREATE USER ada PASSWORD '{SECRET}'", "CREATE DATABASE ours OWNER ada"
    )
    rules = own._folder / "data" / "pg_hba.conf"
    rules.write_text("host all ada 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n")
    await postgresql.execute(own.dsn(), "SELECT pg_reload_conf()")


async def test_who_may_not_enter(own: postgresql.Postgres, servers: Servers, receiver: Receiver):
    """A wrong password, and a database that is none, are one clear line; no log has a password."""
    await guarded(own)
    for user, name, says in (
        (f"ada:{SECRET}x", "ours", "password authentication failed"),
        (f"ada:{SECRET}", "nowhere", 'database \\"nowhere\\" does not exist'),
        (f"ada:{SECRET}", "ours", None),
    ):
        url = f"postgresql://{user}@127.0.0.1:{own.port}/{name}"
        server = servers.serve(hooked(receiver.target(**TALK), store={"url": url}))
        if says is None:
            await until_ready(server)
        else:
            assert await status(server) == 503
            (line,) = [
                line for line in server.logs().splitlines() if "the store cannot be opened: webhooks" in line
            ]
            assert says.replace("\\", "") in line.replace("\\", "")
            done = run_command("webhooks", "list", "--config", "config.yaml", cwd=server.cwd)
            assert done.returncode == 1
            assert says.replace("\\", "") in done.stderr
            assert SECRET not in done.stdout + done.stderr
        assert SECRET not in server.logs()
        server.stop()


async def test_tls(own: postgresql.Postgres, servers: Servers, tmp_path: Any):
    """Libpq's parameters hold: verify-full wants a certificate that an authority signed for that name."""
    authority = Authority(tmp_path, "authority")
    data = own._folder / "data"
    signed = authority.sign().read_bytes()
    for name in ("server.key", "server.crt"):
        # Each has both, and PostgreSQL takes the part it needs.
        (data / name).write_bytes(signed)
        (data / name).chmod(0o600)
        if own._user is not None:
            shutil.chown(data / name, own._user)
    await postgresql.execute(own.dsn(), "ALTER SYSTEM SET ssl = on", "SELECT pg_reload_conf()")
    where = f"{own.port}/postgres?sslmode=verify-full&sslrootcert={authority.file}"
    assert await opens(servers, f"postgresql://tests@127.0.0.1:{where}")
    assert not await opens(servers, f"postgresql://tests@localhost:{where}")


async def opens(servers: Servers, url: str) -> bool:
    """Whether a server with that store is ready."""
    server = servers.serve({"store": {"url": url}})
    return await status(server) == 200


async def test_commands_without_a_database(database: str, servers: Servers):
    """A command that looks at a database in which no server has been says so, and makes nothing."""
    where = servers.directory()
    (where / "config.yaml").write_text(f"store: {{url: '{database}'}}\n")
    done = run_command("webhooks", "list", "--config", "config.yaml", cwd=where)
    assert done.returncode == 1
    assert "no server has used it yet" in done.stderr
    connection = await asyncpg.connect(database)
    assert not await connection.fetchval("SELECT count(*) FROM pg_namespace WHERE nspname = 'rtserver'")
    await connection.close()


def test_a_url_in_a_file(database: str, servers: Servers):
    """The URL, with its password, may stand in a file of its own."""
    where = servers.directory()
    (where / "url").write_text(database + "\n")
    server = servers.serve({"store": {"url_file": str(where / "url")}})
    assert httpx.get(f"{server.url}/readyz", trust_env=False).status_code == 200
