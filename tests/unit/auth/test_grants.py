"""What a client may do in a room."""

from __future__ import annotations

from typing import Any

import pytest

from rtserver.auth.claims import Identity
from rtserver.auth.grants import Grants
from rtserver.config.schema import RoomPolicy
from rtserver.protocol.errors import FORBIDDEN, NOT_A_MEMBER, RtError


class Applicant:
    """Who asks."""

    def __init__(self, identity: Identity | None = None, *rooms: str) -> None:
        self.identity = identity
        self.rooms = dict.fromkeys(rooms) if rooms else None


USER = Identity(user="ann")


def grants(*policies: dict[str, Any]) -> Grants:
    """Grants by policies."""
    return Grants([RoomPolicy(**policy) for policy in policies])


def outcome(check: Any, *args: Any) -> str:
    """``ok``, or the reason of a refusal."""
    try:
        check(*args)
    except RtError as refusal:
        return refusal.reason.reason
    return "ok"


class TestWhichPolicy:
    """The first that matches."""

    def test_the_first(self):
        """The order of the policies decides, not how exact their patterns are."""
        table = grants({"match": "a*", "max_members": 1}, {"match": "ab", "max_members": 2}, {"match": "*"})
        assert table.policy("ab").max_members == 1
        assert table.policy("b").max_members is None

    def test_none(self):
        """A room that no policy names is as open as without policies."""
        table = grants({"match": "a", "join": "nobody"})
        assert outcome(table.check_join, Applicant(), "b") == "ok"
        assert outcome(table.check_publish, Applicant(), "b") == "not_a_member"
        assert outcome(table.check_publish, Applicant(None, "b"), "b") == "ok"

    @pytest.mark.parametrize(
        ("pattern", "yes", "no"),
        [
            ("*", ["a", "a:b", "[x]", "ä\n"], []),
            ("team:*", ["team:", "team:a", "team:a:b"], ["team", "xteam:a", "Team:a"]),
            ("r?", ["r1", "rx"], ["r", "r12"]),
            ("[ab]", ["[ab]"], ["a", "b"]),
            ("a.b", ["a.b"], ["axb"]),
            ("a|b", ["a|b"], ["a", "b"]),
            ("(", ["("], ["()"]),
            ("*@*.example", ["x@y.example"], ["x@example", "x@y.example.com"]),
        ],
    )
    def test_patterns(self, pattern: str, yes: list[str], no: list[str]):
        """``*`` and ``?`` stand for characters, everything else for itself, and the whole name counts."""
        table = grants({"match": pattern, "join": "nobody"}, {"match": "*"})
        assert [outcome(table.check_join, Applicant(), name) for name in yes] == ["forbidden"] * len(yes)
        assert [outcome(table.check_join, Applicant(), name) for name in no] == ["ok"] * len(no)

    def test_any_number_of_rooms(self):
        """Room names come without end; what is remembered of them is bounded."""
        table = grants({"match": "a*", "join": "nobody"}, {"match": "*"})
        for number in range(10_000):
            assert outcome(table.check_join, Applicant(), f"a{number}") == "forbidden"
            assert outcome(table.check_join, Applicant(), f"b{number}") == "ok"
        assert table.policy.cache_info().currsize <= 5000


class TestRules:
    """Who may."""

    @pytest.mark.parametrize(
        ("rule", "identity", "allowed"),
        [
            ("anyone", None, True),
            ("anyone", USER, True),
            ("authenticated", None, False),
            ("authenticated", USER, True),
            ("claim", None, False),
            ("claim", USER, False),
            ("claim", Identity(user="ann", rooms=(), publish=()), False),
            ("claim", Identity(user="ann", rooms=("a",), publish=("a",)), True),
            ("claim", Identity(user="ann", rooms=("x", "a*"), publish=("x", "a*")), True),
            ("claim", Identity(user="ann", rooms=("aa", "A"), publish=("aa", "A")), False),
            ("nobody", USER, False),
            ("nobody", Identity(user="ann", rooms=("*",), publish=("*",)), False),
        ],
    )
    def test_join_and_publish(self, rule: str, identity: Identity | None, allowed: bool):
        """Each rule lets in whom its name says, for joining and for publishing."""
        expected = "ok" if allowed else "forbidden"
        applicant = Applicant(identity)
        assert outcome(grants({"match": "*", "join": rule}).check_join, applicant, "a") == expected
        assert outcome(grants({"match": "*", "publish": rule}).check_publish, applicant, "a") == expected

    def test_claims_are_not_mixed_up(self):
        """Joining asks for the claim ``rooms``, publishing for ``publish``."""
        table = grants({"match": "*", "join": "claim", "publish": "claim"})
        listener = Applicant(Identity(user="ann", rooms=("a",)))
        speaker = Applicant(Identity(user="ann", publish=("a",)))
        assert outcome(table.check_join, listener, "a") == "ok"
        assert outcome(table.check_publish, listener, "a") == "forbidden"
        assert outcome(table.check_join, speaker, "a") == "forbidden"
        assert outcome(table.check_publish, speaker, "a") == "ok"

    def test_members(self):
        """``members`` is about being in that room, whoever one is."""
        table = grants({"match": "*", "publish": "members"})
        with pytest.raises(RtError) as refusal:
            table.check_publish(Applicant(USER, "b"), "a")
        assert refusal.value.reason is NOT_A_MEMBER
        assert outcome(table.check_publish, Applicant(None, "a"), "a") == "ok"

    def test_everybody(self):
        """A message to everybody is ruled by the policy of the empty name, and all clients are its members."""
        assert outcome(grants().check_publish, Applicant(), None) == "ok"
        assert outcome(grants({"match": "a", "publish": "nobody"}).check_publish, Applicant(), None) == "ok"
        assert outcome(grants({"match": "*", "publish": "members"}).check_publish, Applicant(), None) == "ok"
        closed = grants({"match": "*", "publish": "nobody"})
        assert outcome(closed.check_publish, Applicant(USER, "a"), None) == "forbidden"
        known = grants({"match": "*", "publish": "authenticated"})
        assert outcome(known.check_publish, Applicant(), None) == "forbidden"
        assert outcome(known.check_publish, Applicant(USER), None) == "ok"

    @pytest.mark.parametrize("room", ["user:ann", "topic:a", "sid:x", "user:"])
    @pytest.mark.parametrize("identity", [None, USER, Identity(user="ann", rooms=("*",))])
    def test_reserved(self, room: str, identity: Identity | None):
        """The server's own rooms are nobody's to join, whatever the policies say."""
        with pytest.raises(RtError) as refusal:
            grants({"match": "*", "join": "anyone"}).check_join(Applicant(identity), room)
        assert refusal.value.reason is FORBIDDEN

    @pytest.mark.parametrize("room", ["user:ben", "topic:a", "sid:x"])
    def test_reserved_rooms_are_not_published_to(self, room: str):
        """Nor to publish to: what the server sends there is believed to be the server's."""
        with pytest.raises(RtError) as refusal:
            grants({"match": "*", "publish": "anyone"}).check_publish(Applicant(USER), room)
        assert refusal.value.reason is FORBIDDEN

    def test_looking(self):
        """Who is in a room may look into it, and so may who could join."""
        table = grants({"match": "shut", "join": "nobody"}, {"match": "*"})
        assert outcome(table.check_look, Applicant(), "a") == "ok"
        assert outcome(table.check_look, Applicant(), "shut") == "forbidden"
        assert outcome(table.check_look, Applicant(None, "shut"), "shut") == "ok"
