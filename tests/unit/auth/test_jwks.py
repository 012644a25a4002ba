"""Fetching an issuer's keys: when, how often, and what happens when it does not answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from rtserver.auth import jwks
from rtserver.auth.jwks import Jwks
from rtserver.auth.keyset import UnknownKeyError
from rtserver.auth.tokens import TokenVerifier
from rtserver.config.schema import Jwt
from rtserver.protocol.errors import SERVER_ERROR, UNAUTHORIZED
from tests.unit.auth.keys import NOW, Log, document, jwk, signed

URL = "https://issuer.example/jwks?key=hunter2"


class Issuer:
    """Answers with what it has, and counts how often it was asked; a gate holds its answers back."""

    def __init__(self) -> None:
        self.body = document(jwk("ES256", "a"))
        self.status = 200
        self.broken: Exception | None = None
        self.asked = 0
        self.open = asyncio.Event()
        self.open.set()

    async def answer(self, request: httpx.Request) -> httpx.Response:
        """One answer."""
        self.asked += 1
        await self.open.wait()
        if self.broken is not None:
            raise self.broken
        return httpx.Response(
            self.status, content=self._parts(), headers={"location": "http://evil.example/"}
        )

    async def _parts(self) -> AsyncIterator[bytes]:
        yield self.body


class Clock:
    """A clock that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        """The time."""
        return self.now


@pytest.fixture
async def issuer() -> Issuer:
    """An issuer with one key."""
    return Issuer()


@pytest.fixture
def clock() -> Clock:
    """At the start."""
    return Clock()


@pytest.fixture
async def keys(issuer: Issuer, clock: Clock) -> AsyncIterator[Jwks]:
    """Its keys, not fetched yet; without a pause between requests."""
    keys = Jwks(URL, ("ES256", "RS256"), pause=0.0, clock=clock)
    keys._client = httpx.AsyncClient(transport=httpx.MockTransport(issuer.answer))
    yield keys
    await keys.close()


def missing(keys: Jwks, kid: str = "a") -> UnknownKeyError:
    """The key is not there."""
    with pytest.raises(UnknownKeyError) as caught:
        keys.find("ES256", kid)
    return caught.value


async def test_fetched_when_a_token_needs_it(keys: Jwks, issuer: Issuer) -> None:
    """An unknown key is waited for once, and found from then on without asking again."""
    unknown = missing(keys)
    assert unknown.reason is UNAUTHORIZED
    assert issuer.asked == 0
    await unknown.wait()
    for _ in range(100):
        assert keys.find("ES256", "a") is not None
    assert issuer.asked == 1


async def test_a_new_key(keys: Jwks, issuer: Issuer) -> None:
    """A key that the issuer added is found by the first token that names it, and one that it withdrew is gone."""
    await keys.refresh()
    issuer.body = document(jwk("ES256", "b", 1))
    await missing(keys, "b").wait()
    assert keys.find("ES256", "b") is not None
    missing(keys, "a")


async def test_one_request_for_all(keys: Jwks, issuer: Issuer) -> None:
    """However many tokens with unknown keys come at once, the issuer is asked once."""
    issuer.open.clear()
    waiting = [asyncio.ensure_future(missing(keys, f"k{number}").wait()) for number in range(500)]
    await asyncio.sleep(0)
    keys.start()
    issuer.open.set()
    await asyncio.gather(*waiting)
    assert issuer.asked == 1


async def test_answered_before_one_could_wait(keys: Jwks, issuer: Issuer) -> None:
    """An answer that comes between the question and the waiting is enough: nobody asks, or waits, again."""
    unknown = missing(keys)
    await keys.refresh()
    keys._pause = 1000.0
    await unknown.wait()
    assert keys.find("ES256", "a") is not None
    assert issuer.asked == 1


async def test_a_pause_between_requests(keys: Jwks, issuer: Issuer, clock: Clock) -> None:
    """After a request the next begins only when the pause is over, whatever tokens come meanwhile."""
    await keys.refresh()
    keys._pause = 1000.0
    waiting = asyncio.ensure_future(missing(keys, "b").wait())
    for _ in range(10):
        await asyncio.sleep(0)
    assert issuer.asked == 1
    assert not waiting.done()
    waiting.cancel()
    keys._task.cancel()  # type: ignore[union-attr]
    await asyncio.wait([waiting])
    clock.now = 1000.0
    await missing(keys, "b").wait()
    assert issuer.asked == 2


async def test_who_gives_up_takes_nothing_from_others(keys: Jwks, issuer: Issuer) -> None:
    """A client that leaves while it waits does not cancel the request that others wait for."""
    issuer.open.clear()
    impatient, patient = (asyncio.ensure_future(missing(keys).wait()) for _ in range(2))
    await asyncio.sleep(0)
    impatient.cancel()
    await asyncio.wait([impatient])
    issuer.open.set()
    await patient
    assert keys.find("ES256", "a") is not None


FAILURES = [
    {"broken": httpx.ConnectError("refused")}, {"broken": httpx.ReadTimeout("slow")}, {"status": 500}, {"status": 404},
    {"status": 302}, {"body": b"<html>"}, {"body": b'{"keys": []}'},
    {"body": document(jwk("ES256", "b", 1)) + b" " * jwks.MAX_SIZE},
]  # fmt: skip


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: str(failure)[:40])
async def test_the_issuer_is_down(
    keys: Jwks, issuer: Issuer, failure: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was fetched before is kept; what is unknown then is our trouble, not the token's; it is logged once."""
    told = Log()
    monkeypatch.setattr(jwks, "_log", told)
    await keys.refresh()
    for name, value in failure.items():
        setattr(issuer, name, value)
    for _ in range(3):
        await missing(keys, "b").wait()
        assert keys.find("ES256", "a") is not None
        assert missing(keys, "b").reason is SERVER_ERROR
    (said,) = told.lines
    assert "issuer.example" in said
    assert "hunter2" not in said


async def test_a_slow_issuer(keys: Jwks, issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    """An issuer that does not answer in time is down; the next token asks it again."""
    monkeypatch.setattr(jwks, "TIMEOUT", 0.0)
    issuer.open.clear()
    await missing(keys).wait()
    assert missing(keys).reason is SERVER_ERROR
    monkeypatch.undo()
    issuer.open.set()
    await missing(keys).wait()
    assert keys.find("ES256", "a") is not None


async def test_old_keys_are_fetched_again_behind_the_scenes(keys: Jwks, issuer: Issuer, clock: Clock) -> None:
    """Keys of a certain age serve on while they are fetched again, so that a withdrawn one goes in the end."""
    await keys.refresh()
    clock.now = jwks.MAX_AGE
    keys.find("ES256", "a")
    assert keys._task is None
    clock.now = jwks.MAX_AGE + 1
    issuer.body = document(jwk("ES256", "b", 1))
    assert keys.find("ES256", "a") is not None
    assert keys.find("ES256", "a") is not None
    await keys._task  # type: ignore[misc]
    assert issuer.asked == 2
    missing(keys, "a")


async def test_tokens(keys: Jwks) -> None:
    """A verifier with fetched keys takes a token by the key it names, and no other."""
    check = TokenVerifier(Jwt(algorithms=("ES256", "RS256"), jwks_url=URL), keys)
    with pytest.raises(UnknownKeyError) as caught:
        check.verify(signed("ES256", "a"), NOW)
    await caught.value.wait()
    assert check.verify(signed("ES256", "a"), NOW).user == "ada"
    assert check.verify(signed("ES256"), NOW).user == "ada"
    with pytest.raises(UnknownKeyError):
        check.verify(signed("ES256", "b"), NOW)
    with pytest.raises(UnknownKeyError):
        check.verify(signed("RS256", "a"), NOW)


async def test_closing_while_it_is_fetched(keys: Jwks, issuer: Issuer) -> None:
    """A server that stops does not wait for the issuer."""
    issuer.open.clear()
    keys.start()
    await asyncio.sleep(0)
    await keys.close()
    assert keys._task is None
