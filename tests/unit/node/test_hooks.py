"""What a backend's answers make of a client."""

from __future__ import annotations

from typing import Any

import pytest

from rtserver.auth.claims import Identity
from rtserver.auth.decisions import Decision
from rtserver.config.schema import Hooks as Settings
from rtserver.hooks import Hooks
from rtserver.protocol.errors import FORBIDDEN, RtError
from tests.unit.node.stand_ins import app, arrive, done


class Asking:
    """Answers everything with one decision."""

    def __init__(self, decision: Decision) -> None:
        self.decision = decision
        self.keys: list[Any] = []

    async def ask(self, url: str, kind: str, data: dict[str, Any], key: Any = None) -> Decision:
        """Answer."""
        self.keys.append(key)
        return self.decision


def hooks(allow: bool = True, **answer: Any) -> Hooks:
    """Hooks whose backend always answers the same."""
    urls = dict.fromkeys(("connect", "join", "publish"), "http://backend.example/")
    return Hooks(Settings(**urls), Asking(Decision(allow, **answer)))  # type: ignore[arg-type]


def test_named_without_a_token() -> None:
    """Who is named by the backend alone is vouched for as of now, so an old revocation does not hit it."""
    found = done(hooks(identity=Identity(user="ann")).connect("guest:1", "x", None, {}, ""))
    assert found is not None
    node = app().node
    done(node.revoke(user="ann", issued_before=1000.0))
    assert not node.credentials.revocations.covers(found)


def test_named_beside_a_token() -> None:
    """What the backend does not say stays as the token says, its end above all."""
    token = Identity(
        user="ann", name="Ann", rooms=("a",), publish=("b",), expires_at=5.0, issued_at=1.0, jti="7"
    )
    found = done(hooks(identity=Identity(user="root", rooms=("c",))).connect("ann", "Ann", token, {}, ""))
    assert found == Identity(
        user="root", name="Ann", rooms=("c",), publish=("b",), expires_at=5.0, issued_at=1.0, jti="7"
    )
    assert done(hooks().connect("ann", "Ann", token, {}, "")) is token


def test_no() -> None:
    """A no is forbidden, with the backend's sentence or one of our own."""
    client = arrive(app().node)
    for asked in (hooks(allow=False, reason="full moon"), hooks(allow=False)):
        for question in (
            asked.connect("ann", "Ann", None, {}, ""),
            asked.join(client, "a"),
            asked.publish(client, "a", "chat", "x", {}),
        ):
            with pytest.raises(RtError) as refusal:
                done(question)
            assert refusal.value.reason is FORBIDDEN
            assert refusal.value.message


def test_guests_and_users_are_not_mixed_up() -> None:
    """What was decided about a user is not remembered for an unverified client of the same name."""
    node, one = app().node, hooks()
    done(one.join(arrive(node, "ann"), "a"))
    done(one.join(arrive(node, "ann", identity=Identity(user="ann")), "a"))
    assert len(set(one._asking.keys)) == 2  # type: ignore[attr-defined]


def test_nobody_is_asked_without_a_url() -> None:
    """A hook that is not set is always a yes."""
    one = Hooks(Settings(), Asking(Decision(allow=False)))  # type: ignore[arg-type]
    client = arrive(app().node)
    assert done(one.connect("ann", "Ann", None, {}, "")) is None
    done(one.join(client, "a"))
    done(one.publish(client, "a", "chat", "x", {}))
