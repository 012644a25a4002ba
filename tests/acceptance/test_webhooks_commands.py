"""Webhooks from the command line: what check-config refuses, and list, show, retry, drop, enable (section 1 and 7)."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
import yaml

from .harness.node_client import Node, until
from .harness.receiver import OTHER_SECRET, SECRET, Answer, Receiver, Receivers, Request
from .harness.server import Server, Servers, run_command
from .harness.shapes import unique
from .harness.webhooks import deliveries, hooked, said, steer, until_listed, webhooks

URL = "http://127.0.0.1:1/hooks"


def checked(path: Path, *targets: dict) -> tuple[int, str]:
    """What `check-config` makes of these targets."""
    (path / "config.yaml").write_text(yaml.safe_dump({"webhooks": {"targets": list(targets)}}))
    done = run_command("check-config", "--config", "config.yaml", cwd=path)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


MISTAKES = [
    ("url", "ftp://example.com/"),
    ("url", "example.com/hooks"),
    ("url", "http://"),
    ("url", "http://example.com:99999/"),
    ("url", ""),
    ("secrets[0]", "not a secret"),
    ("secrets[0]", "whsec_"),
    ("secrets[0]", "whsec_!!!"),
    ("events[0]", "client-conected"),
    ("timeout", "0s"),
    ("concurrency", 0),
    ("retry.schedule[0]", "soon"),
    ("retry.jitter", 2),
    ("batch.max_events", 0),
]


def mistaken(number: int, key: str, value: object) -> dict:
    """A target that is good but for that."""
    inner, section = [*reversed(key.partition(".")[::2])] if "." in key else [key, ""]
    one = {inner.removesuffix("[0]"): [value] if inner.endswith("[0]") else value}
    return {"name": f"target-{number}", "url": URL, **({section: one} if section else one)}


class TestConfig:
    def test_mistakes(self, tmp_path: Path):
        """Every mistake in a target is a problem with its path, nothing else is, and no secret is shown."""
        good = {"name": "good", "url": URL}
        code, said = checked(tmp_path, good, *(mistaken(n, *one) for n, one in enumerate(MISTAKES)))
        assert code == 2, said
        assert "targets[0]" not in said
        for number, (key, value) in enumerate(MISTAKES):
            assert f"webhooks.targets[{number + 1}].{key}" in said
            if key == "secrets[0]" and value != "whsec_":
                assert str(value) not in said

    def test_what_is_missing(self, tmp_path: Path):
        """A target needs a name and a url, and two of them may not have one name."""
        code, said = checked(tmp_path, {}, {"name": "twice", "url": URL}, {"name": "twice", "url": URL})
        assert code == 2, said
        for path in ("webhooks.targets[0].name", "webhooks.targets[0].url", "webhooks.targets[2]"):
            assert path in said, path

    def test_a_good_one(self, tmp_path: Path):
        """All keys of the contract together are good, and nothing is said to have no effect."""
        target = {
            "name": "audit",
            "url": "https://example.com/hooks",
            "secrets": [SECRET, OTHER_SECRET],
            "events": ["client-*", "message-broadcast"],
            "rooms": ["*"],
            "batch": {"max_events": 100, "max_wait": "50ms"},
            "timeout": "10s",
            "concurrency": 4,
            "retry": {"schedule": ["1s", "5s", "30s", "5m", "30m", "2h", "5h", "10h"], "jitter": 0.1},
            "headers": {"X-Env": "prod"},
        }
        code, said = checked(tmp_path, target)
        assert code == 0, said
        assert "no effect" not in said


TARGETS = {
    "good": {},
    "failing": {"retry": {"schedule": [], "jitter": 0}},
    "stuck": {"retry": {"schedule": ["1h"] * 3, "jitter": 0}},
    "leaving": {},
}


@pytest.fixture(scope="module")
def targets(module_receivers: Receivers) -> dict[str, Receiver]:
    """A receiver for each target."""
    return {name: module_receivers.open() for name in TARGETS}


@pytest.fixture(scope="module")
def server(targets: dict[str, Receiver], module_servers: Servers) -> Server:
    """A server where each target wants what is said in rooms that begin with its name."""
    entries = [
        targets[name].target(name, events=["message-broadcast"], rooms=[f"{name}-*"], **more)
        for name, more in TARGETS.items()
    ]
    return module_servers.serve(hooked(*entries))


async def say(node: Node, server: Server, target: str, count: int = 1) -> list[str]:
    """Somebody says something in new rooms of that target; what was said."""
    texts = []
    for _ in range(count):
        room = unique(target)
        texts.append(unique("text"))
        await said(await node.member(server.url, room, unique("ada")), room, texts[-1])
    return texts


async def fail(node: Node, server: Server, receiver: Receiver, count: int = 1) -> tuple[list[str], list[str]]:
    """What was said to `failing` and is dead, and the ids of the deliveries."""
    receiver.next(*[Answer(500)] * count)
    texts = await say(node, server, "failing", count)
    await receiver.until(lambda: all(tries(receiver, text) for text in texts), "attempts")
    wanted = {tries(receiver, text)[0].id for text in texts}

    async def ask() -> list[str]:
        dead = deliveries(server, "--target", "failing", "--state", "dead")
        return [d["id"] for d in dead if d["id"].partition("/")[0] in wanted]

    return texts, await until(ask, lambda ids: len(ids) == count)


def tries(receiver: Receiver, text: str) -> list[Request]:
    """The attempts to deliver what was said."""
    return [request for request in receiver.attempts() if request.payload["data"]["message"] == text]


class TestOutbox:
    async def test_list(self, targets: dict[str, Receiver], server: Server, node: Node):
        """`list` shows deliveries with their state and attempts, filtered by state and target, with whole ids."""
        (text,) = await say(node, server, "good")
        good = await targets["good"].event("message-broadcast", message=text)
        _, (dead,) = await fail(node, server, targets["failing"])
        targets["stuck"].next(Answer(500))
        (text,) = await say(node, server, "stuck")
        await targets["stuck"].until(lambda: tries(targets["stuck"], text), "an attempt")

        async def ask() -> dict[str, tuple]:
            return {one["id"]: (one["target"], one["state"], one["attempts"]) for one in deliveries(server)}

        everything = {
            f"{good.id}/good": ("good", "delivered", 1),
            dead: ("failing", "dead", 1),
            f"{tries(targets['stuck'], text)[0].id}/stuck": ("stuck", "pending", 1),
        }
        await until(ask, lambda listed: listed == everything)
        filtered = deliveries(server, "--target", "stuck", "--state", "pending")
        assert [(one["id"], one["type"]) for one in filtered] == [(list(everything)[2], "message-broadcast")]
        assert deliveries(server, "--target", "stuck", "--state", "dead") == []
        plain = steer(server, "list")
        for delivery in everything:
            assert delivery in plain

    async def test_show_and_retry(self, targets: dict[str, Receiver], server: Server, node: Node):
        """`show` tells what a delivery is and why it failed; `retry ID…` sends it again; both know the event's id."""
        texts, ids = await fail(node, server, targets["failing"], 3)
        said = {tries(targets["failing"], text)[0].id: text for text in texts}
        for which, how in ((ids[0], ["--json"]), (ids[0].partition("/")[0], [])):
            shown = steer(server, "show", which, *how)
            for part in (
                ids[0],
                "message-broadcast",
                "failing",
                "dead",
                said[ids[0].partition("/")[0]],
                "500",
            ):
                assert part in shown, f"{part} is not in {shown}"
            assert json.loads(shown) if how else True
        steer(server, "retry", ids[0], ids[1].partition("/")[0])
        for one in ids[:2]:
            text = said[one.partition("/")[0]]
            await targets["failing"].event("message-broadcast", message=text)
            assert len({request.id for request in tries(targets["failing"], text)}) == 1
        assert len(tries(targets["failing"], said[ids[2].partition("/")[0]])) == 1

    async def test_retry_the_dead(self, targets: dict[str, Receiver], server: Server, node: Node):
        """`retry --dead --target T` sends all that are dead again, and none is listed dead any more."""
        texts, _ = await fail(node, server, targets["failing"], 4)
        steer(server, "retry", "--dead", "--target", "failing")
        for text in texts:
            await targets["failing"].event("message-broadcast", message=text)
        await until_listed(server, 0, "--target", "failing", "--state", "dead")

    async def test_retry_and_drop(self, targets: dict[str, Receiver], server: Server, node: Node):
        """What is retried and fails is dead again; `drop ID…` takes it out, and it is never sent any more."""
        (text,), (one,) = await fail(node, server, targets["failing"])
        targets["failing"].next(Answer(500))
        steer(server, "retry", one)
        await targets["failing"].until(lambda: len(tries(targets["failing"], text)) == 2, "an attempt")
        await until_listed(server, 1, "--target", "failing", "--state", "dead")
        steer(server, "drop", one)
        assert one not in {delivery["id"] for delivery in deliveries(server)}
        webhooks(server, "retry", "--dead", "--target", "failing")
        (last,) = await say(node, server, "failing")
        await targets["failing"].event("message-broadcast", message=last)
        assert len(tries(targets["failing"], text)) == 2

    async def test_replay(self, targets: dict[str, Receiver], server: Server, node: Node):
        """`retry ID` of one that was delivered sends it again, with the same id and content."""
        (text,) = await say(node, server, "good")
        event = await targets["good"].event("message-broadcast", message=text)
        await until_delivered(server, event.id)
        steer(server, "retry", f"{event.id}/good")
        await targets["good"].until(lambda: len(tries(targets["good"], text)) == 2, "the replay")
        first, second = tries(targets["good"], text)
        assert (first.id, first.body) == (second.id, second.body)

    async def test_gone(self, targets: dict[str, Receiver], server: Server, node: Node):
        """410 disables a target: what is for it goes dead as target_disabled, until `enable`; `retry` delivers it."""
        leaving = targets["leaving"]
        leaving.next(Answer(410))
        (first,) = await say(node, server, "leaving")
        await until_listed(server, 1, "--target", "leaving", "--state", "dead")
        later = await say(node, server, "leaving", 2)
        dead = await until_listed(server, 3, "--target", "leaving", "--state", "dead")
        for delivery in dead:
            assert "target_disabled" in json.dumps(delivery)
        assert len(leaving.attempts()) == 1
        steer(server, "enable", "leaving")

        async def ask() -> bool:
            (text,) = await say(node, server, "leaving")
            await asyncio.sleep(0.2)
            return bool(leaving.find("message-broadcast", message=text))

        await until(ask, bool)
        steer(server, "retry", "--dead", "--target", "leaving")
        for text in (first, *later):
            await leaving.event("message-broadcast", message=text)

    @pytest.mark.parametrize(
        "args",
        [
            ["show", "nonsense"],
            ["retry", "nonsense"],
            ["enable", "nonsense"],
            ["drop", "nonsense"],
            ["retry", "--dead", "--target", "nonsense"],
        ],
        ids=" ".join,
    )
    def test_unknown(self, server: Server, args: list[str]):
        """What there is not is named, and the command fails."""
        done = webhooks(server, *args)
        assert done.returncode in (1, 2), done.stdout
        assert "nonsense" in done.stderr

    @pytest.mark.parametrize("args", [["list", "--state", "lost"], ["retry"], ["bogus"]], ids=" ".join)
    def test_wrong(self, server: Server, args: list[str]):
        """A wrong command line is exit code 2."""
        assert webhooks(server, *args).returncode == 2

    def test_a_broken_config(self, tmp_path: Path):
        """With a broken config the commands say what is wrong with it, and exit with 2."""
        (tmp_path / "config.yaml").write_text("webhooks: {targets: [{name: a}]}")
        done = webhooks(tmp_path, "list")
        assert done.returncode == 2
        assert "webhooks.targets[0].url" in done.stderr

    def test_before_the_first_start(self, tmp_path: Path):
        """Where no server ever ran there is nothing to list, and no database is made for it."""
        (tmp_path / "config.yaml").write_text(yaml.safe_dump({"webhooks": {"targets": []}}))
        done = webhooks(tmp_path, "list", "--json")
        assert done.returncode in (0, 1)
        assert [file.name for file in tmp_path.iterdir()] == ["config.yaml"]

    def test_in_memory(self, tmp_path: Path):
        """An outbox in memory cannot be read from outside, which the commands say."""
        (tmp_path / "config.yaml").write_text("store: {url: 'memory://'}")
        done = webhooks(tmp_path, "list")
        assert done.returncode != 0
        assert "memory" in done.stderr


async def until_delivered(server: Server, event_id: str) -> None:
    """Wait until the outbox knows that the event was delivered."""

    async def ask() -> list[str]:
        return [delivery["id"] for delivery in deliveries(server, "--state", "delivered")]

    await until(ask, lambda ids: any(one.startswith(event_id) for one in ids))
