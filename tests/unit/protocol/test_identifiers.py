"""Identifiers and timestamps."""

import uuid
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from rtserver.protocol.identifiers import Clock, iso_timestamp

TIMES = st.floats(min_value=0, max_value=4_000_000_000, allow_nan=False)


def test_a_timestamp_is_iso_8601_in_utc() -> None:
    """Milliseconds and Z, whatever the local time zone."""
    assert iso_timestamp(0) == "1970-01-01T00:00:00.000Z"
    assert iso_timestamp(1_700_000_000.25) == "2023-11-14T22:13:20.250Z"
    assert iso_timestamp(1_700_000_000.9996) == "2023-11-14T22:13:20.999Z"


@given(TIMES)
def test_a_timestamp_is_true_to_the_millisecond(seconds: float) -> None:
    """Reading it back gives the time it was made from, less than two milliseconds off."""
    read = datetime.fromisoformat(iso_timestamp(seconds))
    assert read.tzinfo == UTC
    assert abs(read.timestamp() - seconds) < 0.002


@given(st.lists(TIMES, max_size=20))
def test_the_clock_formats_like_the_function(times: list[float]) -> None:
    """What is remembered of the last millisecond never shows up in another."""
    clock = Clock()
    for now in times:
        assert clock.timestamp(now) == iso_timestamp(int(now * 1000) / 1000)


def test_without_an_argument_it_is_now() -> None:
    """The clock's own time is the system's."""
    clock = Clock()
    before = datetime.now(UTC).timestamp()
    made = uuid.UUID(clock.identifier()).int >> 80
    shown = datetime.fromisoformat(clock.timestamp()).timestamp()
    after = datetime.now(UTC).timestamp()
    assert before - 0.002 <= made / 1000 <= after
    assert before - 0.002 <= shown <= after


@given(st.lists(TIMES, min_size=1, max_size=50))
def test_identifiers_are_uuids_of_version_7(times: list[float]) -> None:
    """Version, variant and the 48 bits of time are where RFC 9562 wants them, in its lower-case text form."""
    clock = Clock()
    latest = 0
    for now in times:
        text = clock.identifier(now)
        read = uuid.UUID(text)
        assert str(read) == text
        assert read.version == 7
        assert read.variant == uuid.RFC_4122
        latest = max(latest, int(now * 1000))
        assert read.int >> 80 == latest


@given(st.lists(TIMES, min_size=2, max_size=100))
def test_identifiers_rise_whatever_the_clock_does(times: list[float]) -> None:
    """Time may stand still, jump or step back: each identifier is greater than the one before."""
    clock = Clock()
    made = [clock.identifier(now) for now in times]
    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_a_full_millisecond_runs_into_the_next() -> None:
    """More identifiers than the 12 bits can count in one millisecond still rise, and time goes on right after."""
    clock = Clock()
    made = [clock.identifier(1000.0) for _ in range(3 * 4096 + 5)]
    assert made == sorted(set(made))
    assert uuid.UUID(made[-1]).int >> 80 == 1_000_003
    assert clock.identifier(1000.004) > made[-1]


def test_two_processes_do_not_collide() -> None:
    """In the same millisecond the random bits keep identifiers of two clocks apart."""
    first, second = Clock(), Clock()
    assert not {first.identifier(5.0) for _ in range(1000)} & {second.identifier(5.0) for _ in range(1000)}
