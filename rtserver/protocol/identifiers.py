"""Identifiers that sort by time, and timestamps as the wire shows them."""

from __future__ import annotations

import secrets
import time
from datetime import UTC, datetime


def iso_timestamp(seconds: float) -> str:
    """Return *seconds* since the epoch as ISO 8601 in UTC with milliseconds and ``Z``."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Clock:
    """Wall time as ``(id, timestamp)`` pairs; the identifiers are UUIDs of version 7 (RFC 9562, section 5.7).

    The 12 bits after the version count within a millisecond (method 1 of section 6.2), and a clock that steps back
    goes on from the highest time seen, so identifiers of one process always rise.
    """

    __slots__ = ("_count", "_last_ms", "_tail", "_text", "_text_ms")

    def __init__(self) -> None:
        self._last_ms = 0
        self._count = 0
        self._tail = secrets.randbits(62)
        self._text_ms = -1
        self._text = ""

    def timestamp(self, now: float | None = None) -> str:
        """Return the time as `iso_timestamp`, formatted once per millisecond."""
        millis = int((time.time() if now is None else now) * 1000)
        if millis != self._text_ms:
            self._text_ms = millis
            self._text = iso_timestamp(millis / 1000)
        return self._text

    def identifier(self, now: float | None = None) -> str:
        """Return a new identifier; later ones compare greater."""
        millis = int((time.time() if now is None else now) * 1000)
        if millis > self._last_ms:
            self._last_ms, self._count = millis, 0
        else:
            self._count += 1
            if self._count > 0xFFF:
                self._last_ms, self._count = self._last_ms + 1, 0
        # An odd step walks through all 2**62 values before one comes again.
        self._tail = (self._tail + 0x1E3779B97F4A7C15) & 0x3FFFFFFFFFFFFFFF
        whole = self._last_ms << 80 | 0x7 << 76 | self._count << 64 | 0b10 << 62 | self._tail
        text = f"{whole:032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
