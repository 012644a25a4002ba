"""Names of rooms, topics, clients and events."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtserver.protocol.names import MAX_LENGTH, RESERVED_EVENTS, normal_name, publishable_event

BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
CONTROLS = "\x00\x07\t\n\r\x1b\x1e\x1f\x7f\x80\x85\x9f\u2028\u2029"


@pytest.mark.parametrize(
    "name",
    [
        "a",
        "lobby",
        "team/5",
        "a b",
        "Zoë",
        "日本",
        "👩‍👩‍👧",
        "❤️",
        "1️⃣",
        "👍🏽",
        "👩🏽‍🚀",
        "🏳️‍🌈",
        "क्‍ष",
        "x" * 128,
        "!",
        "[",
    ],
)
def test_ordinary_names_stay_as_they_are(name: str) -> None:
    """Any script, punctuation, inner spaces and joined emoji make a name."""
    assert normal_name(name) == name


def test_two_spellings_of_one_name_are_one_name() -> None:
    """A letter with a combining accent is the same name as the precomposed letter."""
    assert normal_name("Zoe\u0308") == normal_name("Zo\u00eb") == "Zo\u00eb"


@pytest.mark.parametrize("name", ["", " ", "   ", "\u00a0", "\u3000 "])
def test_a_name_shows_something(name: str) -> None:
    """Nothing, and nothing but white space, is not a name."""
    with pytest.raises(ValueError, match="must not be empty"):
        normal_name(name)


@pytest.mark.parametrize("character", [*BIDI, *CONTROLS, "\ud800"], ids=lambda c: f"U+{ord(c):04X}")
def test_characters_that_deceive_are_refused(character: str) -> None:
    """Control, bidi, line separator and half surrogate are refused wherever they stand, and named."""
    for name in (f"{character}a", f"a{character}b", f"é{character}"):
        with pytest.raises(ValueError, match=rf"control or bidi .*U\+{ord(character):04X}"):
            normal_name(name)


INVISIBLE = (
    "\u00ad\u034f\u115f\u1160\u17b4\u180b\u180e\u200b\u200c\u200d"
    "\u2060\u2061\u2800\u3164\ufe00\ufe0f\ufeff\uffa0\ufff9"
)


@pytest.mark.parametrize(
    "character", [*INVISIBLE, "\U000e0041", "\U000e0100"], ids=lambda c: f"U+{ord(c):04X}"
)
def test_characters_that_are_not_seen_are_refused(character: str) -> None:
    """What shows nothing would make two names out of one that people see, and is refused wherever it stands."""
    for name in (f"{character}ada", f"a{character}da", f"é{character}", f"ada{character}"):
        with pytest.raises(ValueError, match=rf"invisible .*U\+{ord(character):04X}"):
            normal_name(name)


@pytest.mark.parametrize(
    "name", ["a\u200d😀", "😀\u200da", "😀\u200d", "😀\u200c😀", "a\ufe0f", "^\ufe0f", "😀\u200b😀"]
)
def test_joiners_join_only_what_they_are_for(name: str) -> None:
    """A joiner stands between two symbols or after a virama, and nowhere else."""
    with pytest.raises(ValueError, match="invisible"):
        normal_name(name)


def test_the_limit_counts_normalised_characters() -> None:
    """128 characters are allowed after composition, 129 are not, and characters outside the BMP count one."""
    assert normal_name("e\u0301" * MAX_LENGTH) == "é" * MAX_LENGTH
    assert normal_name("😀" * MAX_LENGTH) == "😀" * MAX_LENGTH
    for name in ("x" * 129, "é" * 129, "e\u0301" * 129, "😀" * 129):
        with pytest.raises(ValueError, match="at most 128 characters"):
            normal_name(name)


def test_a_name_may_grow_over_the_limit_by_normalisation() -> None:
    """What composes to more characters than were sent is measured by the result (U+0958 is excluded from NFC)."""
    with pytest.raises(ValueError, match="at most 128 characters"):
        normal_name("\u0958" * 128)


def test_the_longest_spelling_of_an_allowed_name_is_accepted() -> None:
    """The character that decomposes the furthest, four code points, may still be sent decomposed 128 times."""
    spelled = unicodedata.normalize("NFD", "\u1f82")
    assert len(spelled) == 4
    assert normal_name(spelled * 128) == "\u1f82" * 128


def test_a_huge_name_is_refused_before_it_is_normalised(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reordering combining marks takes time by the square of their number, so a hopeless name never gets there."""
    huge = "a" + "\u0315\u0300" * 500_000

    class Counting:
        def __init__(self) -> None:
            self.longest = 0

        def normalize(self, form: str, text: str) -> str:
            self.longest = max(self.longest, len(text))
            return unicodedata.normalize(form, text[:2000])

        def __getattr__(self, name: str) -> object:
            return getattr(unicodedata, name)

    seen = Counting()
    monkeypatch.setattr("rtserver.protocol.names.unicodedata", seen)
    with pytest.raises(ValueError, match="at most 128 characters"):
        normal_name(huge)
    assert seen.longest <= 2000


@given(st.text(max_size=140))
def test_a_name_is_valid_once_and_for_all(text: str) -> None:
    """Whatever is accepted is in NFC, short, shows something, holds nothing refused, and stays as it is."""
    try:
        name = normal_name(text)
    except ValueError:
        return
    assert name == unicodedata.normalize("NFC", text) == normal_name(name)
    assert 1 <= len(name) <= MAX_LENGTH
    assert name.strip()
    assert not set(name) & set(BIDI + CONTROLS)
    assert not {unicodedata.category(c) for c in name} & {"Cc", "Cs", "Zl", "Zp"}


@given(st.text(max_size=40))
def test_spelling_does_not_matter(text: str) -> None:
    """Composed and decomposed, a text is the same name or the same refusal."""

    def judged(form: str) -> str:
        try:
            return normal_name(unicodedata.normalize(form, text))
        except ValueError as error:
            return f"refused: {error}"

    composed, decomposed = judged("NFC"), judged("NFD")
    assert composed == decomposed or (composed.startswith("refused") and decomposed.startswith("refused"))


@pytest.mark.parametrize("name", sorted(RESERVED_EVENTS))
def test_reserved_events_cannot_be_published(name: str) -> None:
    """The names that Socket.IO keeps for itself are refused, and named."""
    with pytest.raises(ValueError, match=f"'{name}' is reserved"):
        publishable_event(name)


def test_the_reserved_events_are_socket_ios() -> None:
    """The list is the one of socket.io and socket.io-client: nothing is missing, nothing more is taken away."""
    theirs = {"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"}
    assert theirs == RESERVED_EVENTS


def test_other_events_can_be_published() -> None:
    """Any other name is an event's, normalised like all names."""
    assert publishable_event("task_update") == "task_update"
    assert publishable_event("Connect") == "Connect"
    assert publishable_event("cafe\u0301") == "café"
    with pytest.raises(ValueError, match="empty"):
        publishable_event("")
