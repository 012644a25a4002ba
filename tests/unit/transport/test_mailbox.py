"""What one client asked for and is not done yet."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from rtserver.transport.mailbox import DONE, HIGH, LOW, Mailbox, carry_on


class _Line:
    """A line that can be paused, and a mailbox on it."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.done: list[Any] = []
        self.mailbox = Mailbox(lambda: self.calls.append("pause"), lambda: self.calls.append("resume"))

    def waiting(self, name: Any, gate: asyncio.Event) -> Callable[[], Awaitable[None]]:
        """Return a job that waits for *gate*."""

        async def job() -> None:
            await gate.wait()
            self.done.append(name)

        return job

    def quick(self, name: Any) -> Callable[[], None]:
        """Return a job that is done when it is called."""
        return lambda: self.done.append(name)

    async def idle(self) -> None:
        """Wait until the mailbox has nothing to do."""
        while self.mailbox.busy:
            await asyncio.sleep(0)


async def test_jobs_run_one_after_the_other() -> None:
    """In the order they came, each begins when the one before is done, whether it waits or not."""
    line, first, second = _Line(), asyncio.Event(), asyncio.Event()
    line.mailbox.run(line.waiting(1, first)())
    line.mailbox.put(line.quick(2))
    line.mailbox.put(line.waiting(3, second))
    line.mailbox.put(line.quick(4))
    assert line.mailbox.busy
    second.set()
    await asyncio.sleep(0)
    assert line.done == []
    first.set()
    await line.idle()
    assert line.done == [1, 2, 3, 4]


async def test_it_is_idle_in_between_and_can_be_used_again() -> None:
    """A mailbox without work holds no task."""
    line, gate = _Line(), asyncio.Event()
    gate.set()
    assert not line.mailbox.busy
    for round_ in range(3):
        line.mailbox.run(line.waiting(round_, gate)())
        assert line.mailbox.busy
        await line.idle()
    assert line.done == [0, 1, 2]


async def test_a_job_put_by_a_job_runs_after_it() -> None:
    """What a handler causes for its own client waits its turn."""
    line, gate = _Line(), asyncio.Event()

    def job() -> None:
        line.mailbox.put(line.quick("caused"))
        line.done.append("cause")

    line.mailbox.run(line.waiting(1, gate)())
    line.mailbox.put(job)
    line.mailbox.put(line.quick("next"))
    gate.set()
    await line.idle()
    assert line.done == [1, "cause", "next", "caused"]


async def test_the_line_is_paused_when_full_and_resumed_when_low() -> None:
    """Once each: at HIGH waiting jobs, and when no more than LOW are left."""
    line, gate = _Line(), asyncio.Event()
    left: list[int] = []
    line.mailbox._resume = lambda: left.append(len(line.mailbox._jobs))
    line.mailbox.run(line.waiting("first", gate)())
    for number in range(HIGH - 1):
        line.mailbox.put(line.quick(number))
    assert line.calls == []
    for number in range(HIGH - 1, HIGH + 20):
        line.mailbox.put(line.quick(number))
    assert line.calls == ["pause"]
    gate.set()
    await line.idle()
    assert line.calls == ["pause"]
    assert left == [LOW]
    assert line.done == ["first", *range(HIGH + 20)]


async def test_it_can_fill_again() -> None:
    """Pause and resume alternate however often it fills."""
    line = _Line()
    for _ in range(3):
        gate = asyncio.Event()
        line.mailbox.run(line.waiting("first", gate)())
        for number in range(HIGH):
            line.mailbox.put(line.quick(number))
        gate.set()
        await line.idle()
    assert line.calls == ["pause", "resume"] * 3


async def test_a_job_that_fails_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    """First, later, at once or while waiting: it is logged, and the next one runs."""
    line = _Line()

    async def fails() -> None:
        await asyncio.sleep(0)
        raise RuntimeError("while waiting")

    def fails_at_once() -> None:
        raise RuntimeError("at once")

    line.mailbox.run(fails())
    line.mailbox.put(fails_at_once)
    line.mailbox.put(fails)
    line.mailbox.put(line.quick("after"))
    with caplog.at_level(logging.ERROR):
        await line.idle()
    assert line.done == ["after"]
    assert [record.message for record in caplog.records] == ["a job failed"] * 3


async def test_failing_at_once_while_paused_still_resumes(caplog: pytest.LogCaptureFixture) -> None:
    """Jobs that only fail empty the mailbox as well."""
    line, gate = _Line(), asyncio.Event()

    def fails() -> None:
        raise RuntimeError("no")

    line.mailbox.run(line.waiting("first", gate)())
    for _ in range(HIGH):
        line.mailbox.put(fails)
    gate.set()
    with caplog.at_level(logging.CRITICAL):
        await line.idle()
    assert line.calls == ["pause", "resume"]


async def test_giving_up_the_running_job(caplog: pytest.LogCaptureFixture) -> None:
    """The one that hangs is cancelled and logged; those that wait still run."""
    line, never = _Line(), asyncio.Event()
    line.mailbox.run(line.waiting("hangs", never)())
    line.mailbox.put(line.quick("waits"))
    await asyncio.sleep(0)
    with caplog.at_level(logging.WARNING):
        line.mailbox.cancel()
        await line.idle()
    assert line.done == ["waits"]
    assert "given up" in caplog.text


async def test_giving_up_before_it_began(caplog: pytest.LogCaptureFixture) -> None:
    """Cancelled in the very turn it was started, a mailbox still does the rest, and is idle after it."""
    line, gate = _Line(), asyncio.Event()
    gate.set()
    line.mailbox.run(asyncio.ensure_future(line.waiting("first", gate)()))
    line.mailbox.put(line.quick("rest"))
    with caplog.at_level(logging.CRITICAL):
        line.mailbox.cancel()
        for _ in range(20):
            await asyncio.sleep(0)
    assert "rest" in line.done
    assert not line.mailbox.busy


async def test_giving_up_when_idle_is_nothing() -> None:
    """There is nothing to cancel."""
    line = _Line()
    line.mailbox.cancel()
    assert not line.mailbox.busy


async def test_what_is_done_can_be_awaited() -> None:
    """DONE is over at once, as often as one likes."""
    assert await DONE is None  # type: ignore[func-returns-value]
    assert await DONE is None  # type: ignore[func-returns-value]


# A coroutine stepped by hand.


def _step(coroutine: Any) -> Any:
    """Step *coroutine* to its first wait, and return what carries it on."""
    return carry_on(coroutine, coroutine.send(None))


async def test_the_result_passes_through() -> None:
    """Several waits, then a value, which is the awaiter's."""
    seen: list[int] = []

    async def work() -> str:
        for number in range(3):
            await asyncio.sleep(0)
            seen.append(number)
        return "result"

    assert await _step(work()) == "result"
    assert seen == [0, 1, 2]


async def test_waiting_for_a_future_works() -> None:
    """What the coroutine waits for is waited for by the task that carries it on, and its value comes back."""
    future = asyncio.get_running_loop().create_future()

    async def work() -> str:
        return "got " + await future

    task = asyncio.ensure_future(_step(work()))
    await asyncio.sleep(0)
    assert not task.done()
    future.set_result("it")
    assert await task == "got it"


async def test_an_exception_passes_through() -> None:
    """Out of the coroutine to the awaiter, and into it from what it waits for."""
    future = asyncio.get_running_loop().create_future()
    inside: list[str] = []

    async def work() -> None:
        try:
            await future
        except ValueError as error:
            inside.append(str(error))
            raise KeyError("outside") from error

    task = asyncio.ensure_future(_step(work()))
    await asyncio.sleep(0)
    future.set_exception(ValueError("inside"))
    with pytest.raises(KeyError, match="outside"):
        await task
    assert inside == ["inside"]


async def test_cancellation_passes_through() -> None:
    """The coroutine is told, may clean up, and the task counts as cancelled."""
    cleaned: list[bool] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.append(True)

    task = asyncio.ensure_future(_step(work()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cleaned == [True]


async def test_a_coroutine_may_refuse_to_be_cancelled() -> None:
    """What it makes of the cancellation is its own affair."""

    async def work() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            return "went on"
        return ""

    task = asyncio.ensure_future(_step(work()))
    await asyncio.sleep(0)
    task.cancel()
    assert await task == "went on"


async def test_timeouts_work_inside() -> None:
    """asyncio.timeout inside the coroutine, begun under the task that goes on, ends what it should."""

    async def work() -> str:
        await asyncio.sleep(0)
        try:
            async with asyncio.timeout(0):
                await asyncio.Event().wait()
        except TimeoutError:
            return "timed out"
        return ""

    assert await asyncio.ensure_future(_step(work())) == "timed out"
