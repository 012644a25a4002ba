"""The shapes of CONTRACT sections 3 to 6: key sets exactly, and what every value must look like."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt

from rtserver.protocol.acks import CLIENT_EVENTS
from rtserver.protocol.events import SERVER_EVENTS

ERRORS = {
    "bad_request": 4000,
    "unauthorized": 4001,
    "forbidden": 4003,
    "not_found": 4004,
    "unknown_event": 4005,
    "not_a_member": 4006,
    "message_too_large": 4007,
    "rate_limited": 4008,
    "too_many_connections": 4009,
    "too_many_rooms": 4010,
    "room_full": 4011,
    "token_expired": 4012,
    "token_revoked": 4013,
    "slow_consumer": 4014,
    "server_draining": 4015,
    "kicked": 4016,
    "handshake_timeout": 4017,
    "server_error": 4500,
}

EVENTS: dict[str, tuple[set[str], set[str]]] = {
    "welcome": (
        {
            "client_id",
            "sid",
            "name",
            "verified",
            "message",
            "client_number",
            "total_connections",
            "timestamp",
            "expires_at",
        },
        set(),
    ),
    "chat": ({"id", "room", "sender", "username", "message", "timestamp", "offset"}, {"data"}),
    "broadcast": ({"id", "room", "sender", "username", "message", "timestamp", "offset"}, {"data"}),
    "private": ({"id", "sender", "username", "to", "message", "timestamp"}, {"data"}),
    "user_joined": (
        {"room", "client_id", "name", "count", "message", "username", "is_system", "timestamp"},
        {"reason"},
    ),
    "user_left": (
        {"room", "client_id", "name", "count", "message", "username", "is_system", "timestamp"},
        {"reason"},
    ),
    "user_typing": ({"room", "client_id", "username", "is_typing"}, set()),
    "client_connected": (
        {"client_id", "name", "total_connections", "message", "username", "is_system", "timestamp"},
        set(),
    ),
    "client_disconnected": (
        {"client_id", "name", "total_connections", "message", "username", "is_system", "timestamp"},
        set(),
    ),
    "notification": ({"id", "topic", "type", "level", "title", "message", "timestamp"}, {"data"}),
    "new_notification": ({"id", "user", "type", "level", "title", "message", "timestamp"}, {"data"}),
    "notification_read": ({"notification_ids"}, set()),
    "all_read": (set(), set()),
    "pong": ({"timestamp"}, set()),
    "token_expiring": ({"expires_at"}, set()),
    "error": ({"code", "reason", "message", "event"}, {"retry_after"}),
    "disconnecting_by_server": ({"code", "reason", "message", "reconnect"}, set()),
}

ACKS: dict[str, set[str]] = {
    "join": {"room", "members", "count", "offset", "history", "recovered"},
    "leave": {"room"},
    "chat": {"id", "offset", "timestamp"},
    "broadcast": {"id", "offset", "timestamp", "recipients"},
    "private": {"id", "timestamp", "delivered"},
    "typing": set(),
    "ping": {"pong", "timestamp"},
    "presence": {"members", "count"},
    "rooms": {"rooms"},
    "subscribe": {"topic"},
    "unsubscribe": {"topic"},
    "notifications": {"notifications", "unread"},
    "mark_read": {"marked"},
    "mark_all_read": {"marked"},
    "refresh_token": {"expires_at"},
}

MEMBER = {"client_id", "name", "verified", "connections", "joined_at"}

_numbers = itertools.count(1)
_run = os.urandom(2).hex()


def unique(prefix: str) -> str:
    """A name no other test uses."""
    return f"{prefix}-{_run}-{next(_numbers)}"


def check_keys(what: str, payload: Any, required: Iterable[str], optional: Iterable[str] = ()) -> None:
    """Exactly the required keys, and no others but the optional ones."""
    assert isinstance(payload, Mapping), f"{what}: {payload!r}"
    required, optional = set(required), set(optional)
    missing, extra = required - payload.keys(), payload.keys() - required - optional
    assert not missing, f"{what} lacks {sorted(missing)}: {payload}"
    assert not extra, f"{what} has {sorted(extra)} on top: {payload}"


def check_timestamp(value: Any) -> datetime:
    """ISO 8601 UTC with Z, about now."""
    assert isinstance(value, str), value
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z", value), value
    moment = datetime.fromisoformat(value)
    assert abs(datetime.now(UTC) - moment) < timedelta(minutes=2), value
    return moment


def check_event(event: str, payload: Any) -> dict[str, Any]:
    """A server event as in section 5; returned as it is."""
    required, optional = EVENTS[event]
    check_keys(event, payload, required, optional)
    # What machines are told that it looks like.
    SERVER_EVENTS[event].model_validate(payload)
    if "timestamp" in payload:
        check_timestamp(payload["timestamp"])
    if "is_system" in payload:
        assert payload["is_system"] is True, payload
        assert payload["username"] == "SYSTEM", payload
    if "id" in required:
        assert isinstance(payload["id"], str), payload
        assert payload["id"], payload
    if "offset" in payload:
        check_count(payload["offset"])
    if "count" in payload:
        check_count(payload["count"])
    if event in ("error", "disconnecting_by_server"):
        assert payload["code"] == ERRORS[payload["reason"]], payload
    return dict(payload)


def check_count(value: Any) -> None:
    """A whole number, not below zero, and not a boolean."""
    assert type(value) is int, value
    assert value >= 0, value


def check_member(member: Any) -> dict[str, Any]:
    """One entry of `members`."""
    check_keys("member", member, MEMBER)
    check_timestamp(member["joined_at"])
    check_count(member["connections"])
    assert type(member["verified"]) is bool, member
    return dict(member)


def check_ack(event: str, ack: Any) -> dict[str, Any]:
    """A good ack as in section 4; returned as it is."""
    assert isinstance(ack, Mapping), ack
    assert ack.get("ok") is True, ack
    check_keys(
        f"ack of {event}", ack, {"ok"} | ACKS[event], {"next"} if event in ("join", "presence") else ()
    )
    CLIENT_EVENTS[event].ack.model_validate({name: value for name, value in ack.items() if name != "ok"})
    if "timestamp" in ack:
        check_timestamp(ack["timestamp"])
    for number in ("offset", "recipients", "delivered", "count"):
        if number in ack:
            check_count(ack[number])
    for member in ack.get("members", ()):
        check_member(member)
    return dict(ack)


def check_refusal(ack: Any, reason: str, *named: str) -> dict[str, Any]:
    """An ack that refuses for that reason; its message names what it is about."""
    assert isinstance(ack, Mapping), ack
    assert ack.get("ok") is False, ack
    check_keys("refusing ack", ack, {"ok", "error"})
    error = ack["error"]
    check_keys("error of an ack", error, {"code", "reason", "message"}, {"retry_after"})
    assert error["reason"] == reason, error
    assert error["code"] == ERRORS[reason], error
    assert isinstance(error["message"], str), error
    assert error["message"], error
    for name in named:
        assert name in error["message"], f"{name!r} is not named: {error}"
    return dict(error)


def check_error_event(payload: Any, reason: str, event: str, *named: str) -> dict[str, Any]:
    """The event `error` that stands for a refusing ack."""
    check_event("error", payload)
    assert payload["reason"] == reason, payload
    assert payload["event"] == event, payload
    for name in named:
        assert name in payload["message"], f"{name!r} is not named: {payload}"
    return dict(payload)


def check_connect_error(message: str, data: Any, reason: str, *, reconnect: bool | None = None) -> None:
    """A refused connection as in section 3."""
    assert message == reason, (message, data)
    check_keys("connect_error.data", data, {"code", "reason", "message", "reconnect"}, {"retry_after"})
    assert data["reason"] == reason, data
    assert data["code"] == ERRORS[reason], data
    assert type(data["reconnect"]) is bool, data
    if reconnect is not None:
        assert data["reconnect"] is reconnect, data


SECRET = "acceptance-secret-that-is-long-enough-for-every-hmac-there-is-64-bytes"


def token(
    sub: str | None = "ada",
    *,
    ttl: float = 600,
    secret: str = SECRET,
    algorithm: str = "HS256",
    **claims: Any,
) -> str:
    """A JWT as a user's backend would make it."""
    now = datetime.now(UTC)
    body = {"sub": sub, "iat": now, "exp": now + timedelta(seconds=ttl), **claims}
    return jwt.encode({k: v for k, v in body.items() if v is not None}, secret, algorithm=algorithm)
