"""The programs in docs/webhooks.md do what the guide says they do."""

from __future__ import annotations

import hmac
import json
import os
import re
import shutil
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from standardwebhooks import Webhook

from rtserver.config.load import load
from rtserver.config.schema_webhooks import EVENT_TYPES
from tests.integration.receivers.guide import GUIDE, blocks, examples
from tests.integration.receivers.processes import ROOT, Receiver, event, need, new_secret, signed

LIMIT = 120.0  # Go compiles its library the first time

# Each takes the cases on stdin and prints the same answers: which requests are verified; what is worked on when an
# event comes again, alone and in a batch, and after the work failed once; the order; and what is news.
PYTHON = """
import json, sys, base64
from verify import verified
from once import take
from order import in_order, is_news
cases = json.load(sys.stdin)
print(json.dumps([verified(s, h, base64.b64decode(b)) for s, h, b in cases["requests"]]))
worked = []
def work(db, event):
    worked.append(event["id"])
    if event["id"] == "c" and worked.count("c") == 1:
        raise RuntimeError("once")
for webhook_id, body in cases["posts"]:
    try:
        take(webhook_id, body.encode(), work)
    except RuntimeError:
        worked.append("failed")
print(json.dumps(worked))
print(json.dumps([e["id"] for e in in_order(cases["events"])]))
print(json.dumps([is_news(("room", "ada"), e) for e in cases["events"]]))
"""

NODE = """
import { verified } from "./verify.mjs";
import { take } from "./once.mjs";
import { inOrder, isNews } from "./order.mjs";
import { text } from "node:stream/consumers";
const cases = JSON.parse(await text(process.stdin));
console.log(JSON.stringify(cases.requests.map(([s, h, b]) => verified(s, h, Buffer.from(b, "base64")))));
const worked = [];
async function work(event) {
  worked.push(event.id);
  await new Promise((resolve) => setImmediate(resolve));
  if (event.id === "c" && worked.filter((id) => id === "c").length === 1) throw new Error("once");
}
for (const [id, body] of cases.posts) {
  try {
    await take(id, Buffer.from(body), work);
  } catch {
    worked.push("failed");
  }
}
console.log(JSON.stringify(worked));
console.log(JSON.stringify(inOrder(cases.events).map((event) => event.id)));
console.log(JSON.stringify(cases.events.map((event) => isNews("room ada", event))));
"""

GO = """
package main

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
)

func show(answers any) {
	text, _ := json.Marshal(answers)
	fmt.Println("answer:" + string(text))
}

func TestGuide(t *testing.T) {
	var cases struct {
		Requests []struct {
			Secret string
			Headers map[string]string
			Body string
		}
		Posts [][]string
		Events []Event
	}
	input, _ := os.ReadFile("cases.json")
	if err := json.Unmarshal(input, &cases); err != nil {
		t.Fatal(err)
	}
	good := []bool{}
	for _, request := range cases.Requests {
		key, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(request.Secret, "whsec_"))
		body, _ := base64.StdEncoding.DecodeString(request.Body)
		header := http.Header{}
		for name, value := range request.Headers {
			header.Set(name, value)
		}
		good = append(good, verified(key, header, body))
	}
	show(good)
	worked := []string{}
	failed := false
	once := Once{done: map[string]bool{}}
	for _, post := range cases.Posts {
		events, err := eventsOf(post[0], []byte(post[1]))
		if err != nil {
			t.Fatal(err)
		}
		err = once.Take(events, func(event Event) error {
			worked = append(worked, event.ID)
			if event.ID == "c" && !failed {
				failed = true
				return errors.New("once")
			}
			return nil
		})
		if err != nil {
			worked = append(worked, "failed")
		}
	}
	show(worked)
	news := []bool{}
	for _, event := range cases.Events {
		news = append(news, isNews("room ada", event))
	}
	inOrder(cases.Events)
	ids := []string{}
	for _, event := range cases.Events {
		ids = append(ids, event.ID)
	}
	show(ids)
	show(news)
}
"""


def unpack(where: Path, language: str) -> None:
    """Write the programs into files of the names they have in their first lines."""
    for block in blocks(language):
        name = re.match(r"(?:#|//) ([a-z]+\.[a-z]+)", block)
        assert name, block.splitlines()[0]
        (where / name[1]).write_text(block, encoding="utf-8")


def requests(secret: str) -> Iterator[tuple[str, dict[str, str], bytes, bool]]:
    """Requests, and whether they are good."""
    body = json.dumps(event("grün")).encode()
    good = signed(secret, body)
    signature = good["webhook-signature"]
    yield secret, good, body, True
    yield secret, signed([new_secret(), secret], body), body, True
    yield secret, signed(secret, body, age=timedelta(minutes=4)), body, True
    yield new_secret(), good, body, False
    yield secret, good, body + b" ", False
    yield secret, signed(secret, body, age=timedelta(minutes=6)), body, False
    yield secret, signed(secret, body, age=-timedelta(minutes=6)), body, False
    stamp, nothing = good["webhook-timestamp"], hmac.new(b"", digestmod="sha256")
    nothing.update(f"{good['webhook-id']}.{stamp}.".encode() + body)
    yield "whsec_", good | {"webhook-signature": f"v1,{b64encode(nothing.digest()).decode()}"}, body, False
    for name in good:
        yield secret, {key: value for key, value in good.items() if key != name}, body, False
    for bad in ("", "v1", "v1,", "v1,AAAA", "v1a," + signature[3:], "é", signature[:-1], signature + "="):
        yield secret, good | {"webhook-signature": bad}, body, False
    for bad in ("", "now", "nan", "inf", "9" * 400):
        yield secret, good | {"webhook-timestamp": bad}, body, False


def single(event_id: str) -> tuple[str, str]:
    """A POST of one event."""
    return event_id, json.dumps(event())


def batch(*event_ids: str) -> tuple[str, str]:
    """A POST of several."""
    events = [{"id": event_id, **event()} for event_id in event_ids]
    return "batch_1", json.dumps({"type": "batch", "timestamp": "t", "data": {"events": events}})


@dataclass
class Cases:
    """What is asked, and the answers."""

    asked: dict[str, Any]
    verified: list[bool]


@pytest.fixture
def cases() -> Cases:
    """The same for every language."""
    return new_cases()


def new_cases() -> Cases:
    """Some of them say that they are almost too old: they want to be asked at once."""
    several = list(requests(new_secret()))
    places = [(1, 2), (1, 1), (1, 2), (2, 1), (1, 9), (2, 10), (2, 9)]
    asked = {
        "requests": [(s, h, b64encode(b).decode()) for s, h, b, _ in several],
        "posts": [
            single("a"),
            single("a"),
            batch("a", "b"),
            single("b"),
            batch("c"),
            single("c"),
            batch("b", "c"),
        ],
        "events": [event(epoch=epoch, seq=seq) | {"id": f"{epoch}.{seq}"} for epoch, seq in places],
    }
    return Cases(asked, [good for *_, good in several])


def check(answers: list[Any], cases: Cases) -> None:
    """The answers that every language has to give."""
    verified, worked, ordered, news = answers
    assert verified == cases.verified
    assert worked == ["a", "b", "c", "failed", "c"]
    assert ordered == ["1.1", "1.2", "1.2", "1.9", "2.1", "2.9", "2.10"]
    assert news == [True, False, False, True, False, True, False]


def ran(where: Path, *command: str, given: str = "") -> str:
    """What the command wrote to stdout."""
    # What Go compiles stays in the clone, and it fetches nothing.
    environment = {"GOCACHE": str(ROOT / "artifacts" / "go-build"), "GOPROXY": "off", "GOTOOLCHAIN": "local"}
    done = subprocess.run(
        command,
        cwd=where,
        env={**os.environ, "GOFLAGS": "", **environment},
        input=given,
        check=False,
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def go(where: Path) -> str:
    """The Go command, and the guide's Go programs in a module of their own; skips without Go."""
    command = shutil.which("go")
    if command is None:
        pytest.skip("Go is missing; only the examples in Go need it")
    unpack(where, "go")
    (where / "go.mod").write_text("module receiver\n\ngo 1.22\n")
    return command


def test_python(tmp_path: Path, cases: Cases) -> None:
    """The guide's Python verifies, takes every event once, sorts, and knows what is news."""
    unpack(tmp_path, "python")
    (tmp_path / "run.py").write_text(PYTHON)
    out = ran(tmp_path, sys.executable, "run.py", given=json.dumps(cases.asked))
    check([json.loads(line) for line in out.splitlines()], cases)


def test_node(tmp_path: Path, cases: Cases) -> None:
    """The guide's JavaScript verifies, takes every event once, sorts, and knows what is news."""
    need("node")
    unpack(tmp_path, "js")
    (tmp_path / "run.mjs").write_text(NODE)
    out = ran(tmp_path, "node", "run.mjs", given=json.dumps(cases.asked))
    check([json.loads(line) for line in out.splitlines()], cases)


def test_go(tmp_path: Path) -> None:
    """The guide's Go verifies, takes every event once, sorts, and knows what is news."""
    command = go(tmp_path)
    (tmp_path / "guide_test.go").write_text(GO)
    # On a busy machine this takes longer than a request is good for.
    ran(tmp_path, command, "test", "-run", "Nothing", ".")
    cases = new_cases()
    asked = dict(cases.asked)
    asked["requests"] = [dict(zip(("secret", "headers", "body"), r, strict=True)) for r in asked["requests"]]
    (tmp_path / "cases.json").write_text(json.dumps(asked))
    assert ran(tmp_path, str(Path(command).with_name("gofmt")), "-l", ".") in ("", "guide_test.go\n")
    out = ran(tmp_path, command, "test", "-v", ".")
    check([json.loads(line[7:]) for line in out.splitlines() if line.startswith("answer:")], cases)


def test_go_receiver(tmp_path: Path) -> None:
    """The guide's receiver in Go accepts, prints and refuses as the others do."""
    command = go(tmp_path)
    ran(tmp_path, command, "build", "-o", "receive", ".")
    receiver = Receiver([str(tmp_path / "receive")], new_secret())
    status, headers = receiver.send(event("hello"))
    assert status == 204
    (line,) = receiver.printed(headers["webhook-id"])
    assert line.split(" ")[1] == "message-broadcast"
    webhook_id, body = batch("inner_1", "inner_2")
    assert receiver.send(json.loads(body), event_id=webhook_id)[0] == 204
    assert len(receiver.printed("inner_")) == 2
    assert receiver.post(b"{}", signed(new_secret(), b"{}")) == 401
    assert receiver.post(b"no event", signed(receiver.secret, b"no event")) == 400
    receiver.end()


def test_examples_are_complete() -> None:
    """Every type of event has an example in the guide, with the fields that its table names."""
    shown = examples()
    assert set(shown) == {*EVENT_TYPES, "batch"}
    for row in re.findall(r"^\| (`[a-z-]+`.*?) \|.*\| (`.*`) \|$", GUIDE, re.MULTILINE):
        for type_ in re.findall(r"`([a-z-]+)`", row[0]):
            if type_ in shown:
                fields = {"node", "epoch", "seq", *re.findall(r"`([a-z_]+)`", row[1])}
                assert shown[type_]["data"].keys() == fields, type_


def test_the_request() -> None:
    """The request in the guide has the right signature for the secret in the guide."""
    (request,) = blocks("http")
    head, _, body = request.rstrip("\n").partition("\n\n")
    headers = dict(line.split(": ", 1) for line in head.splitlines()[1:])
    (secret,) = re.findall(r"whsec_[A-Za-z0-9+/=]{20,}", GUIDE)
    when = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
    assert headers["webhook-signature"] == Webhook(secret).sign(headers["webhook-id"], when, body)
    assert headers["Content-Length"] == str(len(body.encode()))


def test_configurations() -> None:
    """Every piece of configuration in the guide is one that the server takes."""
    secrets = {name: new_secret() for name in ("WEBHOOK_SECRET", "NEW_SECRET", "OLD_SECRET")}
    for block in blocks("yaml"):
        assert load(yaml.safe_load(block), env=secrets)
