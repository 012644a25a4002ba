"""What the receivers accept and print; the reference package of Standard Webhooks signs."""

from __future__ import annotations

import json
import threading
from datetime import timedelta

import pytest

from tests.integration.receivers.processes import Receiver, event, new_secret, signed


def test_one_event(receiver: Receiver) -> None:
    """A signed event is answered 204 and printed in one line: timestamp, type, id, data."""
    status, headers = receiver.send(event("hello"))
    assert status == 204
    (line,) = receiver.printed(headers["webhook-id"])
    timestamp, kind, event_id, data = line.split(" ", 3)
    assert timestamp == "2026-11-22T10:08:49.300Z"
    assert kind == "message-broadcast"
    assert event_id == headers["webhook-id"]
    assert json.loads(data) == event("hello")["data"]


def test_batch(receiver: Receiver) -> None:
    """Every event of a batch is printed under its own id, in the order of the batch."""
    events = [{"id": f"inner_{n}", **event(f"number {n}")} for n in range(3)]
    post = {"type": "batch", "timestamp": "2026-11-22T10:08:49.400Z", "data": {"events": events}}
    status, headers = receiver.send(post)
    assert status == 204
    assert receiver.printed(headers["webhook-id"]) == []
    lines = receiver.printed("inner_")
    assert [line.split(" ")[2] for line in lines] == ["inner_0", "inner_1", "inner_2"]
    assert [json.loads(line.split(" ", 3)[3])["message"] for line in lines] == [
        "number 0",
        "number 1",
        "number 2",
    ]


@pytest.mark.parametrize("ours", [0, 1, 2])
def test_rotation(receiver: Receiver, ours: int) -> None:
    """While a secret is rotated, one good signature among several is enough, whichever it is."""
    body = json.dumps(event()).encode()
    secrets = [new_secret(), new_secret()]
    secrets.insert(ours, receiver.secret)
    headers = signed(secrets, body)
    assert receiver.post(body, headers) == 204
    assert len(receiver.printed(headers["webhook-id"])) == 1


def test_other_schemes(receiver: Receiver) -> None:
    """Signatures of a scheme that it does not know, such as v1a, are passed over."""
    body = json.dumps(event()).encode()
    headers = signed(receiver.secret, body)
    headers["webhook-signature"] = f"v1a,AAAA v2 {headers['webhook-signature']} v9,x,y"
    assert receiver.post(body, headers) == 204


@pytest.mark.parametrize("seconds", [-295, 295])
def test_clocks_may_differ(receiver: Receiver, seconds: int) -> None:
    """Five minutes between the two clocks are tolerated, in both directions."""
    assert receiver.send(event(), age=timedelta(seconds=seconds))[0] == 204


def test_bytes_as_they_are(receiver: Receiver) -> None:
    """The bytes are verified as they came: blanks, the order of keys and escapes do not matter."""
    body = '{ "data": {"message":"g\\u00fcn ünlü 🎉\\u2028",\n"seq": 1.0}, "type":"chat" ,"timestamp":"t"}'.encode()
    headers = signed(receiver.secret, body)
    assert receiver.post(body, headers) == 204
    (line,) = receiver.printed(headers["webhook-id"])
    assert json.loads(line.split(" ", 3)[3])["message"] == "gün ünlü 🎉\u2028"


def test_a_line_stays_a_line(receiver: Receiver) -> None:
    """What people write cannot begin a new line of the output, or reach the terminal as a control character."""
    status, headers = receiver.send(event("one\ntwo\r\x1b[31m"))
    assert status == 204
    (line,) = receiver.printed(headers["webhook-id"])
    assert json.loads(line.split(" ", 3)[3])["message"] == "one\ntwo\r\x1b[31m"
    assert "\x1b" not in line


def test_large_batch(receiver: Receiver) -> None:
    """A hundred events of the largest size arrive in one request."""
    events = [{"id": f"large_{n}_", **event("x" * 64_000)} for n in range(100)]
    assert receiver.send({"type": "batch", "timestamp": "t", "data": {"events": events}})[0] == 204
    assert len(receiver.printed("large_")) == 100


def test_many_at_once(receiver: Receiver) -> None:
    """Requests that come at the same time are all printed, each in a line of its own."""
    statuses: list[int] = []

    def send(n: int) -> None:
        for k in range(10):
            status, _ = receiver.send(event(f"{n}.{k}", pad="x" * 5000), event_id=f"at_once_{n}_{k}_")
            statuses.append(status)

    threads = [threading.Thread(target=send, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [204] * 80
    lines = receiver.printed("at_once_")
    assert {json.loads(line.split(" ", 3)[3])["message"] for line in lines} == {
        f"{n}.{k}" for n in range(8) for k in range(10)
    }
    assert len(lines) == 80
