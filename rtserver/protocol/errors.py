"""The closed list of errors, and the one exception that carries them.

The same code and reason appear in acks, in the ``error`` event, in ``connect_error.data``, as WebSocket close
codes and in HTTP bodies; only the wrapping differs, and each wrapping is made at one place.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Reason(NamedTuple):
    """One row of the list: close code, word, HTTP status, and whether coming back makes sense."""

    code: int
    reason: str
    http_status: int
    reconnect: bool


BAD_REQUEST = Reason(4000, "bad_request", 400, reconnect=False)
UNAUTHORIZED = Reason(4001, "unauthorized", 401, reconnect=False)
FORBIDDEN = Reason(4003, "forbidden", 403, reconnect=False)
NOT_FOUND = Reason(4004, "not_found", 404, reconnect=False)
UNKNOWN_EVENT = Reason(4005, "unknown_event", 404, reconnect=False)
NOT_A_MEMBER = Reason(4006, "not_a_member", 403, reconnect=False)
MESSAGE_TOO_LARGE = Reason(4007, "message_too_large", 413, reconnect=False)
RATE_LIMITED = Reason(4008, "rate_limited", 429, reconnect=True)
TOO_MANY_CONNECTIONS = Reason(4009, "too_many_connections", 503, reconnect=True)
TOO_MANY_ROOMS = Reason(4010, "too_many_rooms", 409, reconnect=False)
ROOM_FULL = Reason(4011, "room_full", 409, reconnect=True)
TOKEN_EXPIRED = Reason(4012, "token_expired", 401, reconnect=True)
TOKEN_REVOKED = Reason(4013, "token_revoked", 401, reconnect=False)
SLOW_CONSUMER = Reason(4014, "slow_consumer", 503, reconnect=True)
SERVER_DRAINING = Reason(4015, "server_draining", 503, reconnect=True)
KICKED = Reason(4016, "kicked", 403, reconnect=False)
HANDSHAKE_TIMEOUT = Reason(4017, "handshake_timeout", 408, reconnect=True)
SERVER_ERROR = Reason(4500, "server_error", 500, reconnect=True)

REASONS: tuple[Reason, ...] = (
    BAD_REQUEST,
    UNAUTHORIZED,
    FORBIDDEN,
    NOT_FOUND,
    UNKNOWN_EVENT,
    NOT_A_MEMBER,
    MESSAGE_TOO_LARGE,
    RATE_LIMITED,
    TOO_MANY_CONNECTIONS,
    TOO_MANY_ROOMS,
    ROOM_FULL,
    TOKEN_EXPIRED,
    TOKEN_REVOKED,
    SLOW_CONSUMER,
    SERVER_DRAINING,
    KICKED,
    HANDSHAKE_TIMEOUT,
    SERVER_ERROR,
)


class RtError(Exception):
    """A refusal with its reason, a sentence for a person, and, when it passes with time, the seconds to wait."""

    def __init__(self, reason: Reason, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.retry_after = retry_after

    def body(self) -> dict[str, Any]:
        """Return ``{code, reason, message, retry_after?}``, as acks and HTTP bodies carry it."""
        body: dict[str, Any] = {
            "code": self.reason.code,
            "reason": self.reason.reason,
            "message": self.message,
        }
        if self.retry_after is not None:
            body["retry_after"] = self.retry_after
        return body

    def farewell(self) -> dict[str, Any]:
        """Return ``{code, reason, message, reconnect}``, as a refused or disconnected client gets it."""
        return {
            "code": self.reason.code,
            "reason": self.reason.reason,
            "message": self.message,
            "reconnect": self.reason.reconnect,
        }
