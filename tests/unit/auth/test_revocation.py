"""Tokens that were called back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtserver.auth.claims import Identity
from rtserver.auth.revocation import Revocations

NOW = 1000.0


def token(user: str = "ann", jti: str | None = None, issued_at: float | None = 900.0) -> Identity:
    """What a token says of itself."""
    return Identity(user=user, jti=jti, issued_at=issued_at)


def revoked(**rule: Any) -> Revocations:
    """With one rule."""
    revocations = Revocations()
    revocations.add(NOW, **rule)
    return revocations


def test_nothing_is_revoked_at_first() -> None:
    """Without rules every token is good."""
    assert not Revocations().covers(token(jti="1", issued_at=None))


def test_a_user() -> None:
    """All tokens a user has been issued up to now are called back, later ones and other users' are not."""
    rules = revoked(user="ann")
    assert rules.covers(token())
    assert rules.covers(token(jti="1"))
    assert rules.covers(token(issued_at=NOW))
    assert not rules.covers(token(issued_at=NOW + 1))
    assert not rules.covers(token("ben"))


def test_one_token() -> None:
    """A named token is called back whoever has it, also when its issuer's clock is ahead; others are not."""
    rules = revoked(jti="7")
    assert rules.covers(token(jti="7"))
    assert rules.covers(token("ben", jti="7", issued_at=NOW + 99))
    assert not rules.covers(token(jti="8"))
    assert not rules.covers(token())


def test_one_token_of_a_user() -> None:
    """With a user and a name it is that token of that user: names are unique per issuer only."""
    rules = revoked(user="ann", jti="7")
    assert rules.covers(token(jti="7"))
    assert not rules.covers(token("ben", jti="7"))
    assert not rules.covers(token(jti="8"))


def test_everybody() -> None:
    """A time alone calls back everything issued up to then."""
    rules = revoked(issued_before=500)
    assert rules.covers(token(issued_at=500))
    assert not rules.covers(token(issued_at=501))


@pytest.mark.parametrize(
    "rule", [{"user": "ann"}, {"issued_before": 5.0}, {"user": "ann", "issued_before": 5.0}]
)
def test_a_token_that_hides_its_age(rule: dict[str, Any]) -> None:
    """A token that does not say when it was issued may be as old as any, and is refused."""
    assert revoked(**rule).covers(token(issued_at=None))


def test_an_older_rule_never_narrows_a_newer_one() -> None:
    """In whatever order rules arrive from others, what was refused stays refused."""
    first, second = Revocations(), Revocations()
    early = first.add(NOW, user="ann", issued_before=100)
    late = first.add(NOW, user="ann", issued_before=200)
    for rule in (late, early):
        second.restore(rule)
    assert len(second) == len(first) == 1
    assert second.covers(token(issued_at=150))


def test_pruning() -> None:
    """What was recorded before every living token was issued can be forgotten; the rest stays."""
    rules = Revocations()
    rules.add(10, user="ann")
    rules.add(20, jti="1")
    assert rules.prune(15) == 1
    assert len(rules) == 1
    assert rules.prune(15) == 0
    assert rules.covers(token(jti="1"))


@given(
    st.lists(
        st.tuples(
            st.sampled_from([None, "ann", "ben"]),
            st.sampled_from([None, "1", "2"]),
            st.integers(0, 10) | st.none(),
        ),
        max_size=8,
    ),
    st.sampled_from(["ann", "ben"]),
    st.sampled_from([None, "1", "2"]),
    st.integers(0, 10),
)
def test_against_a_list(rules: list[Any], user: str, jti: str | None, issued_at: int) -> None:
    """A token is refused if and only if one of the rules, read one by one, is about it."""
    revocations = Revocations()
    covered = False
    for who, which, before in rules:
        revocations.add(5, user=who, jti=which, issued_before=before)
        upto = before if before is not None else (5 if which is None else 99)
        covered |= who in (None, user) and which in (None, jti) and issued_at <= upto
    assert revocations.covers(token(user, jti, issued_at)) is covered
