"""Durations and sizes as people write them.

A duration is a number with `ms`, `s`, `m`, `h` or `d`, and becomes seconds as a float. A size is a number
with `B`, `KB`, `MB`, `GB` (powers of 1000) or `KiB`, `MiB`, `GiB` (powers of 1024), and becomes bytes as an
int. Plain numbers are seconds and bytes. Everything else raises ValueError with a message fit for an
operator.
"""

import math
import re
from collections.abc import Callable

_NUMBER = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", re.ASCII)
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "": 1}
_BYTES = {
    "B": 1, "KB": 1000, "MB": 1000**2, "GB": 1000**3, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3, "": 1,
}  # fmt: skip
_DURATION_HELP = "must be a duration such as 250ms, 30s, 5m or 24h"
_SIZE_HELP = "must be a size such as 500, 64KB (64000 bytes) or 64KiB (65536 bytes)"


def parse_duration(value: object) -> float:
    """Seconds in `value`: a number, or text such as `250ms`. Raises ValueError."""
    seconds = _scaled(value, _SECONDS, _DURATION_HELP)
    # 0.25 reads better than 0.250000000000000001; nothing here needs less than a microsecond.
    return round(seconds, 6)


def at_most(longest: float) -> Callable[[float], float]:
    """Make a check for durations up to *longest* seconds."""

    def check(seconds: float) -> float:
        if seconds > longest:
            raise ValueError(f"must be at most {format_duration(longest)}")
        return seconds

    return check


def parse_size(value: object) -> int:
    """Bytes in `value`: a whole number, or text such as `64KB`. Raises ValueError."""
    size = _scaled(value, _BYTES, _SIZE_HELP)
    if size != int(size):
        raise ValueError("must be a whole number of bytes")
    return int(size)


def format_duration(seconds: float) -> str:
    """Write `seconds` in the largest unit that keeps the number whole, as `parse_duration` reads it back."""
    for unit in ("d", "h", "m", "s"):
        if seconds and seconds % _SECONDS[unit] == 0:
            return f"{int(seconds // _SECONDS[unit])}{unit}"
    milliseconds = round(seconds * 1000, 3)
    return f"{int(milliseconds)}ms" if milliseconds == int(milliseconds) else f"{milliseconds}ms"


def format_size(size: int) -> str:
    """Write `size` bytes in the largest unit that keeps the number whole, as `parse_size` reads it back."""
    for unit in ("GiB", "GB", "MiB", "MB", "KiB", "KB"):
        if size and size % _BYTES[unit] == 0:
            return f"{size // _BYTES[unit]}{unit}"
    return f"{size}B"


def _scaled(value: object, scale: dict[str, float] | dict[str, int], complaint: str) -> float | int:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(complaint)
    if isinstance(value, str):
        found = _NUMBER.fullmatch(value.strip())
        if found is None or found[2] not in scale:
            raise ValueError(complaint)
        number: float | int = float(found[1]) if "." in found[1] else _whole(found[1], complaint)
        value = number * scale[found[2]]
    if value < 0 or value > _LARGEST or math.isnan(value):
        raise ValueError(complaint)
    return value


# A century in seconds, 9 petabytes: beyond that it is a mistake, and floats stop being exact.
_LARGEST = 2**53


def _whole(digits: str, complaint: str) -> int:
    # Python refuses to convert thousands of digits with a message of its own, about Python.
    if len(digits) > 20:
        raise ValueError(complaint)
    return int(digits)
