"""What an attempt's answer means, and when the next attempt is due. Pure: chance and time are arguments.

Standard Webhooks 1.0.0, "Deliverability and reliability"; Retry-After is RFC 9110, section 10.2.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Literal, NamedTuple

from rtserver.store.base import State

Happening = Literal["accepted", "failed", "exhausted", "target disabled", "retried by command"]

TRANSITIONS: dict[tuple[State, Happening], State] = {
    ("pending", "accepted"): "delivered",
    ("pending", "failed"): "pending",
    ("pending", "exhausted"): "dead",
    ("pending", "target disabled"): "dead",
    ("pending", "retried by command"): "pending",
    ("dead", "retried by command"): "pending",
    ("delivered", "retried by command"): "pending",
}
"""The life of a delivery. What is not here cannot happen; a dropped delivery is gone."""

TARGET_DISABLED = "target_disabled"
# What a target may ask us to wait, and how long one that gives no time is left alone.
LONGEST_PAUSE = 86400.0
DEFAULT_PAUSE, SHORT_PAUSE = 60.0, 1.0
# Answers that ask for time, and for how long after its event a delivery gives it without losing an attempt.
ASKING, LONGEST_PATIENCE = (429, 503), 86400.0


class Answer(NamedTuple):
    """What came of an attempt: a status with perhaps a Retry-After in seconds, or an error in words."""

    status: int | None
    retry_after: float | None = None
    error: str | None = None


class Verdict(NamedTuple):
    """What an answer means: was it *accepted*; if not, why, and does it speak for the whole target?

    *pauses* is a target that wants nothing for now, *disables* one that wants nothing ever.
    """

    accepted: bool
    error: str | None = None
    pauses: bool = False
    disables: bool = False


STATUSES: tuple[tuple[range, Verdict], ...] = (
    (range(200, 300), Verdict(accepted=True)),
    (range(300, 400), Verdict(accepted=False, error="redirects are not followed")),
    (range(410, 411), Verdict(accepted=False, error=TARGET_DISABLED, disables=True)),
    (range(429, 430), Verdict(accepted=False, error="too many requests", pauses=True)),
    (range(400, 500), Verdict(accepted=False, error="refused")),
    (range(503, 504), Verdict(accepted=False, error="unavailable", pauses=True)),
    (range(500, 600), Verdict(accepted=False, error="failed")),
)
"""The first row that has the status counts."""
_ODD = Verdict(accepted=False, error="an odd status")


def judge(answer: Answer) -> Verdict:
    """Return what the answer means."""
    if answer.status is None:
        return Verdict(accepted=False, error=answer.error or "failed")
    verdict = next((verdict for codes, verdict in STATUSES if answer.status in codes), _ODD)
    if verdict.accepted or verdict.disables:
        return verdict
    return verdict._replace(
        error=f"{answer.status} {verdict.error}", pauses=verdict.pauses or answer.retry_after is not None
    )


class Step(NamedTuple):
    """Where a delivery stands after an attempt. *wait* is for one that is pending again, in seconds."""

    state: State
    wait: float = 0.0


def after(
    verdict: Verdict,
    attempts: int,
    schedule: Sequence[float],
    jitter: float,
    asked: float | None,
    chance: float,
) -> Step:
    """Return the step after the *attempts*-th attempt.

    *asked* is the target's Retry-After, *chance* a random number from 0 to 1 that places the wait in the jitter.
    """
    if verdict.accepted:
        return Step(TRANSITIONS["pending", "accepted"])
    if verdict.disables:
        return Step(TRANSITIONS["pending", "target disabled"])
    if attempts > len(schedule):
        return Step(TRANSITIONS["pending", "exhausted"])
    wait = schedule[attempts - 1] * (1 + jitter * (2 * chance - 1))
    return Step(TRANSITIONS["pending", "failed"], max(wait, asked or 0.0))


def put_off(
    answer: Answer, attempts: int, schedule: Sequence[float], jitter: float, age: float, chance: float
) -> Step | None:
    """Return the step after a target asked for time by Retry-After, which uses up nothing; None when it does.

    *attempts* is how many were counted before, *age* how long ago it was that the event happened, in seconds. Planned
    maintenance must kill nothing, and a target that asks for ever must not keep everything for ever.
    """
    if answer.status not in ASKING or answer.retry_after is None or not schedule or age >= LONGEST_PATIENCE:
        return None
    planned = schedule[min(attempts, len(schedule) - 1)] * (1 + jitter * (2 * chance - 1))
    return Step(TRANSITIONS["pending", "failed"], max(planned, answer.retry_after))


def pause(asked: float | None, wait: float) -> float:
    """Return how long a target that asked for a pause is left alone, when its delivery waits for *wait* seconds."""
    # One that will not be tried again does not wait, but its target does.
    return asked if asked is not None else min(wait or SHORT_PAUSE, DEFAULT_PAUSE)


def retry_after(value: str | None, now: float) -> float | None:
    """Return the seconds that a Retry-After header asks for; None for no header, or one that says nothing."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return min(float(text), LONGEST_PAUSE)
    try:
        at = parsedate_to_datetime(text)
        # The oldest of the three forms names no zone, and means UTC (RFC 9110, section 5.6.7).
        seconds = (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
    return min(max(seconds - now, 0.0), LONGEST_PAUSE)
