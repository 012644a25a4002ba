"""Names of rooms, topics, clients and events: what is one, and which are reserved.

Names are compared after Unicode normalisation (NFC, UAX #15), so that two spellings of one name are one room.
Control characters, the bidirectional controls of UAX #9, and characters that show nothing are refused: they make a
name look like another's.
"""

from __future__ import annotations

import unicodedata

MAX_LENGTH = 128

# Names that Socket.IO keeps for itself: a client that sends one is disconnected, as by its reference server,
# and no entrance may publish under one.
RESERVED_EVENTS = frozenset(
    {"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"}
)

# What goes to one user, to a topic or to one connection has streams of these names; no room is called so.
USER, TOPIC, SID = "user:", "topic:", "sid:"
RESERVED_PREFIXES = (USER, TOPIC, SID)

_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_REFUSED_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})

# Default_Ignorable_Code_Point of UAX #44 beyond the category Cf, and the blank Braille cell: nothing of them is seen.
_UNSEEN = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0"
    + "".join(map(chr, [*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)]))
)
_ZWNJ, _ZWJ, _AS_EMOJI = "\u200c", "\u200d", "\ufe0f"
_SKIN_TONES = tuple(map(chr, range(0x1F3FB, 0x1F400)))
_VIRAMA = 9


def normal_name(name: str) -> str:
    """Return *name* in NFC; raise `ValueError` when it is empty, too long, or holds a refused character."""
    # First of all: normalising a long run of combining marks takes quadratic time. In NFC a character comes from at
    # most four (UAX #15, section 12.1), so nothing that could become a name is refused here.
    if len(name) > 4 * MAX_LENGTH:
        raise ValueError(f"must have at most {MAX_LENGTH} characters")
    if not (name.isascii() and name.isprintable()):
        name = unicodedata.normalize("NFC", name)
        for index, character in enumerate(name):
            category = unicodedata.category(character)
            if character in _BIDI or category in _REFUSED_CATEGORIES:
                raise ValueError(f"must not contain control or bidi characters (U+{ord(character):04X})")
            if (category == "Cf" or character in _UNSEEN) and not _joins(name, index):
                raise ValueError(f"must not contain invisible characters (U+{ord(character):04X})")
    if not name.strip():
        raise ValueError("must not be empty")
    if len(name) > MAX_LENGTH:
        raise ValueError(f"must have at most {MAX_LENGTH} characters")
    return name


def _joins(name: str, index: int) -> bool:
    """Tell whether an invisible character is part of what is seen: inside an emoji, or after an Indic virama.

    The latter is the rule of RFC 5892, appendix A, for domain names, which forbid joiners everywhere else.
    """
    before, after = name[index - 1 : index], name[index + 1 : index + 2]
    character = name[index]
    if character in (_ZWNJ, _ZWJ) and before and unicodedata.combining(before) == _VIRAMA:
        return True
    if character == _AS_EMOJI:
        return after == "\u20e3" or _is_symbol(before)
    return character == _ZWJ and (before == _AS_EMOJI or _is_symbol(before)) and _is_symbol(after)


def _is_symbol(character: str) -> bool:
    # No letter or digit is a symbol, so no word can be made to look like another.
    return character in _SKIN_TONES or (character != "" and unicodedata.category(character) == "So")


def publishable_event(name: str) -> str:
    """Return *name* when a backend may publish under it; raise `ValueError` when not."""
    if name in RESERVED_EVENTS:
        raise ValueError(f"{name!r} is reserved by Socket.IO")
    return normal_name(name)


def room_name(name: str) -> str:
    """Return *name*, which is a name, when it may be a room's; raise `ValueError` when the server needs it itself."""
    if name.startswith(RESERVED_PREFIXES):
        raise ValueError(f"names that begin with {name.partition(':')[0]}: are the server's own")
    return name
