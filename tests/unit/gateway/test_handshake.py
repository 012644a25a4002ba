"""Who is connecting, by mode, token and what the client says of itself."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtserver.auth.claims import Identity
from rtserver.gateway.handshake import Handshake
from rtserver.protocol.errors import BAD_REQUEST, TOKEN_EXPIRED, UNAUTHORIZED, RtError

GUEST_NAME = re.compile(r"guest-[a-z0-9]{8}")
GUEST = re.compile(r"guest:[a-z0-9]{8}")


class Verifier:
    """Knows two tokens, and when it was asked."""

    def __init__(self) -> None:
        self.asked: list[float] = []

    def verify(self, token: str, now: float) -> Identity:
        """Judge a token by its name."""
        self.asked.append(now)
        if token == "old":
            raise RtError(TOKEN_EXPIRED, "the token has expired")
        if token == "good":
            return Identity(user="ann")
        if token == "named":
            return Identity(user="ann", name="Ann")
        raise RtError(UNAUTHORIZED, "the token is not valid")


def handshake(mode: str) -> Handshake:
    """A handshake of a mode."""
    return Handshake(mode, None if mode == "none" else Verifier())


MODES = ["none", "optional", "required"]
BOTH = pytest.mark.parametrize("where", ["auth", "query"])


def introduce(mode: str, fields: dict[str, Any], where: str = "auth") -> Any:
    """Who comes, with the fields in the payload or in the URL."""
    given_fields = (fields, {}) if where == "auth" else ({}, fields)
    return handshake(mode).introduce(*given_fields, now=1000.0)


class TestNone:
    """``auth.mode: none``: everybody is who they say."""

    @BOTH
    def test_says_who_it_is(self, where: str):
        """The client_id and the name are what the client says, normalised, and unverified."""
        who = introduce("none", {"client_id": "cafe\u0301", "name": "Ann"}, where)
        assert who == ("café", "Ann", None)

    @pytest.mark.parametrize(
        "fields", [{}, {"client_id": None}, {"client_id": ""}, {"token": "good"}, {"name": ""}]
    )
    def test_says_nothing(self, fields: dict[str, Any]):
        """Who says nothing gets a client_id of its own, which is its name as well."""
        who = introduce("none", fields)
        assert GUEST_NAME.fullmatch(who.client_id)
        assert who.name == who.client_id
        assert who.identity is None

    def test_names_are_not_given_twice(self):
        """Made-up client_ids differ."""
        assert len({introduce("none", {}).client_id for _ in range(200)}) == 200

    def test_only_a_name(self):
        """A name alone is only a name."""
        who = introduce("none", {"name": "Ann"})
        assert GUEST_NAME.fullmatch(who.client_id)
        assert who.name == "Ann"

    def test_only_a_client_id(self):
        """A client_id alone is the name as well."""
        assert introduce("none", {"client_id": "ann"}) == ("ann", "ann", None)

    @pytest.mark.parametrize("token", [5, [], {}, "bad", "old", True])
    def test_tokens_are_not_looked_at(self, token: Any):
        """A token means nothing here, however it looks."""
        assert introduce("none", {"token": token, "client_id": "ann"}).client_id == "ann"

    @pytest.mark.parametrize("field", ["client_id", "name"])
    @pytest.mark.parametrize(
        "value", [5, True, [], {}, ["ann"], "a\x00b", "a\u202eb", "x" * 129, "  ", b"ann", 0.5]
    )
    def test_bad_names(self, field: str, value: Any):
        """What is no name is refused, and the field is named."""
        with pytest.raises(RtError) as refusal:
            introduce("none", {field: value})
        assert refusal.value.reason is BAD_REQUEST
        assert refusal.value.message.startswith(f"{field}:")


class TestTokens:
    """Modes ``optional`` and ``required``."""

    @BOTH
    @pytest.mark.parametrize("mode", ["optional", "required"])
    @pytest.mark.parametrize("claimed", [{}, {"client_id": "root", "name": "Root"}])
    def test_a_good_token_says_it_all(self, mode: str, where: str, claimed: dict[str, str]):
        """With a good token client_id and name are the token's, whatever else the client says."""
        assert introduce(mode, {"token": "good", **claimed}, where) == ("ann", "ann", Identity(user="ann"))
        assert introduce(mode, {"token": "named", **claimed}, where)[:2] == ("ann", "Ann")

    @BOTH
    @pytest.mark.parametrize("mode", ["optional", "required"])
    @pytest.mark.parametrize(
        ("token", "reason"), [("bad", UNAUTHORIZED), ("old", TOKEN_EXPIRED), (" ", UNAUTHORIZED)]
    )
    def test_a_bad_token_is_refused(self, mode: str, where: str, token: str, reason: Any):
        """A token that is given and bad is refused; it never makes its bearer a guest."""
        with pytest.raises(RtError) as refusal:
            introduce(mode, {"token": token}, where)
        assert refusal.value.reason is reason

    @pytest.mark.parametrize("mode", ["optional", "required"])
    @pytest.mark.parametrize("token", [5, 0, False, True, [], {}, ["good"], b"good", 1.5])
    def test_a_token_that_is_no_text(self, mode: str, token: Any):
        """What is no text is no token, and no reason to fail otherwise."""
        with pytest.raises(RtError) as refusal:
            introduce(mode, {"token": token})
        assert refusal.value.reason is UNAUTHORIZED

    @pytest.mark.parametrize("fields", [{}, {"token": None}, {"token": ""}])
    def test_without_one(self, fields: dict[str, Any]):
        """Without a token ``required`` refuses and ``optional`` lets a guest in."""
        with pytest.raises(RtError) as refusal:
            introduce("required", fields)
        assert refusal.value.reason is UNAUTHORIZED
        who = introduce("optional", fields)
        assert GUEST.fullmatch(who.client_id)
        assert who.identity is None

    @BOTH
    @pytest.mark.parametrize("claimed", ["ann", "guest:ann", "guest:", "GUEST:x"])
    def test_a_guest_cannot_take_anybodys_id(self, where: str, claimed: str):
        """A guest may call itself what it likes, but its client_id is made up."""
        who = introduce("optional", {"client_id": claimed, "name": "Ann"}, where)
        assert GUEST.fullmatch(who.client_id)
        assert who.client_id != claimed
        assert who.name == "Ann"

    def test_the_payload_comes_before_the_url(self):
        """What the payload says holds; a token in the URL is not fallen back to when that one is bad."""
        judge = handshake("required")
        assert judge.introduce({"token": "good"}, {"token": "bad"}, 0.0).client_id == "ann"
        with pytest.raises(RtError):
            judge.introduce({"token": "bad"}, {"token": "good"}, 0.0)

    def test_time_is_an_argument(self):
        """The token is judged by the time that is given."""
        verifier = Verifier()
        Handshake("required", verifier).introduce({"token": "good"}, {}, 1234.5)
        assert verifier.asked == [1234.5]


@given(
    st.sampled_from(MODES),
    st.dictionaries(
        st.sampled_from(["token", "client_id", "name"]) | st.text(max_size=3),
        st.none()
        | st.booleans()
        | st.integers()
        | st.text()
        | st.binary()
        | st.lists(st.text())
        | st.just({}),
    ),
    st.dictionaries(st.sampled_from(["token", "client_id", "name"]), st.text()),
)
def test_anything(mode: str, auth: dict[str, Any], query: dict[str, str]):
    """Whatever a handshake holds, it gives sound names or a refusal of the closed list."""
    try:
        who = handshake(mode).introduce(auth, query, 0.0)
    except RtError:
        return
    for name in (who.client_id, who.name):
        assert 1 <= len(name) <= 128
        assert name.strip()
    if mode != "none" and who.identity is None:
        assert GUEST.fullmatch(who.client_id)
