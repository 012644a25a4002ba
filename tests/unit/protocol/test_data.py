"""What may be said as ``data``."""

from __future__ import annotations

from typing import Any

import pytest

from rtserver.protocol.data import MAX_DEPTH, sound_data

DEEPEST: Any = 1
for _ in range(MAX_DEPTH):
    DEEPEST = [DEEPEST]


@pytest.mark.parametrize(
    "value", [{"_placeholder": True, "num": 0}, [{"a": {"_placeholder": True}}], [DEEPEST], {"a": DEEPEST}]
)
def test_what_breaks_the_others_clients(value: Any) -> None:
    """What poses as a binary placeholder, or nests more deeply than every client bears, is refused."""
    with pytest.raises(ValueError, match="must not"):
        sound_data(value)


@pytest.mark.parametrize("value", [None, 0, "x", b"x", DEEPEST, {"_placeholder": False}, {"_placeholder": 1}])
def test_what_does_not(value: Any) -> None:
    """Everything else passes as it is."""
    assert sound_data(value) is value
