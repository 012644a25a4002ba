"""Delivers to one target: takes what is due out of its backlog, sends it, and does what the verdict says."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable

from rtserver.protocol.identifiers import Clock, iso_timestamp
from rtserver.store.base import Batch, Delivery, Outbox, Outcome, State, StoreError
from rtserver.telemetry.log import logger
from rtserver.webhooks import retry
from rtserver.webhooks.backlog import Backlog, Parcel
from rtserver.webhooks.events import batch_body
from rtserver.webhooks.journal import Journal
from rtserver.webhooks.sender import Sender
from rtserver.webhooks.targets import Target

_log = logger("webhooks")

# What of a target's deliveries is held in memory; the rest is read when there is room.
MAX_ENTRIES, MAX_BYTES, PAGE = 10_000, 32_000_000, 500
# After so many failures in a row a target is ailing: it gets one request at a time, with a gap between them in
# seconds, until one succeeds. A target that is down must cost the others nothing.
AILING, GAP = 5, 0.05
_STORE_PAUSE = 1.0

Counted = Callable[[str, State | str, int], None]


class Courier:
    """One target's deliveries. *counted* is told of each attempt's outcome: target, outcome, how many deliveries."""

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
        self._wake = asyncio.Event()
        self._attempts: set[asyncio.Task[None]] = set()
        # Up to where the outbox has been read, and whether there is more of it that is not in the backlog.
        self._read = 0
        self._behind = True
        self._missed = False
        self._bundled: set[int] = set()
        self._stale = True
        self._paused_until = 0.0
        self._failures = 0
        self._stopping = False

    @property
    def idle(self) -> bool:
        """Tell whether nothing is under way, and nothing will be soon."""
        soon = self._now() + GAP
        if self._attempts or self._stale:
            return False
        if self.target.disabled is not None or self._paused_until > soon:
            return True
        due = self._backlog.next_due()
        return not self._behind and (due is None or due > soon)

    def add(self, delivery: Delivery) -> None:
        """Take a delivery that was just committed."""
        if self._behind or self._backlog.full:
            self._behind = self._missed = True
        else:
            self._read = delivery.position
            self._backlog.add(delivery, self._now())
            if not self._backlog.news:
                return
        self._wake.set()

    def read_anew(self) -> None:
        """Forget what is in memory and read the outbox from its beginning: something was changed there."""
        self._stale = True
        self._wake.set()

    def enable(self) -> None:
        """Deliver again."""
        self.target.disabled = None
        self._failures = 0
        self._paused_until = 0.0
        self.read_anew()

    async def run(self) -> None:
        """Deliver, until cancelled."""
        try:
            while True:
                self._wake.clear()
                try:
                    await self._fill()
                except StoreError as error:
                    _log.warning("the outbox cannot be read", target=self.target.name, why=str(error))
                    await asyncio.sleep(_STORE_PAUSE)
                    continue
                self._send_due()
                await self._rest()
        finally:
            for attempt in self._attempts:
                attempt.cancel()
            await asyncio.gather(*self._attempts, return_exceptions=True)
            await self._sender.close()

    # Reading.

    async def _fill(self) -> None:
        if self._stale:
            if self._attempts:
                # What is out must be recorded first, or it would be read as pending.
                return
            await self._restart()
        while self._behind and not self._backlog.full:
            self._missed = False
            page = await self._outbox.page(self.target.name, self._read, PAGE)
            now, wall = self._now(), time.time()
            for delivery in page:
                self._read = delivery.position
                if delivery.position not in self._bundled:
                    self._backlog.add(delivery, now, self._wait_of(delivery, wall))
            # What was committed after the page was read had to be left out of the backlog.
            self._behind = len(page) == PAGE or self._missed

    async def _restart(self) -> None:
        await self._journal.flush()
        batches = await self._outbox.batches(self.target.name)
        self._stale = False
        self._backlog.clear()
        self._bundled = set()
        self._read, self._behind = 0, True
        wall = time.time()
        for batch, deliveries in batches:
            if not deliveries:
                continue
            wait = max(self._wait_of(delivery, wall) for delivery in deliveries)
            self._backlog.add_batch(batch, deliveries, self._now(), wait)
            self._bundled.update(delivery.position for delivery in deliveries)

    def _wait_of(self, delivery: Delivery, wall: float) -> float:
        """Return how long a delivery waits yet. A clock that was set back must not make it wait for ever."""
        longest = max(self.target.schedule, default=0.0) * (1 + self.target.jitter)
        return min(max(delivery.due_at - wall, 0.0), max(longest, retry.LONGEST_PAUSE))

    # Sending.

    def _send_due(self) -> None:
        while self._free():
            parcel = self._backlog.take(self._now())
            if parcel is None:
                return
            attempt = asyncio.ensure_future(self._deliver(parcel))
            self._attempts.add(attempt)
            attempt.add_done_callback(self._over)

    def _over(self, attempt: asyncio.Task[None]) -> None:
        self._attempts.discard(attempt)
        self._wake.set()

    def _free(self) -> bool:
        if self.target.disabled is not None or self._stale or self._stopping or self._journal.congested:
            return False
        if self._now() < self._paused_until:
            return False
        return len(self._attempts) < (1 if self._failures >= AILING else self.target.concurrency)

    async def _rest(self) -> None:
        """Wait until something happens or falls due."""
        due = self._backlog.next_due()
        now = self._now()
        if self._free() and due is not None:
            wait: float | None = due - now
        elif self._paused_until > now:
            wait = self._paused_until - now
        else:
            wait = _STORE_PAUSE if self._journal.congested else None
        try:
            async with asyncio.timeout(None if wait is None else max(wait, 0.0)):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def _deliver(self, parcel: Parcel) -> None:
        try:
            self._settle(parcel, await self._attempt(parcel))
        except Exception:
            _log.exception("an attempt failed in an unforeseen way", target=self.target.name)
            self._backlog.again(parcel, self._now() + _STORE_PAUSE)

    async def _attempt(self, parcel: Parcel) -> retry.Answer:
        if len(parcel.entries) > 1 or self.target.bundling is not None:
            await self._make_batch(parcel)
            message_id, body = self._batch(parcel)
        else:
            only = parcel.entries[0].delivery
            message_id, body = only.event_id, only.body
        return await self._sender.attempt(message_id, body)

    async def _make_batch(self, parcel: Parcel) -> None:
        """Write the batch down before its first attempt, so that a crash changes nothing about it."""
        if parcel.batch is not None:
            return
        batch = Batch(self._clock.identifier(), self.target.name, parcel.positions)
        await self._journal.save(batch)
        parcel.batch = batch.id

    def _batch(self, parcel: Parcel) -> tuple[str, bytes]:
        assert parcel.batch is not None
        deliveries = [entry.delivery for entry in parcel.entries]
        # The last event's time: the same in every attempt.
        timestamp = iso_timestamp(deliveries[-1].created_at)
        return parcel.batch, batch_body(timestamp, [(d.event_id, d.body) for d in deliveries])

    # Judging.

    def _settle(self, parcel: Parcel, answer: retry.Answer) -> None:
        verdict = retry.judge(answer)
        parcel.attempts += 1
        step = retry.after(
            verdict,
            parcel.attempts,
            self.target.schedule,
            self.target.jitter,
            answer.retry_after,
            random.random(),
        )
        now, wall = self._now(), time.time()
        self._journal.record(
            Outcome(
                parcel.positions,
                step.state,
                parcel.attempts,
                wall + step.wait,
                verdict.error,
                wall,
                parcel.batch,
            )
        )
        self._counted(
            self.target.name, step.state if step.state != "pending" else "failed", len(parcel.entries)
        )
        if step.state == "pending":
            self._backlog.again(parcel, now + step.wait)
        else:
            self._backlog.done(parcel, now)
        self._look_at_target(parcel, verdict, step, answer.retry_after, now)

    def _look_at_target(
        self, parcel: Parcel, verdict: retry.Verdict, step: retry.Step, asked: float | None, now: float
    ) -> None:
        if verdict.accepted:
            if self._failures >= AILING:
                _log.info("webhook target works again", target=self.target.name)
            self._failures = 0
            return
        level = _log.warning if step.state == "dead" or self._failures < AILING else _log.debug
        level(
            "webhook not delivered",
            target=self.target.name,
            why=verdict.error,
            attempt=parcel.attempts,
            events=len(parcel.entries),
            state=step.state,
            retry_in_s=round(step.wait, 3) if step.state == "pending" else None,
        )
        self._failures += 1
        if self._failures >= AILING:
            self._paused_until = max(self._paused_until, now + GAP)
        if verdict.pauses:
            self._paused_until = max(self._paused_until, now + retry.pause(asked, step.wait))
        if verdict.disables:
            self._disable()

    def _disable(self) -> None:
        """Obey a 410: the target wants nothing any more."""
        self.target.disabled = retry.TARGET_DISABLED
        _log.error(
            "webhook target answered 410 Gone and is disabled; `rtserver webhooks enable` lets it in again",
            target=self.target.name,
        )
        burying = asyncio.ensure_future(self._bury())
        self._attempts.add(burying)
        burying.add_done_callback(self._over)

    async def _bury(self) -> None:
        try:
            await self._outbox.disable(self.target.name, retry.TARGET_DISABLED)
            await self._journal.flush()
            buried = await self._outbox.bury(self.target.name, retry.TARGET_DISABLED, time.time())
            self._counted(self.target.name, "dead", buried)
        except StoreError as error:
            _log.error(
                "the target's deliveries could not be marked dead", target=self.target.name, why=str(error)
            )
        self.read_anew()

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
