"""Patterns over names: ``*`` stands for any run of characters, ``?`` for one; everything else for itself."""

from __future__ import annotations

import re
from collections.abc import Iterable


class Patterns:
    """A set of patterns, matched as one expression against the whole name."""

    __slots__ = ("_expression",)

    def __init__(self, patterns: Iterable[str]) -> None:
        parts = [_translate(pattern) for pattern in patterns]
        self._expression = re.compile("|".join(f"(?:{part})" for part in parts), re.DOTALL) if parts else None

    def match(self, name: str) -> bool:
        """Tell whether any of the patterns covers *name*."""
        return self._expression is not None and self._expression.fullmatch(name) is not None


def _translate(pattern: str) -> str:
    """Return the expression of one pattern; it takes linear time per run between stars, whatever the name.

    fnmatch is not used: it gives ``[`` a meaning, and room names may well contain one.
    """
    first, *rest = (re.escape(run).replace(r"\?", ".") for run in pattern.split("*"))
    if not rest:
        return first
    *middle, last = rest
    # Atomic: once a run is found at its first place, no other place can help what follows.
    return first + "".join(f"(?>.*?{run})" for run in middle) + f".*{last}"
