"""Durations and sizes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtserver.config.units import format_duration, format_size, parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250ms", 0.25), ("30s", 30), ("5m", 300), ("24h", 86400), ("30d", 2592000), ("1.5h", 5400), ("0s", 0)],
)
def test_durations_of_the_contract(text: str, seconds: float) -> None:
    """Every unit of a duration means its number of seconds."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "size"),
    [("500", 500), ("500B", 500), ("64KB", 64000), ("64KiB", 65536), ("1MB", 10**6), ("4MiB", 4 * 2**20)],
)
def test_sizes_of_the_contract(text: str, size: int) -> None:
    """KB and MB are powers of 1000, KiB and MiB powers of 1024."""
    assert parse_size(text) == size


@pytest.mark.parametrize("plain", [0, 7, 2.5])
def test_a_plain_number_is_seconds(plain: float) -> None:
    """A number without a unit is taken as seconds."""
    assert parse_duration(plain) == plain


@pytest.mark.parametrize(
    "nonsense",
    ["", "s", "5 minutes", "-1s", "1:30", "1h30m", "1e3s", "٣s", "9" * 5000 + "s", True, None, [], -1,
     float("nan"), float("inf")],
)  # fmt: skip
def test_what_is_no_duration(nonsense: object) -> None:
    """Anything that is not a duration raises ValueError with the same plain sentence."""
    with pytest.raises(ValueError, match="must be a duration such as 250ms"):
        parse_duration(nonsense)


@pytest.mark.parametrize("nonsense", ["", "KB", "1kb", "1 TB", "-1KB", True, None, "9" * 5000])
def test_what_is_no_size(nonsense: object) -> None:
    """Anything that is not a size raises ValueError with a plain sentence."""
    with pytest.raises(ValueError, match="must be a size such as"):
        parse_size(nonsense)


def test_half_a_byte_is_refused() -> None:
    """A size has to come out as a whole number of bytes, and may be written with a fraction that does."""
    assert parse_size("1.5KB") == 1500
    with pytest.raises(ValueError, match="whole number of bytes"):
        parse_size("1.5B")


@given(st.integers(min_value=0, max_value=10**11))
def test_a_written_duration_reads_back(milliseconds: int) -> None:
    """What format_duration writes, parse_duration reads as the same number of seconds."""
    seconds = parse_duration(f"{milliseconds}ms")
    assert parse_duration(format_duration(seconds)) == seconds


@given(st.integers(min_value=0, max_value=2**50))
def test_a_written_size_reads_back(size: int) -> None:
    """What format_size writes, parse_size reads as the same number of bytes."""
    assert parse_size(format_size(size)) == size


@given(st.one_of(st.text(), st.integers(), st.floats(), st.none(), st.booleans(), st.binary()))
def test_only_value_error(anything: object) -> None:
    """Whatever is parsed, the outcome is a number or ValueError."""
    for parse in (parse_duration, parse_size):
        try:
            assert parse(anything) >= 0
        except ValueError:
            continue
