"""Patterns over names."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtserver.rooms.patterns import Patterns

NAMES = st.text(alphabet="ab*?.[]\\\n|é", max_size=8)


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("*", ""), ("*", "anything/at.all"), ("lobby", "lobby"), ("team-*", "team-"), ("team-*", "team-5/x"),
        ("*-vip", "a-vip"), ("a*c", "abbbc"), ("a?c", "abc"), ("?", "😀"), ("*", "two\nlines"), ("", ""),
        ("a[1]", "a[1]"), ("a.b", "a.b"), ("(x|y)", "(x|y)"), ("\\d", "\\d"), ("https://*.example.com", "https://a.example.com"),
    ],
)  # fmt: skip
def test_what_a_pattern_covers(pattern: str, name: str) -> None:
    """A star stands for any run of characters, a question mark for one, everything else for itself."""
    assert Patterns([pattern]).match(name)


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("lobby", "lobby2"), ("lobby", "a lobby"), ("lobby", "Lobby"), ("team-*", "team"), ("a?c", "ac"),
        ("a?c", "abbc"), ("a.b", "axb"), ("[ab]", "a"), ("(x|y)", "x"), ("\\d", "5"), ("lobby", "lobby\n"), ("", "a"),
    ],
)  # fmt: skip
def test_what_it_does_not_cover(pattern: str, name: str) -> None:
    """The whole name must fit, case counts, and characters that mean something to regular expressions do not here."""
    assert not Patterns([pattern]).match(name)


def test_any_of_several() -> None:
    """One of them is enough; each is on its own."""
    patterns = Patterns(["a*", "*z", "q|r"])
    assert all(patterns.match(name) for name in ("abc", "xyz", "q|r"))
    assert not any(patterns.match(name) for name in ("b", "q", "r"))


def test_none_cover_nothing() -> None:
    """Without patterns no name is covered, not even the empty one."""
    assert not Patterns([]).match("")
    assert not Patterns(iter(())).match("a")


@given(NAMES)
def test_a_name_without_wildcards_covers_itself_only(name: str) -> None:
    """Every character but the two wildcards stands for itself."""
    plain = name.replace("*", "").replace("?", "")
    patterns = Patterns([plain])
    assert patterns.match(plain)
    assert not patterns.match(plain + "x")


def _covers(pattern: str, name: str) -> bool:
    """Match by definition: take the pattern's first character off, and what it may stand for off the name."""
    if not pattern:
        return not name
    if pattern[0] == "*":
        return any(_covers(pattern[1:], name[skipped:]) for skipped in range(len(name) + 1))
    return bool(name) and pattern[0] in ("?", name[0]) and _covers(pattern[1:], name[1:])


@given(st.lists(NAMES, max_size=4), NAMES)
def test_it_agrees_with_the_definition(patterns: list[str], name: str) -> None:
    """The one expression says what the definition says of each pattern."""
    assert Patterns(patterns).match(name) == any(_covers(pattern, name) for pattern in patterns)


def test_many_stars_do_not_take_long() -> None:
    """Patterns come in tokens, too: no pattern may make a short name expensive."""
    started = time.process_time()
    assert not Patterns(["*a" * 6 + "*b"]).match("a" * 64)
    assert time.process_time() - started < 1


def test_a_pattern_is_no_regular_expression() -> None:
    """Every printable ASCII character but the wildcards is taken literally."""
    for code in range(32, 127):
        character = chr(code)
        if character not in "*?":
            assert Patterns([character]).match(character)
            assert not Patterns([character]).match("\x01")
