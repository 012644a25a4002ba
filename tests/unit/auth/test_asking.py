"""A question to the backend, and what happens without an answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook

from rtserver.auth import asking as asking_module
from rtserver.auth.asking import MAX_ANSWER, Asking
from rtserver.protocol.errors import SERVER_ERROR, RtError
from rtserver.webhooks.signing import Signer
from tests.unit.auth.keys import Log

URL = "http://backend.example/join?key=hunter2"
SECRETS = ("whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3", "whsec_ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4")


class Backend:
    """Answers what it is told to, and keeps what it was asked."""

    def __init__(self) -> None:
        self.body = b'{"allow": true}'
        self.status = 200
        self.broken: Exception | None = None
        self.asked: list[httpx.Request] = []

    async def answer(self, request: httpx.Request) -> httpx.Response:
        """One answer."""
        self.asked.append(request)
        if self.broken is not None:
            raise self.broken
        return httpx.Response(
            self.status, content=self._parts(), headers={"location": "http://evil.example/"}
        )

    async def _parts(self) -> AsyncIterator[bytes]:
        yield self.body


def asking(backend: Backend, on_error: str = "deny", timeout: float = 5.0, secrets: Any = SECRETS) -> Asking:
    """Asks that backend."""
    one = Asking(Signer(secrets).headers, timeout, on_error, ttl=60.0)
    one._client = httpx.AsyncClient(transport=httpx.MockTransport(backend.answer))
    return one


async def test_the_question_is_signed() -> None:
    """The backend can verify with any of the secrets that it is us who asks, and what."""
    backend = Backend()
    assert (await asking(backend).ask(URL, "join", {"room": "a", "file": b"xyz"})).allow
    (request,) = backend.asked
    for secret in SECRETS:
        question = Webhook(secret).verify(request.content, dict(request.headers))
        assert question["type"] == "join"
        assert question["data"] == {"room": "a", "file": {"bytes": 3}}
    assert json.loads(request.content)["timestamp"].endswith("Z")


async def test_without_a_secret() -> None:
    """Without secrets there is no signature, and the question is asked all the same."""
    backend = Backend()
    await asking(backend, secrets=()).ask(URL, "join", {})
    assert "webhook-signature" not in backend.asked[0].headers


async def test_remembered() -> None:
    """The same question is asked once in a while, another one, and one without a key, each time."""
    backend = Backend()
    one = asking(backend)
    for key in ("ann", "ann", "ben", None, None):
        await one.ask(URL, "join", {}, key)
    assert len(backend.asked) == 4


FAILURES = [
    {"broken": httpx.ConnectError("refused")}, {"broken": httpx.ReadTimeout("slow")}, {"status": 500}, {"status": 403},
    {"status": 302}, {"status": 204}, {"body": b"<html>"}, {"body": b'{"allow": 1}'},
    {"body": b'{"allow": true, "reason": "' + b"x" * MAX_ANSWER + b'"}'},
]  # fmt: skip


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: str(failure)[:40])
async def test_no_answer(failure: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an answer that can be read the operator's choice decides; nothing of it is remembered."""
    backend = Backend()
    told = Log()
    monkeypatch.setattr(asking_module, "_log", told)
    strict, lenient = asking(backend, "deny"), asking(backend, "allow")
    for name, value in failure.items():
        setattr(backend, name, value)
    for _ in range(3):
        with pytest.raises(RtError) as refusal:
            await strict.ask(URL, "join", {}, "ann")
        assert refusal.value.reason is SERVER_ERROR
        assert (await lenient.ask(URL, "join", {}, "ann")).allow
    assert len(told.lines) == 2
    assert "hunter2" not in str(told.lines)
    asked = len(backend.asked)
    assert asked == 6
    backend.broken, backend.status, backend.body = None, 200, b'{"allow": false}'
    assert not (await strict.ask(URL, "join", {}, "ann")).allow


async def test_a_slow_backend() -> None:
    """An answer that does not come in time is none."""
    backend = Backend()

    async def never(request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    one = asking(backend, timeout=0.01)
    one._client = httpx.AsyncClient(transport=httpx.MockTransport(never))
    with pytest.raises(RtError) as refusal:
        await one.ask(URL, "join", {})
    assert refusal.value.reason is SERVER_ERROR
