"""A disk that is full or read-only, and what an ack promises (CONTRACT section 7)."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from .harness import raw
from .harness.node_client import Node, NodeClient, until
from .harness.receiver import Receiver
from .harness.server import COMMON, Server, Servers, command, free_port, merged
from .harness.shapes import check_ack, check_refusal, unique
from .harness.webhooks import hooked, said

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="takes the disk away by means of Linux")


class Limited:
    """No file of the process may have a byte."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.prefix: list[str] = []

    def take_away(self, server: Server) -> None:
        """Every write fails from now on."""
        self._limit(server, 0)

    def give_back(self, server: Server) -> None:
        """Writes succeed again."""
        import resource

        self._limit(server, resource.RLIM_INFINITY)

    def close(self) -> None:
        """Nothing is left behind."""

    def _limit(self, server: Server, size: int) -> None:
        import resource

        _, hard = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (size, hard))


class Full:
    """A small file system of its own, filled to the last byte."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.prefix: list[str] = []
        mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(directory)]
        if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
            pytest.skip("only root may mount a file system")

    def take_away(self, server: Server) -> None:
        """Fill it."""
        with (self.directory / "filler").open("wb", buffering=0) as filler:
            try:
                while filler.write(bytes(512)):
                    pass
            except OSError:
                pass

    def give_back(self, server: Server) -> None:
        """Make room again."""
        (self.directory / "filler").unlink()

    def close(self) -> None:
        """Unmount it."""
        subprocess.run(["umount", "-l", str(self.directory)], check=True)


class Locked:
    """A directory that nobody may write to when the server starts."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.prefix: list[str] = []
        if os.geteuid() == 0:
            self.prefix = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
            if (
                shutil.which("setpriv") is None
                or subprocess.run([*self.prefix, "true"], check=False).returncode
            ):
                pytest.skip("root may write everywhere")
        directory.chmod(0o555)

    def take_away(self, server: Server) -> None:
        """It is away from the start."""

    def give_back(self, server: Server) -> None:
        """Let it be written to."""
        self.directory.chmod(0o755)

    def close(self) -> None:
        """As it was."""
        self.directory.chmod(0o755)


Disk = Limited | Full | Locked


@pytest.fixture(params=[Limited, Full, Locked], ids=["limited", "full", "read-only"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    """Where the database is; it can be taken away."""
    directory = tmp_path / "disk"
    directory.mkdir()
    disk = request.param(directory)
    yield disk
    disk.close()


def serve(servers: Servers, disk: Disk, receiver: Receiver, **webhooks: object) -> Server:
    """A server with its database on that disk, whose target wants the rooms `wanted-*`."""
    target = receiver.target(rooms=["wanted-*"])
    config = hooked(target, webhooks=webhooks, store={"url": f"sqlite:///{disk.directory / 'rtserver.db'}"})
    where, port = servers.directory(), free_port()
    (where / "config.yaml").write_text(yaml.safe_dump(merged(COMMON, config)))
    argv = [*disk.prefix, *command(), "serve", "--config", "config.yaml", "--port", str(port)]
    return servers.start(Server(argv, where, port))


async def until_refused(ada: NodeClient, room: str) -> str:
    """Talk until the outbox takes no more; what was said then."""

    async def ask() -> tuple[str, dict]:
        text = unique("text")
        return text, await ada.emit("chat", {"room": room, "message": text + "x" * 4_000})

    text, ack = await until(ask, lambda answer: not answer[1]["ok"], pause=0.01)
    check_refusal(ack, "server_error")
    return text


async def test_without_a_disk(disk: Disk, receiver: Receiver, servers: Servers, node: Node):
    """Without a disk the server lives and chat goes on; only who wants an ack for the outbox is told server_error."""
    server = serve(servers, disk, receiver)
    wanted, other = unique("wanted"), unique("other")
    ada, bob = [await node.connect(server.url, auth={"client_id": name}) for name in ("ada", "bob")]
    for client in (ada, bob):
        for room in (wanted, other):
            check_ack("join", await client.emit("join", {"room": room}))
    if not isinstance(disk, Locked):
        await said(ada, wanted, "before")
        await receiver.event("message-broadcast", message="before")
    disk.take_away(server)
    text = await until_refused(ada, wanted)
    while not (await bob.next("chat"))["message"].startswith(text):
        pass
    await said(ada, other, "no webhook")
    assert (await bob.next("chat"))["message"] == "no webhook"
    check_ack("ping", await ada.emit("ping", {}))
    late = await node.connect(server.url, auth={"client_id": "late"})
    late.disconnect()
    disk.give_back(server)

    async def ask() -> bool:
        return bool((await ada.emit("chat", {"room": wanted, "message": "after"}))["ok"])

    await until(ask, bool)
    await receiver.event("message-broadcast", message="after")
    check_ack("leave", await bob.emit("leave", {"room": wanted}))
    left = await receiver.event("room-left", room=wanted)
    assert left.data["client_id"] == "bob"


async def test_ready(disk: Disk, receiver: Receiver, servers: Servers, node: Node):
    """While the store takes nothing /readyz is 503 and /healthz is 200; when it is back the server is ready."""
    server = serve(servers, disk, receiver)
    room = unique("wanted")
    ada = await node.member(server.url, room, "ada")
    disk.take_away(server)
    await until_refused(ada, room)
    async with raw.http(server.url) as web:
        await until(lambda: web.get("/readyz"), lambda answer: answer.status_code == 503)
        assert (await web.get("/healthz")).status_code == 200
        disk.give_back(server)
        await until(lambda: web.get("/readyz"), lambda answer: answer.status_code == 200)


async def test_queued(disk: Disk, receiver: Receiver, servers: Servers, node: Node):
    """With `ack: queued` an ack waits for no commit; what was queued is delivered when the disk is back."""
    server = serve(servers, disk, receiver, ack="queued")
    room = unique("wanted")
    ada = await node.member(server.url, room, "ada")
    disk.take_away(server)
    texts = [unique("text") for _ in range(20)]
    for text in texts:
        await said(ada, room, text)
    disk.give_back(server)
    for text in texts:
        await receiver.event("message-broadcast", message=text)


async def test_no_wait(receiver: Receiver, servers: Servers, node: Node, tmp_path: Path):
    """Members hear a message that the outbox could not take: delivery waits for no commit, only the ack does."""
    disk = Limited(tmp_path)
    server = serve(servers, disk, receiver)
    room = unique("wanted")
    ada = await node.member(server.url, room, "ada")
    bob = await node.member(server.url, room, "bob")
    disk.take_away(server)
    acks = [ada.start("chat", {"room": room, "message": str(number)}) for number in range(10)]
    assert [payload["message"] for payload in await bob.take("chat", 10)] == [str(n) for n in range(10)]
    for (ack,) in await asyncio.gather(*(ada.awaited(ack, "chat") for ack in acks)):
        check_refusal(ack, "server_error")
    disk.give_back(server)


async def test_a_deleted_file(receiver: Receiver, servers: Servers, node: Node, tmp_path: Path):
    """When the database is deleted under a server /readyz says so, and what to do."""
    server = serve(servers, Limited(tmp_path), receiver)
    room = unique("wanted")
    ada = await node.member(server.url, room, "ada")
    await said(ada, room, "before")
    (tmp_path / "rtserver.db").unlink()
    check_refusal(await ada.emit("chat", {"room": room, "message": "after"}), "server_error")
    async with raw.http(server.url) as web:
        answer = await web.get("/readyz")
    assert answer.status_code == 503
    assert "moved or deleted; restart the server" in answer.text


async def test_a_lock(receiver: Receiver, servers: Servers, node: Node, tmp_path: Path):
    """While another program holds the database's lock acks are errors, before that ends; then all is delivered."""
    server = serve(servers, Limited(tmp_path), receiver)
    room = unique("wanted")
    ada = await node.member(server.url, room, "ada")
    await said(ada, room, "before")
    other = sqlite3.connect(tmp_path / "rtserver.db", isolation_level=None, timeout=30)
    try:
        other.execute("BEGIN IMMEDIATE")
        for number in range(20):
            ack = await ada.emit("chat", {"room": room, "message": str(number)})
            check_refusal(ack, "server_error")
        async with raw.http(server.url) as web:
            assert (await web.get("/readyz")).status_code == 503
    finally:
        other.close()
    for number in range(20):
        await receiver.event("message-broadcast", message=str(number))
