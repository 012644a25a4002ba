"""``refresh_token`` through the router."""

from __future__ import annotations

from typing import Any

import pytest

from rtserver.auth.claims import Identity
from rtserver.auth.tokens import sign
from rtserver.config.schema import Jwt
from tests.unit.handlers.table import Table, reason
from tests.unit.node.stand_ins import done, heard

SECRET = "0123456789abcdef0123456789abcdef"
ROOMS = [{"match": "claim-*", "join": "claim"}, {"match": "shut", "join": "nobody"}, {"match": "*"}]


def token(user: str = "ann", **claims: Any) -> str:
    """A token that never runs out."""
    return sign({"sub": user, **claims}, Jwt(secret=SECRET), 1000.0)  # type: ignore[arg-type]


@pytest.fixture
def table() -> Table:
    """A server that looks at tokens."""
    jwt = {"secret": SECRET, "require_exp": False}
    return Table({"auth": {"mode": "optional", "jwt": jwt}, "rooms": ROOMS})


def test_ack(table: Table) -> None:
    """The ack tells when the new token runs out: never, here."""
    ann = table.person("ann", identity=Identity(user="ann"))
    assert table.ask(ann, "refresh_token", {"token": token(rooms=["x"])}) == {"ok": True, "expires_at": None}
    assert ann.identity is not None
    assert ann.identity.rooms == ("x",)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (token("ben"), "forbidden"),
        ("garbage", "unauthorized"),
        ("", "unauthorized"),
        (token() + "x", "unauthorized"),
    ],
    ids=["another user", "garbage", "empty", "tampered"],
)
def test_refused(table: Table, given: str, why: str) -> None:
    """Another user's token is forbidden, a bad one unauthorized, and the client stays who it is."""
    ann = table.person("ann", identity=Identity(user="ann", rooms=("a",)))
    ack = table.ask(ann, "refresh_token", {"token": given})
    assert reason(ack) == why
    assert not given or given not in str(ack)
    assert ann.identity == Identity(user="ann", rooms=("a",))


def test_guests(table: Table) -> None:
    """A guest cannot become a user on the way."""
    assert reason(table.ask(table.person("guest:1"), "refresh_token", {"token": token()})) == "forbidden"


def test_without_tokens() -> None:
    """Where nobody has a token none is renewed."""
    table = Table()
    assert reason(table.ask(table.person("ann"), "refresh_token", {"token": token()})) == "forbidden"


def test_new_claims_hold_at_once(table: Table) -> None:
    """Rooms that the new token opens can be joined, and those that only the old one opened are left."""
    ann = table.person("ann", "open", identity=Identity(user="ann", rooms=("claim-a", "claim-b")))
    ben = table.person("ben", "open")
    for room in ("claim-a", "claim-b"):
        assert table.ask(ann, "join", {"room": room})["ok"]
    done(table.node.join(ann, "shut"))
    done(table.node.join(ann, "claim-by-the-application"))
    heard(ben)
    ack = table.ask(ann, "refresh_token", {"token": token(rooms=["claim-b", "claim-c"])})
    assert ack == {"ok": True, "expires_at": None, "left": ["claim-a"]}
    assert table.ask(ann, "rooms")["rooms"] == ["open", "claim-b", "shut", "claim-by-the-application"]
    assert reason(table.ask(ann, "join", {"room": "claim-a"})) == "forbidden"
    assert table.ask(ann, "join", {"room": "claim-c"})["ok"]
