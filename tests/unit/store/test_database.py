"""Opening the database, and what the disk and other programs can do to it."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from rtserver.store.base import Revoked, StoreError
from rtserver.store.database import Unusable
from rtserver.store.migrations import NEWEST
from rtserver.store.notifications import SqlInbox
from rtserver.store.opening import database_at
from rtserver.store.revocations import SqlRevocations
from rtserver.store.sqlite import database as module
from tests.contract.stores import Store, opened

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the database is to be."""
    return tmp_path / "outbox.db"


def url(path: Path) -> str:
    """Its URL."""
    return f"sqlite:///{path}"


async def filled(path: Path, deliveries: int = 2000) -> None:
    """Make a sound database of some size, in one file."""
    async with opened(url(path)) as store:
        await store.begin()
        await store.write(*range(1, deliveries + 1), body=b"x" * 200)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def aside(path: Path) -> list[Path]:
    """The databases that were moved aside."""
    return sorted(
        one for one in path.parent.glob("outbox.db.corrupt-*") if one.suffix not in ("-wal", "-shm")
    )


async def ended() -> None:
    """Wait until nobody works for a database that could not be opened."""
    async with asyncio.timeout(20):
        while any("_connection_worker" in thread.name for thread in threading.enumerate()):
            await asyncio.sleep(0.001)


async def works(store: Store) -> None:
    """It takes what it is given, and gives it back."""
    await store.begin()
    await store.write(1)
    assert await store.pending() == [1]


class TestOpening:
    """The URL and the file."""

    async def test_a_new_file(self, path: Path) -> None:
        """A database that does not exist is made, and is in WAL mode; opened again it is as it was."""
        async with opened(url(path)) as store:
            await works(store)
            async with store.database.reading() as connection:
                mode = (await connection.exec_driver_sql("PRAGMA journal_mode")).scalar_one()
            assert mode == "wal"
        async with opened(url(path)) as store:
            assert list(await store.all()) == [1]
        assert aside(path) == []

    @pytest.mark.parametrize(
        ("written", "name"),
        [
            ("with space.db", "with space.db"),
            ("umläut.db", "umläut.db"),
            ("a+b;c,d&e=f#g.db", "a+b;c,d&e=f#g.db"),
            ("a%20b.db", "a b.db"),
            ("a%2520b.db", "a%20b.db"),
            ("100%.db", "100%.db"),
            ("what%3F.db", "what?.db"),
        ],
    )
    async def test_names(self, tmp_path: Path, written: str, name: str) -> None:
        """The file is where its URL says, whatever its name, and nowhere else."""
        async with opened(url(tmp_path / written)) as store:
            await works(store)
            found = {one.name.partition(".db")[0] + ".db" for one in tmp_path.iterdir()}  # noqa: ASYNC240
        assert store.database.path == tmp_path / name
        assert found == {name}

    @pytest.mark.parametrize("memory", ["memory://", "sqlite://", "sqlite:///:memory:"])
    async def test_in_memory(self, memory: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A database in memory makes no file, survives nothing, and is nobody else's."""
        monkeypatch.chdir(tmp_path)
        async with opened(memory) as one, opened(memory) as two:
            await works(one)
            await two.begin()
            assert await two.all() == {}
            assert not one.database.durable
        async with opened(memory) as again:
            assert await again.all() == {}
        assert not any(tmp_path.iterdir())  # noqa: ASYNC240

    async def test_before_and_after(self, path: Path) -> None:
        """Before it is open, and after it was closed, every use is a StoreError; both may be done twice."""
        store = Store(url(path))
        for _ in range(2):
            assert not store.database.is_open
            with pytest.raises(StoreError):
                await store.write(1)
            with pytest.raises(StoreError):
                await store.all()
            await store.database.open()
            assert store.database.is_open
            await store.write(1)
            await store.database.close()
            await store.database.close()

    async def test_opened_by_several_at_once(self, path: Path) -> None:
        """Several that open a new file at the same moment all get it."""
        stores = [Store(url(path)) for _ in range(5)]
        await asyncio.gather(*(store.database.open() for store in stores))
        for number, store in enumerate(stores):
            await store.write(number + 1)
        assert len(await stores[0].all()) == 5
        for store in stores:
            await store.close()

    async def test_another_s_tables(self, path: Path) -> None:
        """Tables of somebody else in the same file are left as they are."""
        connection = sqlite3.connect(path)
        connection.execute("CREATE TABLE theirs (a)")
        connection.execute("INSERT INTO theirs VALUES (7)")
        connection.commit()
        connection.close()
        async with opened(url(path)) as store:
            await works(store)
            async with store.database.reading() as reading:
                assert (await reading.exec_driver_sql("SELECT a FROM theirs")).scalar_one() == 7
        assert aside(path) == []


class TestLogs:
    """What stands in the log, and not in the file yet."""

    async def test_what_a_kill_left(self, path: Path, tmp_path: Path) -> None:
        """What a server that was killed left in the log is in the file once the next one is open: a copy has it."""
        left = tmp_path / "left.db"
        async with opened(f"sqlite:///{path}") as store:
            await store.begin()
            await store.write(1, 2, 3)
            for suffix in ("", "-wal"):
                shutil.copy(f"{path}{suffix}", f"{left}{suffix}")
        alone = shutil.copy(left, tmp_path / "alone.db")
        with contextlib.closing(sqlite3.connect(alone)) as copy:
            assert copy.execute("SELECT count(*) FROM deliveries").fetchone() == (0,)
        async with opened(f"sqlite:///{left}"):
            shutil.copy(left, alone)
            with contextlib.closing(sqlite3.connect(alone)) as copy:
                assert copy.execute("SELECT count(*) FROM deliveries").fetchone() == (3,)


class TestVersions:
    """The version of the tables."""

    async def test_a_newer_one(self, path: Path) -> None:
        """What a newer version wrote is refused and stays as it is."""
        await filled(path, 3)
        connection = sqlite3.connect(path)
        connection.execute("UPDATE rtserver_schema SET version = ?", (NEWEST + 1,))
        connection.commit()
        connection.close()
        with pytest.raises(Unusable, match=f"version {NEWEST + 1}"):
            await database_at(url(path)).open()
        assert aside(path) == []
        connection = sqlite3.connect(path)
        assert connection.execute("SELECT count(*) FROM deliveries").fetchone() == (3,)
        connection.close()


class TestBroken:
    """A file that is no sound database."""

    @pytest.mark.parametrize(
        "damage", ["garbage", "text", "truncated", "page", "schema page", "half a header"]
    )
    async def test_moved_aside(self, path: Path, damage: str) -> None:
        """It is moved aside as it is, which is said loudly, and a new one takes its place."""
        await filled(path)
        sound = path.read_bytes()  # noqa: ASYNC240
        broken = {
            "garbage": bytes(range(256)) * 400,
            "text": b"store:\n  url: sqlite:///rtserver.db\n" * 100,
            "truncated": sound[: len(sound) // 2],
            "page": sound[: 4096 * 40] + b"\xa5" * 4096 * 3 + sound[4096 * 43 :],
            "schema page": sound[:100] + b"\xff" * 3996 + sound[4096:],
            "half a header": sound[:50],
        }[damage]
        path.write_bytes(broken)  # noqa: ASYNC240
        with capture_logs() as logs:
            async with opened(url(path)) as store:
                await works(store)
                assert list(await store.all()) == [1]
        (moved,) = aside(path)
        assert moved.read_bytes() == broken
        (line,) = [line for line in logs if line["log_level"] == "error"]
        assert line["moved_to"] == str(moved)
        assert line["database"] == str(path)

    async def test_its_log_goes_with_it(self, path: Path) -> None:
        """The write-ahead log of a broken file does not stay for the new one."""
        await filled(path, 10)
        path.write_bytes(b"garbage" * 1000)  # noqa: ASYNC240
        Path(f"{path}-wal").write_bytes(b"log" * 1000)  # noqa: ASYNC240
        async with opened(url(path)) as store:
            await works(store)
        (moved,) = aside(path)
        assert not moved.name.endswith("-wal")

    async def test_empty(self, path: Path) -> None:
        """An empty file is a new database, and nothing is moved."""
        path.touch()  # noqa: ASYNC240
        async with opened(url(path)) as store:
            await works(store)
        assert aside(path) == []

    async def test_a_torn_log(self, path: Path) -> None:
        """A write-ahead log whose end was torn off costs at most what was in it; the database is as it was before."""
        await filled(path, 10)
        async with opened(url(path)) as store:
            await store.write(100)
            log = Path(f"{path}-wal").read_bytes()  # noqa: ASYNC240
            sound = path.read_bytes()  # noqa: ASYNC240
        path.write_bytes(sound)  # noqa: ASYNC240
        Path(f"{path}-wal").write_bytes(log[: len(log) - 1000])  # noqa: ASYNC240
        async with opened(url(path)) as store:
            assert set(range(1, 11)) <= set(await store.all())
        assert aside(path) == []

    async def test_twice(self, path: Path) -> None:
        """A second one that breaks is moved aside too, and the first one stays."""
        for number in range(2):
            path.write_bytes(b"%d garbage" % number * 1000)  # noqa: ASYNC240
            async with opened(url(path)) as store:
                await works(store)
            path.unlink()  # noqa: ASYNC240
        assert len(aside(path)) == 2

    async def test_commands_move_nothing(self, path: Path) -> None:
        """A command that looks at a broken file says so, and leaves it there; where there is none it makes none."""
        with pytest.raises(StoreError, match="no database"):
            await database_at(url(path)).look()
        assert not path.exists()  # noqa: ASYNC240
        path.write_bytes(b"garbage" * 1000)  # noqa: ASYNC240
        with pytest.raises(StoreError):
            await database_at(url(path)).look()
        assert path.read_bytes() == b"garbage" * 1000  # noqa: ASYNC240
        assert aside(path) == []


class TestUnreachable:
    """Where there can be no file, or somebody else has it."""

    @pytest.mark.parametrize("where", ["missing/outbox.db", "file/outbox.db", "."])
    async def test_no_place(self, tmp_path: Path, where: str) -> None:
        """A file that cannot be made is a StoreError that names it, and is no reason to move anything."""
        (tmp_path / "file").write_text("a file, no directory")
        database = database_at(url(tmp_path / where))
        with pytest.raises(StoreError, match=str(tmp_path)) as caught:
            await database.open()
        await ended()
        assert not isinstance(caught.value, Unusable)
        assert not database.is_open
        assert [one.name for one in tmp_path.iterdir()] == ["file"]  # noqa: ASYNC240

    async def test_it_can_be_tried_again(self, tmp_path: Path) -> None:
        """Once there is a place for it, opening works."""
        store = Store(url(tmp_path / "later" / "outbox.db"))
        with pytest.raises(StoreError):
            await store.database.open()
        await ended()
        (tmp_path / "later").mkdir()
        await store.database.open()
        await works(store)
        await store.close()

    async def test_somebody_else_writes(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """While another program holds the lock for too long, writing fails as told, reading goes on, then all works."""
        monkeypatch.setattr(module, "_BUSY", 0.1)
        async with opened(url(path)) as store:
            await works(store)
            with held(path):
                for change in (store.write(2), store.steering.enable("audit"), store.lives.seen(0.0)):
                    with pytest.raises(StoreError, match="locked"):
                        await change
                assert await store.pending() == [1]
            await store.write(3)
            assert await store.pending() == [1, 3]

    async def test_moved_away(self, path: Path, tmp_path: Path) -> None:
        """Once the file is no longer where it was, nobody writes to it, and each who wants to is told so."""
        async with opened(url(path)) as store:
            await works(store)
            path.rename(tmp_path / "elsewhere")  # noqa: ASYNC240
            rule = Revoked("ada", None, 1.0, 1.0)
            for change in (
                store.write(2),
                store.steering.enable("audit"),
                store.lives.seen(0.0),
                SqlRevocations(store.database).keep(rule),
                SqlInbox(store.database).check(),
            ):
                with pytest.raises(StoreError, match="moved or deleted"):
                    await change

    async def test_it_waits_for_a_short_one(self, path: Path) -> None:
        """Another program's short transaction is waited for."""
        async with opened(url(path)) as store:
            await works(store)
            release = threading.Event()
            began = threading.Event()
            other = threading.Thread(target=hold, args=(path, began, release))
            other.start()
            began.wait(20)
            writing = asyncio.ensure_future(store.write(2))
            done, _ = await asyncio.wait([writing], timeout=0.2)
            assert not done
            release.set()
            async with asyncio.timeout(20):
                await writing
            other.join(20)
            assert await store.pending() == [1, 2]

    async def test_locked_when_it_is_opened(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A file that somebody else has locked cannot be opened now, and is not moved aside."""
        monkeypatch.setattr(module, "_BUSY", 0.1)
        await filled(path, 3)
        with held(path), pytest.raises(StoreError):
            await database_at(url(path)).open()
        assert aside(path) == []
        async with opened(url(path)) as store:
            assert len(await store.all()) == 3


class held:  # noqa: N801
    """Another program has a transaction open."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, *exc: object) -> None:
        self._connection.execute("ROLLBACK")
        self._connection.close()


def hold(path: Path, began: threading.Event, release: threading.Event) -> None:
    """Hold a transaction open until told."""
    with held(path):
        began.set()
        release.wait(20)


# The disk is full: for this process no file can grow beyond a size. SQLite sees that as it sees a full disk.
FULL = """
import asyncio, resource, sys
from rtserver.store.base import StoreError
from tests.contract.stores import Store

async def main(url):
    store = Store(url)
    await store.database.open()
    await store.begin()
    await store.write(1)
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, most))
    written, failed = [1], 0
    for position in range(2, 2000):
        try:
            await store.write(position, body=b"x" * 3000)
            written.append(position)
        except StoreError:
            failed += 1
            if failed > 20:
                break
    assert failed > 20, "it never was full"
    assert await store.pending() == written, "half of a transaction, or a lost one"
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    await store.write(5000, body=b"x" * 3000)
    assert await store.pending() == [*written, 5000]
    await store.lives.end()
    await store.database.close()
    again = Store(url)
    await again.database.open()
    assert sorted(await again.all()) == [*written, 5000]
    await again.database.close()
    print("all as it should be")

asyncio.run(main(sys.argv[1]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no limit of a file's size")
def test_a_full_disk(path: Path) -> None:
    """On a full disk a transaction is a StoreError and nothing of it is written; with room again all goes on."""
    run = subprocess.run(
        [sys.executable, "-c", FULL, url(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.stdout == "all as it should be\n", run.stderr
    assert aside(path) == []


@pytest.fixture(autouse=True)
def nothing_left_open() -> Iterator[None]:
    """Every thread of the store ends with it."""
    yield
    left = [thread.name for thread in threading.enumerate() if thread.name.startswith("rtserver-store")]
    assert left == []
