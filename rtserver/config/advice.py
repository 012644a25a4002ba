"""Settings that can be used, but are weaker than they should be or hardly what was meant."""

from base64 import b64decode
from collections.abc import Iterator

from rtserver.config.check_sqlite import sqlite_advice
from rtserver.config.explain import nearest
from rtserver.config.schema import Config

EVENTS = (
    *("join", "leave", "chat", "broadcast", "private", "typing", "ping", "presence", "history", "rooms"),
    *("subscribe", "unsubscribe", "notifications", "mark_read", "mark_all_read", "refresh_token"),
)
"""Events of clients that rtserver answers itself; an application may have more."""

# An application's own event that is called somewhat like one of ours is no mistake.
_LIKENESS = 0.75
_SIGNING_BYTES = 24

# What `socket.send()` emits, and may have a rate of its own beside that of the event it carries.
_ENVELOPE = "message"


def advice(config: Config) -> Iterator[str]:
    """Yield a sentence for each setting of `config` that works, but not as well or not as it seems."""
    secret = config.auth.jwt.secret
    if secret is not None and len(secret.get_secret_value().encode()) < 32:
        yield "auth.jwt.secret: is shorter than 32 bytes, so it may be guessed"
    if config.api.keys and config.auth.mode == "none" and not config.metrics.require_key:
        yield "api.keys: are asked of nobody while auth.mode is none"
    hooks = config.auth.hooks
    if (hooks.connect or hooks.join or hooks.publish) and not hooks.secrets:
        yield "auth.hooks.secrets: is empty, so the backend cannot know who asks"
    yield from sqlite_advice("store.url", config.store.url)
    yield from _unreachable(config)
    yield from _closed_to_all(config)
    yield from _misspelt_events(config)
    for index, target in enumerate(config.webhooks.targets):
        if not target.secrets:
            yield f"webhooks.targets[{index}].secrets: is empty, so the receiver cannot know the sender"
        for key in ("events", "rooms"):
            if not getattr(target, key):
                yield f"webhooks.targets[{index}].{key}: is empty, so nothing of that kind is sent"
        for number, secret in enumerate(target.secrets):
            if len(b64decode(secret.get_secret_value().removeprefix("whsec_"))) < _SIGNING_BYTES:
                yield (
                    f"webhooks.targets[{index}].secrets[{number}]: has fewer than {_SIGNING_BYTES} bytes, the least"
                    " that Standard Webhooks asks for"
                )


def _unreachable(config: Config) -> Iterator[str]:
    first = next((index for index, policy in enumerate(config.rooms) if not policy.match.strip("*")), None)
    if first is None:
        return
    for index in range(first + 1, len(config.rooms)):
        yield f"rooms[{index}]: is never used, because rooms[{first}] matches every room; put it before that"


def _closed_to_all(config: Config) -> Iterator[str]:
    if config.auth.mode != "none":
        return
    for index, policy in enumerate(config.rooms):
        for key in ("join", "publish"):
            rule = getattr(policy, key)
            if rule in ("authenticated", "claim"):
                yield f"rooms[{index}].{key}: {rule} lets nobody pass while auth.mode is none, without tokens"


def _misspelt_events(config: Config) -> Iterator[str]:
    for event in config.limits.events:
        near = None if event in (*EVENTS, _ENVELOPE) else nearest(event, EVENTS, _LIKENESS)
        if near is not None:
            yield f"limits.events.{event}: is no event of rtserver's own; did you mean '{near}'?"
