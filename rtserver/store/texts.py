"""Texts that any database takes: PostgreSQL has no character 0 in one, and half a surrogate pair is no UTF-8."""

from __future__ import annotations

import re
from typing import overload

from sqlalchemy import Dialect, Text
from sqlalchemy.types import TypeDecorator

_AWKWARD = re.compile("[\\\\\0\ud800-\udfff]")
_WRITTEN = re.compile(r"\\([0-9a-f]{4})")


@overload
def escaped(value: str) -> str: ...
@overload
def escaped(value: str | None) -> str | None: ...
def escaped(value: str | None) -> str | None:
    """Return the text with what PostgreSQL refuses written as a backslash and four digits."""
    if value is None:
        return None
    return _AWKWARD.sub(lambda found: f"\\{ord(found[0]):04x}", value)


def unescaped(value: str) -> str:
    """Undo `escaped`."""
    return _WRITTEN.sub(lambda found: chr(int(found[1], 16)), value)


class AnyText(TypeDecorator[str]):
    """A text that is given back as it was, whatever is in it."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """See SQLAlchemy."""
        return escaped(value) if dialect.name == "postgresql" and value is not None else value

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        """See SQLAlchemy."""
        return unescaped(value) if dialect.name == "postgresql" and value is not None else value
