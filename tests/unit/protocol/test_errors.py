"""The closed list of errors."""

import pytest

from rtserver.protocol import errors
from rtserver.protocol.errors import REASONS, RtError

# The contract's table: code, reason, and whether coming back makes sense ("later", "yes", with a new token…).
CONTRACT = [
    (4000, "bad_request", False),
    (4001, "unauthorized", False),
    (4003, "forbidden", False),
    (4004, "not_found", False),
    (4005, "unknown_event", False),
    (4006, "not_a_member", False),
    (4007, "message_too_large", False),
    (4008, "rate_limited", True),
    (4009, "too_many_connections", True),
    (4010, "too_many_rooms", False),
    (4011, "room_full", True),
    (4012, "token_expired", True),
    (4013, "token_revoked", False),
    (4014, "slow_consumer", True),
    (4015, "server_draining", True),
    (4016, "kicked", False),
    (4017, "handshake_timeout", True),
    (4500, "server_error", True),
]


def test_the_list_is_the_contracts() -> None:
    """Codes, reasons and whether to come back are those of the contract, in its order, and there are no others."""
    assert [(r.code, r.reason, r.reconnect) for r in REASONS] == CONTRACT


def test_codes_and_reasons_are_unique() -> None:
    """A code stands for one reason and a reason for one code."""
    assert len({r.code for r in REASONS}) == len({r.reason for r in REASONS}) == len(REASONS)


def test_every_constant_is_in_the_list() -> None:
    """A reason has a constant of its name, and no constant is missing from the list."""
    constants = {name: value for name, value in vars(errors).items() if isinstance(value, errors.Reason)}
    assert constants == {r.reason.upper(): r for r in REASONS}


@pytest.mark.parametrize("reason", REASONS, ids=lambda r: r.reason)
def test_codes_fit_close_frames_and_http(reason: errors.Reason) -> None:
    """A code is one that applications may close a WebSocket with, and the HTTP status is an error."""
    assert 4000 <= reason.code <= 4999
    assert 400 <= reason.http_status <= 599


def test_body_and_farewell() -> None:
    """An ack says what went wrong; a farewell says whether to come back."""
    error = RtError(errors.FORBIDDEN, "not yours")
    assert str(error) == "not yours"
    assert error.body() == {"code": 4003, "reason": "forbidden", "message": "not yours"}
    assert error.farewell() == {
        "code": 4003,
        "reason": "forbidden",
        "message": "not yours",
        "reconnect": False,
    }


def test_retry_after_is_told_when_known() -> None:
    """What passes with time says after how many seconds, zero included."""
    assert RtError(errors.RATE_LIMITED, "slow down", 0.25).body()["retry_after"] == 0.25
    assert RtError(errors.RATE_LIMITED, "slow down", 0.0).body()["retry_after"] == 0.0
    assert "retry_after" not in RtError(errors.RATE_LIMITED, "slow down").body()
