"""`rtserver webhooks`: what it prints and does, on a real file, without a server."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from click.testing import CliRunner, Result

from rtserver.cli.main import main
from rtserver.store.base import Changes
from tests.contract.stores import NOW, Store, opened

T = TypeVar("T")

CONFIG = """
store: {url: "sqlite:///outbox.db"}
webhooks:
  targets:
    - {name: audit, url: "http://127.0.0.1:9/", secrets: ["whsec_c2VjcmV0LW9mLXRoZS10ZXN0cy0wMTIzNDU2Nzg5"]}
    - {name: copy, url: "http://127.0.0.1:9/", secrets: ["whsec_c2VjcmV0LW9mLXRoZS10ZXN0cy0wMTIzNDU2Nzg5"]}
"""


def run(*args: str) -> Result:
    """Run `rtserver webhooks ARGS`."""
    return CliRunner().invoke(main, ["webhooks", *args])


def printed(*args: str) -> Any:
    """What it prints with --json, which has to succeed."""
    result = run(*args, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def stored(what: Callable[[Store], Awaitable[T]]) -> T:
    """Do something to the database."""

    async def go() -> T:
        async with opened("sqlite:///outbox.db") as store:
            return await what(store)

    return asyncio.run(go())


def states() -> dict[str, str]:
    """State by id."""
    found = stored(lambda store: store.all())
    return {one.id: one.state for one in found.values()}


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a configuration, and without a database."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("RTSERVER__")]:
        monkeypatch.delenv(name)
    (tmp_path / "config.yaml").write_text(CONFIG)
    return tmp_path


@pytest.fixture
def here(empty: Path) -> Path:
    """The same, with deliveries of every state to two targets, and of one that is no longer configured."""

    async def fill(store: Store) -> None:
        await store.begin(("audit", "copy", "old"))
        body = '{"type":"room-joined","timestamp":"t","data":{"room":"zoë"}}'.encode()
        await store.write(1, 2, 3, body=body)
        await store.write(4, target="copy", event_id="event-1", body=body)
        await store.write(5, target="old", body=body)
        await store.settle(2)
        await store.settle(3, 4, 5, state="dead")
        await store.lives.end()

    stored(fill)
    return empty


class TestList:
    """`list`."""

    def test_all(self, here: Path) -> None:
        """Deliveries are listed newest first, each in one line with id, type, state, attempts, time and error."""
        result = run("list")
        assert result.exit_code == 0
        lines = result.stdout.splitlines()
        assert [line.split()[0] for line in lines] == [
            "event-5/old",
            "event-1/copy",
            "event-3/audit",
            "event-2/audit",
            "event-1/audit",
        ]
        assert lines[2].split() == [
            "event-3/audit",
            "room-joined",
            "dead",
            "1",
            "attempt",
            "2023-11-14T22:13:20.000Z",
            "no",
        ]
        assert len({line.index("room-joined") for line in lines}) == 1

    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            ((), ["event-5/old", "event-1/copy", "event-3/audit", "event-2/audit", "event-1/audit"]),
            (("--state", "dead"), ["event-5/old", "event-1/copy", "event-3/audit"]),
            (("--state", "pending"), ["event-1/audit"]),
            (("--target", "audit"), ["event-3/audit", "event-2/audit", "event-1/audit"]),
            (("--target", "audit", "--state", "delivered"), ["event-2/audit"]),
            (("--target", "old"), ["event-5/old"]),
            (("--limit", "2"), ["event-5/old", "event-1/copy"]),
            (("--target", "copy", "--state", "pending"), []),
        ],
    )
    def test_which(self, here: Path, options: tuple[str, ...], expected: list[str]) -> None:
        """Lists can be of a state, a target, so many; as JSON they are a list in any case."""
        assert [one["id"] for one in printed("list", *options)] == expected
        assert [line.split()[0] for line in run("list", *options).stdout.splitlines()] == expected

    def test_json(self, here: Path) -> None:
        """As JSON every delivery has all that is known of it but its event."""
        first = printed("list", "--state", "pending")[0]
        assert first == {
            "id": "event-1/audit",
            "event_id": "event-1",
            "target": "audit",
            "type": "room-joined",
            "state": "pending",
            "attempts": 0,
            "created_at": "2023-11-14T22:13:20.000Z",
            "due_at": "2023-11-14T22:13:20.000Z",
            "error": None,
            "room": "a",
            "client_id": "ann",
        }

    def test_nothing(self, here: Path) -> None:
        """With nothing to list it says so on stderr, and has succeeded."""
        result = run("list", "--target", "copy", "--state", "pending")
        assert (result.exit_code, result.stdout) == (0, "")
        assert "no such deliveries" in result.stderr

    def test_more(self, here: Path) -> None:
        """When there may be more it says so on stderr."""
        assert "--limit" in run("list", "--limit", "2").stderr
        assert run("list").stderr == ""

    @pytest.mark.parametrize("options", [("--limit", "0"), ("--limit", "x"), ("--state", "gone")])
    def test_wrong(self, here: Path, options: tuple[str, str]) -> None:
        """A wrong option is a usage error."""
        assert run("list", *options).exit_code == 2


class TestShow:
    """`show`."""

    def test_one(self, here: Path) -> None:
        """A delivery is shown with its event, readable and as JSON."""
        found = printed("show", "event-3/audit")
        assert found["event"] == {"type": "room-joined", "timestamp": "t", "data": {"room": "zoë"}}
        assert (found["id"], found["error"]) == ("event-3/audit", "no")
        text = run("show", "event-3/audit").stdout
        assert "zoë" in text
        assert "dead" in text

    def test_whatever_was_said(self, here: Path) -> None:
        """An event is shown also when it has numbers and halves of characters that other JSON readers refuse."""
        body = b'{"type":"message-broadcast","data":{"message":"\\ud800","n":%d}}' % 2**70
        stored(lambda store: store.write(9, target="audit", body=body))
        result = run("show", "event-9/audit")
        assert result.exit_code == 0, result.output
        assert str(2**70) in result.stdout
        assert printed("show", "event-9/audit")["event"]["data"] == {"message": "\ud800", "n": 2**70}

    def test_an_event(self, here: Path) -> None:
        """An event's id shows its deliveries to all targets."""
        assert [one["id"] for one in printed("show", "event-1")] == ["event-1/audit", "event-1/copy"]


class TestRetry:
    """`retry`."""

    def test_dead(self, here: Path) -> None:
        """All dead ones of the targets that are configured are made due, and the count is told."""
        assert printed("retry", "--dead") == {"retried": 2}
        assert sorted(states().values()) == ["dead", "delivered", *["pending"] * 3]
        assert states()["event-5/old"] == "dead"
        assert run("retry", "--dead").stdout == "retried: 0\n"

    def test_of_a_target(self, here: Path) -> None:
        """Those of one target are made due, and no others."""
        assert printed("retry", "--dead", "--target", "copy") == {"retried": 1}
        assert states()["event-3/audit"] == "dead"

    @pytest.mark.parametrize(
        "options", [("--dead", "--target", "old"), ("event-5",), ("event-5/old", "event-1")]
    )
    def test_of_a_target_that_is_gone(self, here: Path, options: tuple[str, ...]) -> None:
        """What nobody would deliver is not made pending, and it is said what to do."""
        before = states()
        result = run("retry", *options)
        assert result.exit_code == 1
        assert "nobody delivers to old" in result.stderr
        assert "webhooks drop" in result.stderr
        assert states() == before

    def test_ids(self, here: Path) -> None:
        """Named ones are made due, whatever their state; an event's id names all of its deliveries."""
        assert printed("retry", "event-2/audit", "event-1") == {"retried": 3}
        found = stored(lambda store: store.all())
        chosen = [found[position] for position in (1, 2, 4)]
        assert {(one.state, one.attempts, one.error) for one in chosen} == {("pending", 0, None)}
        assert all(one.due_at > NOW for one in chosen)

    def test_twice_the_same(self, here: Path) -> None:
        """One that is named twice is counted once."""
        assert printed("retry", "event-3/audit", "event-3/audit", "event-3") == {"retried": 1}

    @pytest.mark.parametrize(
        "options", [(), ("--dead", "event-1"), ("event-1", "--target", "audit"), ("--target", "audit")]
    )
    def test_wrong(self, here: Path, options: tuple[str, ...]) -> None:
        """Neither ids nor --dead, or both, or a target without --dead, is a usage error, and nothing is done."""
        before = states()
        result = run("retry", *options)
        assert result.exit_code == 2
        assert ("not both" in result.stderr) is (options == ("--dead", "event-1"))
        assert states() == before


class TestDrop:
    """`drop`."""

    def test_ids(self, here: Path) -> None:
        """Named ones are gone, whatever their state; the others stay."""
        assert run("drop", "event-1", "event-2/audit").stdout == "dropped: 3\n"
        assert sorted(states()) == ["event-3/audit", "event-5/old"]

    def test_without_ids(self, here: Path) -> None:
        """Nothing is dropped without a name."""
        assert run("drop").exit_code == 2
        assert len(states()) == 5


class TestEnable:
    """`enable`."""

    def test_disabled(self, here: Path) -> None:
        """A disabled target is enabled, which is told; its dead deliveries stay dead."""
        stored(lambda store: store.outbox.disable("audit", "target_disabled"))
        assert run("enable", "audit").stdout == "audit is enabled\n"
        assert run("enable", "audit").stdout == "audit was not disabled\n"
        assert printed("enable", "audit") == {"target": "audit", "was_disabled": False}
        assert states()["event-3/audit"] == "dead"


class TestMistakes:
    """What cannot be done."""

    @pytest.mark.parametrize(
        "command", [("show", "event-9"), ("retry", "event-1", "event-9"), ("drop", "event-1", "event-9/x")]
    )
    def test_unknown_ids(self, here: Path, command: tuple[str, ...]) -> None:
        """An id that is unknown is named, and nothing is done to the others."""
        before = states()
        result = run(*command)
        assert result.exit_code == 1
        assert command[-1] in result.stderr
        assert states() == before

    @pytest.mark.parametrize(
        "command", [("list", "--target", "adit"), ("retry", "--dead", "--target", "adit"), ("enable", "adit")]
    )
    def test_unknown_targets(self, here: Path, command: tuple[str, ...]) -> None:
        """A target that nobody knows is an error that lists those there are."""
        result = run(*command)
        assert result.exit_code == 1
        assert "adit" in result.stderr
        assert "audit, copy" in result.stderr

    @pytest.mark.parametrize("command", [("list",), ("show", "x"), ("retry", "--dead"), ("drop", "x")])
    def test_no_database(self, empty: Path, command: tuple[str, ...]) -> None:
        """Where there is no database it says so and fails, and makes none."""
        result = run(*command)
        assert result.exit_code == 1
        assert "outbox.db" in result.stderr
        assert [one.name for one in empty.iterdir()] == ["config.yaml"]

    def test_a_broken_database(self, empty: Path) -> None:
        """A file that is no database stays as it is, and the command fails."""
        (empty / "outbox.db").write_bytes(b"garbage" * 1000)
        result = run("list")
        assert result.exit_code == 1
        assert "Traceback" not in result.output
        assert (empty / "outbox.db").read_bytes() == b"garbage" * 1000
        assert sorted(one.name for one in empty.iterdir()) == ["config.yaml", "outbox.db"]

    def test_in_memory(self, empty: Path) -> None:
        """What is in the memory of a server no command can see, which is said."""
        (empty / "config.yaml").write_text(CONFIG.replace("sqlite:///outbox.db", "memory://"))
        result = run("list")
        assert result.exit_code == 1
        assert "memory" in result.stderr

    def test_beside_a_server(self, here: Path) -> None:
        """A command works while somebody else has the database open and writes to it."""

        async def go() -> list[str]:
            async with opened("sqlite:///outbox.db") as store:
                await store.begin()
                found = await asyncio.to_thread(printed, "list")
                await store.outbox.commit(Changes(deliveries=[store.delivery(9)]))
                return [one["id"] for one in found]

        assert len(asyncio.run(go())) == 5
