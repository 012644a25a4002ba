"""What the receivers refuse, and what they survive."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
from datetime import timedelta

import pytest

from tests.integration.receivers.processes import (
    COMMANDS,
    LIMIT,
    RECEIVERS,
    Receiver,
    event,
    need,
    new_secret,
    signed,
)

BODY = json.dumps(event()).encode()
HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature")


def test_wrong_secret(receiver: Receiver) -> None:
    """Who does not know the secret is answered 401, and nothing is printed."""
    headers = signed(new_secret(), BODY)
    assert receiver.post(BODY, headers) == 401
    assert receiver.printed(headers["webhook-id"]) == []


@pytest.mark.parametrize("seconds", [-86_400, -310, 310, 86_400])
def test_wrong_time(receiver: Receiver, seconds: int) -> None:
    """A good signature of another time is refused: somebody may have recorded it."""
    assert receiver.send(event(), age=timedelta(seconds=seconds))[0] == 401


@pytest.mark.parametrize("changed", [BODY[:-1] + b" }", BODY + b"\n", BODY.replace(b"hi", b"ho"), b""])
def test_changed_body(receiver: Receiver, changed: bytes) -> None:
    """One byte that was changed, added or left out is enough to be refused."""
    assert receiver.post(changed, signed(receiver.secret, BODY)) == 401


def test_changed_id(receiver: Receiver) -> None:
    """The id is signed, too: an event cannot be sent again under another one."""
    assert receiver.post(BODY, signed(receiver.secret, BODY) | {"webhook-id": "another"}) == 401


def test_renewed_time(receiver: Receiver) -> None:
    """The time is signed, too: an old event cannot be made a new one."""
    old = signed(receiver.secret, BODY, "old", timedelta(hours=1))
    now = signed(receiver.secret, BODY, "now")
    assert receiver.post(BODY, old | {"webhook-timestamp": now["webhook-timestamp"]}) == 401


@pytest.mark.parametrize("left_out", [*([name] for name in HEADERS), HEADERS])
def test_missing_headers(receiver: Receiver, left_out: list[str]) -> None:
    """Without one of the three headers nothing is accepted."""
    headers = {name: value for name, value in signed(receiver.secret, BODY).items() if name not in left_out}
    assert receiver.post(BODY, headers) == 401


@pytest.mark.parametrize(
    "malformed",
    [
        "",
        ",",
        "v1",
        "v1,",
        "v1,AAAA",
        "v1,%%%",
        "v1,é" + "=" * 42,
        "v2,{}",
        "{}",
        "v1a,{}",
        "v1,{}=",
        " " * 9000,
    ],
)
def test_malformed_signature(receiver: Receiver, malformed: str) -> None:
    """A header that holds no good v1 signature is refused, whatever it holds."""
    headers = signed(receiver.secret, BODY)
    bare = headers["webhook-signature"].removeprefix("v1,")
    signature = malformed.format(bare).encode("utf-8").decode("latin-1")
    assert receiver.post(BODY, headers | {"webhook-signature": signature}) == 401


@pytest.mark.parametrize(
    "malformed",
    ["", "now", "nan", "inf", "-1", "0", "1e9", "²", "9" * 5000, "2026-11-22T10:08:49Z", "{} {}", "{}.5"],
)
def test_malformed_timestamp(receiver: Receiver, malformed: str) -> None:
    """A time that is no number of seconds, or none near now, is refused."""
    headers = signed(receiver.secret, BODY)
    stamp = headers["webhook-timestamp"]
    assert receiver.post(BODY, headers | {"webhook-timestamp": malformed.format(stamp, stamp)}) == 401


@pytest.mark.parametrize("length", ["-1", "abc", "1e3", "9" * 30, "9" * 5000, "²", ""])
def test_malformed_length(receiver: Receiver, length: str) -> None:
    """A length that is no length is refused at once, and nobody waits for so many bytes."""
    head = f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n"
    with receiver.connect() as connection:
        connection.sendall(head.encode("latin-1"))
        assert connection.recv(100).split(b" ")[1] in (b"400", b"401", b"431")


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)),
        b"\r\n\r\n",
        b"POST\r\n\r\n",
        b"POST / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST / HTTP/1.1\r\n" + b"x" * 70_000 + b"\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\nshort",
    ],
)
def test_garbage(receiver: Receiver, garbage: bytes) -> None:
    """What is no request, or the half of one, prints no stack and does not stop it."""
    # It may have had enough before it was sent everything.
    with contextlib.suppress(OSError), receiver.connect() as connection:
        connection.sendall(garbage)
        connection.shutdown(socket.SHUT_WR)
        assert b" 20" not in connection.recv(12)
    assert receiver.send(event())[0] == 204


@pytest.mark.parametrize(
    "sent", [b"", b"POST", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\nshort"]
)
def test_cut_off(receiver: Receiver, sent: bytes) -> None:
    """A sender that is cut off with a reset prints no stack and does not stop it."""
    connection = receiver.connect()
    connection.sendall(sent)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
    assert receiver.send(event())[0] == 204


@pytest.mark.parametrize("language", list(COMMANDS))
def test_signed_nonsense(language: str) -> None:
    """What is signed but is no event is not acknowledged, and does not stop it."""
    need(language)
    receiver = Receiver(COMMANDS[language], new_secret())
    for body in (b"", b"not json", b"null", b'{"type": "batch"}'):
        try:
            status = receiver.post(body, signed(receiver.secret, body))
        except ConnectionError:
            continue
        assert status >= 400, body
    assert receiver.send(event())[0] == 204
    receiver.end()


@pytest.mark.parametrize("language", list(COMMANDS))
@pytest.mark.parametrize("secret", [None, "", "whsec_"])
def test_no_secret(language: str, secret: str | None) -> None:
    """Without a secret it does not start: an empty key would let everybody sign."""
    need(language)
    env = {name: value for name, value in os.environ.items() if name != "WEBHOOK_SECRET"}
    done = subprocess.run(
        [*COMMANDS[language], "0"],
        cwd=RECEIVERS,
        env=env if secret is None else {**env, "WEBHOOK_SECRET": secret},
        check=False,
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert done.returncode == 1
    assert "WEBHOOK_SECRET is not set" in done.stderr


@pytest.mark.parametrize("language", list(COMMANDS))
def test_interrupted(language: str) -> None:
    """Ctrl+C ends it without a stack."""
    need(language)
    receiver = Receiver(COMMANDS[language], new_secret())
    assert receiver.end(signal.SIGINT) in (0, -signal.SIGINT)
    assert "Traceback" not in receiver.log()
