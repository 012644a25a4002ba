"""Identifiers that sort by time, and timestamps as the wire shows them."""

from __future__ import annotations

import secrets
import time
from datetime import UTC, datetime

_MAX_COUNT = 0xFFF


def iso_timestamp(seconds: float) -> str:
    """Return *seconds* since the epoch as ISO 8601 in UTC with milliseconds and ``Z``."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Clock:
    """Wall time as ``(id, timestamp)`` pairs; the identifiers are UUIDs of version 7 (RFC 9562, section 5.7).

    The 12 bits after the version count within a millisecond (method 1 of section 6.2), and a clock that steps back
    goes on from the highest time seen, so identifiers of one process always rise.
    """

    __slots__ = ("_count", "_head", "_last_ms", "_tail", "_text", "_text_ms")

    def __init__(self) -> None:
        self._last_ms = -1
        self._count = 0
        self._head = ""
        # Random once: within a process the counter tells identifiers apart, between processes these 62 bits do.
        tail = f"{0b10 << 62 | secrets.randbits(62):016x}"
        self._tail = f"{tail[:4]}-{tail[4:]}"
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
            self._start(millis)
        elif self._count == _MAX_COUNT:
            self._start(self._last_ms + 1)
        else:
            self._count += 1
        return f"{self._head}{self._count:03x}-{self._tail}"

    def _start(self, millis: int) -> None:
        self._last_ms, self._count = millis, 0
        text = f"{millis:012x}"
        self._head = f"{text[:8]}-{text[8:]}-7"
