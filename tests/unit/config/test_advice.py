"""Settings that can be used, but are weak or hardly meant."""

import os
from pathlib import Path
from typing import Any

import pytest

from rtserver.config.advice import EVENTS, advice
from rtserver.config.load import load
from rtserver.config.schema import Config
from rtserver.router import ROUTES

SECRET = "0123456789abcdef0123456789abcdef"


def advised(data: dict[str, Any]) -> list[str]:
    """What is advised about `data`."""
    return list(advice(load(data, env={})))


def test_the_defaults_need_no_advice() -> None:
    """An operator who set nothing is told nothing."""
    assert list(advice(Config())) == []


def test_weak_settings_are_named() -> None:
    """A short secret and an unsigned target work, and are advised against without showing them."""
    sentences = advised(
        {"auth": {"jwt": {"secret": "short"}}, "webhooks": {"targets": [{"name": "a", "url": "http://a"}]}}
    )
    assert [sentence.partition(":")[0] for sentence in sentences] == [
        "auth.jwt.secret",
        "webhooks.targets[0].secrets",
    ]
    assert "short," not in str(sentences)


def test_keys_that_nobody_needs() -> None:
    """Keys of an API that is open to everybody are named, and those of one that is not are fine."""
    assert [one.partition(":")[0] for one in advised({"api": {"keys": ["k"]}})] == ["api.keys"]
    assert advised({"api": {"keys": ["k"]}, "auth": {"mode": "required", "jwt": {"secret": SECRET}}}) == []


@pytest.mark.parametrize("kind", ["connect", "join", "publish"])
def test_hooks_without_a_secret(kind: str) -> None:
    """A backend that is asked without a signature is named, and one that is asked with one is not."""
    hooks: dict[str, Any] = {kind: "https://backend.example/"}
    assert advised({"auth": {"hooks": hooks}}) == [
        "auth.hooks.secrets: is empty, so the backend cannot know who asks"
    ]
    assert advised({"auth": {"hooks": hooks | {"secrets": ["whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"]}}}) == []


@pytest.mark.parametrize("everything", ["*", "**"])
def test_policies_behind_one_for_every_room(everything: str) -> None:
    """A policy that an earlier one leaves no room to is named, and one before it is not."""
    policies = [{"match": "a-*"}, {"match": everything}, {"match": "staff-*"}, {"match": "*"}]
    assert advised({"rooms": policies}) == [
        f"rooms[{index}]: is never used, because rooms[1] matches every room; put it before that"
        for index in (2, 3)
    ]
    assert advised({"rooms": [{"match": "a-*"}, {"match": "*-b"}, {"match": "*"}]}) == []


def test_rules_about_tokens_without_tokens() -> None:
    """A policy that asks for a token while nobody has one is named; with tokens it is not."""
    rooms = [{"match": "a", "join": "claim", "publish": "authenticated"}, {"match": "*", "publish": "nobody"}]
    assert advised({"rooms": rooms}) == [
        "rooms[0].join: claim lets nobody pass while auth.mode is none, without tokens",
        "rooms[0].publish: authenticated lets nobody pass while auth.mode is none, without tokens",
    ]
    assert advised({"rooms": rooms, "auth": {"mode": "optional", "jwt": {"secret": SECRET}}}) == []


@pytest.mark.parametrize(
    ("event", "meant"),
    [
        ("typin", "typing"),
        ("Chat", "chat"),
        ("brodcast", "broadcast"),
        ("typing", None),
        ("vote", None),
        ("message", None),
    ],
)
def test_rates_of_misspelt_events(event: str, meant: str | None) -> None:
    """A rate for what looks like a misspelt event is named; an application's own events are not."""
    expected = [f"limits.events.{event}: is no event of rtserver's own; did you mean '{meant}'?"]
    assert advised({"limits": {"events": {event: {"messages": 1}}}}) == (expected if meant else [])


def test_the_events_are_those_of_the_router() -> None:
    """Every event that is answered is known here, and no other."""
    assert set(EVENTS) == set(ROUTES)


def test_a_directory_that_is_not_writable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that cannot be written now is told of, and no problem: the server waits until it can be."""
    url = f"sqlite:///{tmp_path}/rtserver.db"
    assert advised({"store": {"url": url}}) == []
    # Root may write everywhere, so the system's answer is given here.
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    (said,) = advised({"store": {"url": url}})
    assert said == f"store.url: the directory {tmp_path} is not writable, so nothing can be kept"
