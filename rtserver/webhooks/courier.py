"""Delivers to one target: takes what is due out of its backlog, sends it, and does what the verdict says."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Coroutine

from rtserver.protocol.identifiers import Clock, iso_timestamp
from rtserver.store.base import Batch, Delivery, Outbox, Outcome, StoreError
from rtserver.telemetry.log import logger
from rtserver.webhooks import condition, retry
from rtserver.webhooks.backlog import Backlog, Parcel
from rtserver.webhooks.complaints import Complaints
from rtserver.webhooks.condition import Condition
from rtserver.webhooks.events import batch_body
from rtserver.webhooks.feed import Feed
from rtserver.webhooks.journal import Journal
from rtserver.webhooks.sender import Sender
from rtserver.webhooks.targets import Target

_log = logger("webhooks")

# What of a target's deliveries is held in memory; the rest is read when there is room.
MAX_ENTRIES, MAX_BYTES = 10_000, 32_000_000
# How long a store that fails is left alone, in seconds.
_STORE_PAUSE = 1.0

Counted = Callable[[str, str, int], None]


class Courier:
    """One target's deliveries. *counted* is told of each attempt: target, outcome, how many deliveries it carried."""

    def __init__(
        self, target: Target, outbox: Outbox, journal: Journal, sender: Sender, clock: Clock, counted: Counted
    ) -> None:
        self.target = target
        self._outbox = outbox
        self._journal = journal
        self._sender = sender
        self._clock = clock
        self._counted = counted
        self._backlog = Backlog(target.bundling, MAX_ENTRIES, MAX_BYTES)
        self._feed = Feed(target, self._backlog, outbox, journal)
        self._condition = Condition(target.concurrency)
        self._complaints = Complaints()
        self._wake = asyncio.Event()
        self._attempts: set[asyncio.Task[None]] = set()

    @property
    def idle(self) -> bool:
        """Tell whether nothing is under way, and nothing will be soon."""
        soon = _now() + condition.GAP
        if self._attempts or self._feed.stale:
            return False
        if self.target.disabled is not None or self._condition.closed_until > soon:
            return True
        due = self._backlog.next_due()
        return not self._feed.behind and (due is None or due > soon)

    def add(self, delivery: Delivery) -> None:
        """Take a delivery that was just committed."""
        if self._feed.offer(delivery, _now()):
            self._wake.set()

    def read_anew(self) -> None:
        """Forget what is in memory and read the outbox from its beginning: something was changed there."""
        self._feed.stale = True
        self._wake.set()

    def enable(self) -> None:
        """Deliver again."""
        self.target.disabled = None
        self._condition.reset()
        self.read_anew()

    def disable(self, why: str) -> None:
        """Deliver no more: another node was answered 410."""
        self.target.disabled = why
        self._begin(self._bury(why))

    async def run(self) -> None:
        """Deliver, until cancelled."""
        try:
            await asyncio.to_thread(self._sender.open)
            while True:
                self._wake.clear()
                # What is at hand goes before anything is read.
                self._send_due()
                await self._fill()
                self._send_due()
                await self._rest()
        finally:
            for attempt in self._attempts:
                attempt.cancel()
            await asyncio.gather(*self._attempts, return_exceptions=True)
            await self._sender.close()

    async def _fill(self) -> None:
        try:
            # What is out must be settled first.
            if self._feed.stale and not self._attempts:
                await self._feed.restart(_now())
            if not self._feed.stale:
                await self._feed.fill(_now())
        except StoreError as error:
            _log.warning("the outbox cannot be read", target=self.target.name, why=str(error))
            await asyncio.sleep(_STORE_PAUSE)
            self._wake.set()
        except Exception:
            # Whatever it was, the outbox still has everything.
            _log.exception("the outbox was read in an unforeseen way", target=self.target.name)
            await asyncio.sleep(_STORE_PAUSE)
            self.read_anew()

    def _send_due(self) -> None:
        while self._free():
            parcel = self._backlog.take(_now())
            if parcel is None:
                return
            self._begin(self._deliver(parcel))

    def _free(self) -> bool:
        if self.target.disabled is not None or self._feed.stale or self._journal.congested:
            return False
        return _now() >= self._condition.closed_until and len(self._attempts) < self._condition.concurrency

    async def _rest(self) -> None:
        """Wait until something happens or falls due."""
        now = _now()
        wait = _STORE_PAUSE if self._journal.congested else None
        due = self._backlog.next_due()
        if self._free() and due is not None:
            wait = due - now
        elif self._condition.closed_until > now:
            wait = self._condition.closed_until - now
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if wait is None else max(wait, 0.0)):
                await self._wake.wait()

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        attempt = asyncio.ensure_future(work)
        self._attempts.add(attempt)
        attempt.add_done_callback(self._over)

    def _over(self, attempt: asyncio.Task[None]) -> None:
        self._attempts.discard(attempt)
        self._wake.set()

    # One attempt.

    async def _deliver(self, parcel: Parcel) -> None:
        try:
            self._settle(parcel, await self._attempt(parcel))
        except Exception:
            _log.exception("an attempt failed in an unforeseen way", target=self.target.name)
            self._backlog.again(parcel, _now() + _STORE_PAUSE)

    async def _attempt(self, parcel: Parcel) -> retry.Answer:
        if self.target.bundling is None and parcel.batch is None:
            only = parcel.entries[0].delivery
            return await self._sender.attempt(only.event_id, only.body)
        if parcel.batch is None:
            # Written down before its first attempt, so that a crash changes nothing about it.
            batch = Batch(self._clock.identifier(), self.target.name, parcel.positions)
            await self._journal.save(batch)
            parcel.batch = batch.id
        deliveries = [entry.delivery for entry in parcel.entries]
        # The last event's time: the same in every attempt.
        timestamp = iso_timestamp(deliveries[-1].created_at)
        body = batch_body(timestamp, [(delivery.event_id, delivery.body) for delivery in deliveries])
        return await self._sender.attempt(parcel.batch, body)

    def _settle(self, parcel: Parcel, answer: retry.Answer) -> None:
        """Do what the verdict says, for the deliveries and for the target."""
        if self.target.disabled is not None:
            # Another request was answered 410 meanwhile, and buried this one's deliveries with all others.
            self._backlog.done(parcel, _now())
            return
        target, now, wall = self.target, _now(), time.time()
        verdict = retry.judge(answer)
        step = self._step(parcel, answer, verdict, wall)
        self._journal.record(
            Outcome(
                parcel.positions,
                parcel.recorded,
                step.state,
                parcel.attempts,
                wall + step.wait,
                verdict.error,
                wall,
                parcel.batch,
            )
        )
        parcel.recorded = (parcel.attempts,) * len(parcel.entries)
        self._counted(target.name, "failed" if step.state == "pending" else step.state, len(parcel.entries))
        if step.state == "pending":
            self._backlog.again(parcel, now + step.wait)
        else:
            self._backlog.done(parcel, now)
        if verdict.accepted:
            self._condition.succeeded()
            told = self._complaints.succeeded()
            if told is not None:
                _log.info("webhook target works again", target=target.name, failed_since=told.attempts)
            return
        self._complain(parcel, verdict, step, now)
        self._condition.failed(verdict, answer.retry_after, step.wait, now)
        if verdict.disables:
            target.disabled = retry.TARGET_DISABLED
            self._begin(self._obey())

    def _step(self, parcel: Parcel, answer: retry.Answer, verdict: retry.Verdict, wall: float) -> retry.Step:
        """Count the attempt if it counts; return what comes next."""
        schedule, jitter, chance = self.target.schedule, self.target.jitter, random.random()
        age = wall - parcel.entries[0].delivery.created_at
        step = retry.put_off(answer, parcel.attempts, schedule, jitter, age, chance)
        if step is None:
            parcel.attempts += 1
            step = retry.after(verdict, parcel.attempts, schedule, jitter, answer.retry_after, chance)
        return step

    def _complain(self, parcel: Parcel, verdict: retry.Verdict, step: retry.Step, now: float) -> None:
        due = self._complaints.failed(len(parcel.entries) if step.state == "dead" else 0, now)
        if due is None:
            return
        _log.warning(
            "webhook not delivered",
            target=self.target.name,
            why=verdict.error,
            attempt=parcel.attempts,
            events=len(parcel.entries),
            state=step.state,
            retry_in_s=round(step.wait, 3) if step.state == "pending" else None,
            # Of all deliveries to the target, this one included.
            failed_since=due.attempts,
            dead_since=due.dead,
        )

    async def _obey(self) -> None:
        """Obey a 410: the target wants nothing any more."""
        name = self.target.name
        _log.error(
            "webhook target answered 410 Gone and is disabled; `rtserver webhooks enable` lets it in again",
            target=name,
        )
        try:
            await self._outbox.disable(name, retry.TARGET_DISABLED)
        except StoreError as error:
            _log.error("that the target is disabled could not be written", target=name, why=str(error))
        await self._bury(retry.TARGET_DISABLED)

    async def _bury(self, why: str) -> None:
        name = self.target.name
        try:
            await self._journal.flush()
            self._counted(name, "dead", await self._outbox.bury(name, why, time.time()))
        except StoreError as error:
            _log.error("the target's deliveries could not be marked dead", target=name, why=str(error))
        self.read_anew()


def _now() -> float:
    return asyncio.get_running_loop().time()
