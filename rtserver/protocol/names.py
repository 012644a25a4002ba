"""Names of rooms, topics, clients and events: what is one, and which are reserved.

Names are compared after Unicode normalisation (NFC, UAX #15), so that two spellings of one name are one room.
Control characters and the bidirectional controls of UAX #9 are refused: they make a name look like another's.
"""

from __future__ import annotations

import unicodedata

MAX_LENGTH = 128

# Names that Socket.IO keeps for itself: a client that sends one is disconnected, as by its reference server,
# and no entrance may publish under one.
RESERVED_EVENTS = frozenset(
    {"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"}
)

_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_REFUSED_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})


def normal_name(name: str) -> str:
    """Return *name* in NFC; raise `ValueError` when it is empty, too long, or holds a refused character."""
    # First of all: normalising a long run of combining marks takes quadratic time. In NFC a character comes from at
    # most four (UAX #15, section 12.1), so nothing that could become a name is refused here.
    if len(name) > 4 * MAX_LENGTH:
        raise ValueError(f"must have at most {MAX_LENGTH} characters")
    if not (name.isascii() and name.isprintable()):
        name = unicodedata.normalize("NFC", name)
        for character in name:
            if character in _BIDI or unicodedata.category(character) in _REFUSED_CATEGORIES:
                raise ValueError(f"must not contain control or bidi characters (U+{ord(character):04X})")
    if not name.strip():
        raise ValueError("must not be empty")
    if len(name) > MAX_LENGTH:
        raise ValueError(f"must have at most {MAX_LENGTH} characters")
    return name


def publishable_event(name: str) -> str:
    """Return *name* when a backend may publish under it; raise `ValueError` when not."""
    if name in RESERVED_EVENTS:
        raise ValueError(f"{name!r} is reserved by Socket.IO")
    return normal_name(name)
