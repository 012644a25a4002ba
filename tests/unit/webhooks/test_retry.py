"""Verdicts on answers, schedules, and Retry-After. The tables here are written from the contract, not from the code."""

from __future__ import annotations

import itertools
import math
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtserver.webhooks.retry import (
    DEFAULT_PAUSE,
    LONGEST_PATIENCE,
    LONGEST_PAUSE,
    TRANSITIONS,
    Answer,
    Step,
    Verdict,
    after,
    judge,
    pause,
    put_off,
    retry_after,
)

NOW = 1_700_000_000.0
FAILED = Verdict(accepted=False, error="failed")
CHANCES = st.floats(0, 1)
SCHEDULES = st.lists(st.floats(0, 100_000), max_size=12)


def meant(status: int) -> str:
    """What the contract says about a status: accepted, gone, paused, or tried again."""
    if 200 <= status <= 299:
        return "accepted"
    if status == 410:
        return "gone"
    if status in (429, 503):
        return "paused"
    return "again"


class TestVerdicts:
    """What an answer means."""

    @pytest.mark.parametrize("status", range(100, 600))
    def test_every_status(self, status: int) -> None:
        """Every status from 100 to 599 means what the contract says, and a refusal says why, with the status."""
        verdict = judge(Answer(status))
        expected = {
            "accepted": (True, False, False),
            "gone": (False, False, True),
            "paused": (False, True, False),
            "again": (False, False, False),
        }[meant(status)]
        assert (verdict.accepted, verdict.pauses, verdict.disables) == expected
        if meant(status) == "accepted":
            assert verdict.error is None
        elif meant(status) == "gone":
            assert verdict.error == "target_disabled"
        else:
            assert verdict.error is not None
            assert str(status) in verdict.error

    @pytest.mark.parametrize("status", [0, 1, 99, 600, 999, 1000])
    def test_no_statuses(self, status: int) -> None:
        """A number that is no status is a failure that is tried again."""
        verdict = judge(Answer(status))
        assert (verdict.accepted, verdict.pauses, verdict.disables) == (False, False, False)
        assert verdict.error

    @pytest.mark.parametrize(
        "error", ["no answer within 10 s", "connection refused", "certificate verify failed", "", None]
    )
    def test_errors(self, error: str | None) -> None:
        """Without an answer the delivery is tried again, and the reason is kept; there is always one."""
        verdict = judge(Answer(None, error=error))
        assert verdict == Verdict(accepted=False, error=error or verdict.error)
        assert verdict.error

    @pytest.mark.parametrize("status", range(100, 600))
    @pytest.mark.parametrize("seconds", [0.0, 5.0])
    def test_retry_after_pauses(self, status: int, seconds: float) -> None:
        """A Retry-After pauses the target, with any status but those that accept or end it."""
        verdict = judge(Answer(status, seconds))
        assert verdict.pauses is (meant(status) in ("paused", "again"))
        assert verdict.accepted is (meant(status) == "accepted")
        assert verdict.disables is (meant(status) == "gone")


class TestTransitions:
    """The life of a delivery."""

    def test_what_can_happen(self) -> None:
        """A delivery comes to an end, and only a command brings it back; there is nothing else."""
        ends = {(before, now) for (before, _), now in TRANSITIONS.items()}
        assert ends == {
            ("pending", "pending"),
            ("pending", "delivered"),
            ("pending", "dead"),
            ("dead", "pending"),
            ("delivered", "pending"),
        }
        assert {what for (before, what), _ in TRANSITIONS.items() if before in ("dead", "delivered")} == {
            "retried by command"
        }
        assert {now for (_, what), now in TRANSITIONS.items() if what == "accepted"} == {"delivered"}

    @given(
        st.builds(Answer, st.none() | st.integers(100, 599), st.none() | st.floats(0, 86400)),
        st.integers(1, 20),
        SCHEDULES,
        st.floats(0, 1),
        CHANCES,
    )
    def test_every_step_is_in_the_table(
        self, answer: Answer, attempts: int, schedule: list[float], jitter: float, chance: float
    ) -> None:
        """Whatever is answered, a pending delivery goes where the table says."""
        step = after(judge(answer), attempts, schedule, jitter, answer.retry_after, chance)
        assert step.state in {now for (before, _), now in TRANSITIONS.items() if before == "pending"}
        assert (step.state == "delivered") == (
            answer.status is not None and meant(answer.status) == "accepted"
        )
        assert (step.state == "pending") == (
            not (answer.status is not None and meant(answer.status) in ("accepted", "gone"))
            and attempts <= len(schedule)
        )


class TestSchedules:
    """When the next attempt is due."""

    @given(SCHEDULES, st.floats(0, 1), CHANCES)
    def test_the_end(self, schedule: list[float], jitter: float, chance: float) -> None:
        """A delivery is dead after exactly one attempt more than the schedule has waits."""
        attempts = 1
        while after(FAILED, attempts, schedule, jitter, None, chance).state == "pending":
            attempts += 1
        assert attempts == len(schedule) + 1
        assert after(FAILED, attempts, schedule, jitter, None, chance) == Step("dead")

    @given(st.lists(st.floats(0, 100_000), min_size=1, max_size=12), st.floats(0, 1), CHANCES, st.data())
    def test_jitter(self, schedule: list[float], jitter: float, chance: float, data: st.DataObject) -> None:
        """A wait is the schedule's, give or take the jitter's share of it, and never negative."""
        attempts = data.draw(st.integers(1, len(schedule)))
        planned = schedule[attempts - 1]
        wait = after(FAILED, attempts, schedule, jitter, None, chance).wait
        slack = 1e-9 * (1 + planned)
        assert planned * (1 - jitter) - slack <= wait <= planned * (1 + jitter) + slack
        assert wait >= 0

    @pytest.mark.parametrize(("chance", "wait"), [(0.0, 9.0), (0.5, 10.0), (1.0, 11.0)])
    def test_all_of_the_jitter(self, chance: float, wait: float) -> None:
        """Chance places the wait anywhere within the jitter, both ends included."""
        assert after(FAILED, 1, [10.0], 0.1, None, chance).wait == pytest.approx(wait)

    @given(
        st.lists(st.floats(0, 100_000), min_size=1, max_size=12),
        st.floats(0, 1),
        CHANCES,
        st.floats(0, LONGEST_PAUSE),
        st.data(),
    )
    def test_never_before_retry_after(
        self, schedule: list[float], jitter: float, chance: float, asked: float, data: st.DataObject
    ) -> None:
        """No attempt comes before the time that the target asked for; otherwise its wait changes nothing."""
        attempts = data.draw(st.integers(1, len(schedule)))
        step = after(FAILED, attempts, schedule, jitter, asked, chance)
        assert step.wait >= asked
        assert step.wait in (asked, after(FAILED, attempts, schedule, jitter, None, chance).wait)

    def test_empty(self) -> None:
        """With an empty schedule there is one attempt, whatever Retry-After says."""
        assert after(FAILED, 1, [], 0.1, None, 0.5) == Step("dead")
        assert after(FAILED, 1, [], 0.1, 60.0, 0.5) == Step("dead")
        assert after(Verdict(accepted=True), 1, [], 0.1, None, 0.5) == Step("delivered")

    def test_the_schedule_of_the_contract(self) -> None:
        """The waits come in their order."""
        schedule = [1, 5, 30, 300, 1800, 7200, 18000, 36000]
        waits = [after(FAILED, attempts, schedule, 0.0, None, 0.3).wait for attempts in range(1, 9)]
        assert waits == schedule


class TestAskedForTime:
    """Answers that ask for time."""

    @given(
        st.sampled_from([429, 503]),
        st.floats(0, LONGEST_PAUSE),
        st.integers(0, 30),
        st.lists(st.floats(0, 100_000), min_size=1, max_size=12),
        CHANCES,
    )
    def test_nothing_is_used_up(
        self, status: int, asked: float, attempts: int, schedule: list[float], chance: float
    ) -> None:
        """429 and 503 with Retry-After kill nothing, however often they come: it waits, at least as long as asked."""
        step = put_off(Answer(status, asked), attempts, schedule, 0.0, LONGEST_PATIENCE - 1, chance)
        assert step is not None
        assert (step.state, step.wait) == (
            "pending",
            max(asked, schedule[min(attempts, len(schedule) - 1)]),
        )

    @pytest.mark.parametrize(
        ("answer", "schedule", "age"),
        [
            (Answer(503), [1.0], 0.0),
            (Answer(500, 5.0), [1.0], 0.0),
            (Answer(404, 5.0), [1.0], 0.0),
            (Answer(None, error="refused"), [1.0], 0.0),
            (Answer(200, 5.0), [1.0], 0.0),
            (Answer(410, 5.0), [1.0], 0.0),
            (Answer(503, 5.0), [], 0.0),
            (Answer(503, 5.0), [1.0], LONGEST_PATIENCE),
        ],
    )
    def test_what_counts(self, answer: Answer, schedule: list[float], age: float) -> None:
        """Any other answer counts, and so does one for an event of long ago, or where nothing is ever tried again."""
        assert put_off(answer, 0, schedule, 0.0, age, 0.5) is None


class TestPauses:
    """How long a target is left alone."""

    @given(st.floats(0, LONGEST_PAUSE), st.floats(0, 100_000))
    def test_as_asked(self, asked: float, wait: float) -> None:
        """Who names a time is left alone for that time."""
        assert pause(asked, wait) == asked

    @given(st.floats(0, 100_000))
    def test_without_a_time(self, wait: float) -> None:
        """Who names none is left alone for a while that is no longer than it has to be, and is never nothing."""
        assert 0 < pause(None, wait) <= DEFAULT_PAUSE


class TestRetryAfter:
    """The header, in seconds or as a date (RFC 9110, section 10.2.3)."""

    @pytest.mark.parametrize(
        ("value", "seconds"),
        [
            (None, None),
            ("0", 0.0),
            ("1", 1.0),
            (" 120 ", 120.0),
            ("007", 7.0),
            ("00000000000000000060", 60.0),
            ("86400", 86400.0),
            ("86401", 86400.0),
            ("9" * 30, 86400.0),
            ("9" * 100_000, 86400.0),
            ("-1", None),
            ("+5", None),
            ("1.5", None),
            ("1e3", None),
            ("0x10", None),
            ("12 34", None),
            ("1,2", None),
            ("٣", None),
            ("²", None),
            ("", None),
            ("   ", None),
            ("soon", None),
            ("inf", None),
            ("nan", None),
            ("Fri", None),
            ("Fri, 99 Foo 2026 99:99:99 GMT", None),
            ("\x00", None),
        ],
        ids=lambda value: repr(value)[:30],
    )
    def test_seconds(self, value: str | None, seconds: float | None) -> None:
        """Whole seconds are taken, at most a day of them; what says nothing is as if it were not there."""
        assert retry_after(value, NOW) == seconds

    @pytest.mark.parametrize(
        ("date", "seconds"),
        [
            ("Tue, 14 Nov 2023 22:13:20 GMT", 0.0),
            ("Tue, 14 Nov 2023 22:14:20 GMT", 60.0),
            ("Tue, 14 Nov 2023 22:12:20 GMT", 0.0),
            ("Sun, 06 Nov 1994 08:49:37 GMT", 0.0),
            ("Fri, 31 Dec 9999 23:59:59 GMT", 86400.0),
            ("Tuesday, 14-Nov-23 22:14:20 GMT", 60.0),
            ("Tue Nov 14 22:14:20 2023", 60.0),
            ("Tue, 14 Nov 2023 23:14:20 +0100", 60.0),
        ],
    )
    @pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "America/Los_Angeles"])
    def test_dates(self, date: str, seconds: float, zone: str) -> None:
        """A date is taken in each of the three forms of HTTP, which all are GMT, wherever the server stands."""
        with timezone(zone):
            assert retry_after(date, NOW) == seconds

    @given(st.integers(-100_000, 100_000))
    def test_any_date(self, seconds: int) -> None:
        """A date in the past asks for nothing, one in the future for the time until then, a day at most."""
        date = format_datetime(datetime.fromtimestamp(NOW + seconds, UTC), usegmt=True)
        assert retry_after(date, NOW) == min(max(seconds, 0), 86400)

    @given(st.text() | st.from_regex(r"[A-Za-z]{3}, ?[0-9]{1,3}[ -][A-Za-z]{3}[ -][0-9 :+.-]{0,30}"))
    def test_anything(self, value: str) -> None:
        """Whatever a target says, it is no error, and never more than a day or less than nothing."""
        found = retry_after(value, NOW)
        assert found is None or (0 <= found <= LONGEST_PAUSE and math.isfinite(found))


class timezone:  # noqa: N801
    """The machine stands elsewhere."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._before = os.environ.get("TZ")

    def __enter__(self) -> None:
        os.environ["TZ"] = self._name
        time.tzset()

    def __exit__(self, *exc: object) -> None:
        if self._before is None:
            del os.environ["TZ"]
        else:
            os.environ["TZ"] = self._before
        time.tzset()


@pytest.fixture(autouse=True)
def no_zone_left_behind() -> Iterator[None]:
    """Time is for others as it was."""
    before = time.tzname
    yield
    assert time.tzname == before


def test_every_kind_is_covered() -> None:
    """The table of this file speaks of every status there is, of each in one way."""
    kinds = [meant(status) for status in range(100, 600)]
    assert {kind: len(list(group)) for kind, group in itertools.groupby(sorted(kinds))} == {
        "accepted": 100,
        "again": 397,
        "gone": 1,
        "paused": 2,
    }
