"""What one client asked for and is not done yet: in order, one at a time, bounded."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Generator
from types import coroutine
from typing import Any

_log = logging.getLogger("rtserver.mailbox")

# How many jobs may wait before the client's line is paused, and how few must be left for it to go on.
HIGH, LOW = 64, 16


class Mailbox:
    """Runs jobs one after the other. *pause* and *resume* are called when it fills and when it empties."""

    __slots__ = ("_jobs", "_pause", "_paused", "_resume", "_task")

    def __init__(self, pause: Callable[[], None], resume: Callable[[], None]) -> None:
        self._jobs: deque[Callable[[], Awaitable[Any] | None]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._pause = pause
        self._resume = resume
        self._paused = False

    @property
    def busy(self) -> bool:
        """Tell whether a job runs or waits: then a new one must wait too."""
        return self._task is not None

    def run(self, first: Awaitable[Any]) -> None:
        """Start with a job that is already under way. The mailbox must not be busy."""
        self._task = asyncio.ensure_future(self._work(first))

    def put(self, job: Callable[[], Awaitable[Any] | None]) -> None:
        """Let *job* run after those before it; it may return something to wait for."""
        self._jobs.append(job)
        if not self._paused and len(self._jobs) >= HIGH:
            self._paused = True
            self._pause()

    def cancel(self) -> None:
        """Give up the running job; those that wait still run."""
        if self._task is not None:
            # Not at once: a task that is cancelled before its first step never gets to those that wait.
            self._task.get_loop().call_soon(self._task.cancel)

    async def _work(self, job: Awaitable[Any] | None) -> None:
        while True:
            try:
                if job is not None:
                    await job
            except asyncio.CancelledError:
                _log.warning("a job was given up because its client is gone")
            except Exception:
                _log.exception("a job failed")
            job = None
            if not self._jobs:
                self._task = None
                return
            try:
                job = self._jobs.popleft()()
            except Exception:
                _log.exception("a job failed")
            if self._paused and len(self._jobs) <= LOW:
                self._paused = False
                self._resume()


@coroutine
def carry_on(started: Any, awaited: Any) -> Generator[Any, Any, Any]:
    """Go on with a coroutine that was stepped by hand until it first waited for *awaited*.

    Most handlers never wait, and stepping them at once spares a task each. One that does is finished here.
    """
    while True:
        try:
            value = yield awaited
        except BaseException as error:
            step = started.throw, error
        else:
            step = started.send, value
        try:
            awaited = step[0](step[1])
        except StopIteration as stop:
            return stop.value


class _Done:
    """Something to await that is already there."""

    def __await__(self) -> Generator[None, None, None]:
        return
        yield


DONE = _Done()
