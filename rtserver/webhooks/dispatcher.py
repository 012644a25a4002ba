"""The webhooks of one node as a whole: what runs, the order of start and stop, and who watches what.

Emitter → journal → outbox → couriers, one for each target. One task looks for commands (a target enabled, deliveries
retried or dropped behind our back), the caretaker for nodes that died.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Coroutine
from typing import Any, NamedTuple

from rtserver.protocol.identifiers import Clock
from rtserver.store.base import Delivery, Life, Lives, Outbox, StoreError, TargetState
from rtserver.telemetry.log import logger
from rtserver.telemetry.metrics import Metrics
from rtserver.webhooks.caretaker import Caretaker, Here
from rtserver.webhooks.courier import Courier
from rtserver.webhooks.emitter import Emitter
from rtserver.webhooks.journal import Entry, Journal, Renewal
from rtserver.webhooks.rebirth import Rebirth
from rtserver.webhooks.sender import Sender
from rtserver.webhooks.tally import Tally
from rtserver.webhooks.targets import Target

_log = logger("webhooks")

# How often commands are looked for, and how often old deliveries are forgotten, in seconds.
_LOOK, _TIDY = 1.0, 15.0
KEEP_DELIVERED, KEEP_DEAD = 10_000, 30 * 86400.0
# How often it is checked whether everything is delivered when the server stops, and the pause between two chunks.
_STEP = 0.02
# How long what was under way then may take to be written down.
_LAST_WRITE = 1.0


class Settings(NamedTuple):
    """What holds for all targets. *lease* is how soon a dead node has to be noticed, in seconds."""

    node: str
    wait_for_commit: bool
    max_events: int
    drop_oldest: bool
    lease: float


class Dispatcher:
    """Everything from ``emitter`` on. Until `start` it costs nothing, and without targets it does nothing."""

    def __init__(
        self,
        targets: Collection[Target],
        outbox: Outbox,
        lives: Lives,
        clock: Clock,
        metrics: Metrics,
        settings: Settings,
    ) -> None:
        self._outbox = outbox
        self._lives = lives
        self._metrics = metrics
        self._settings = settings
        self._tally = Tally(outbox, lambda: self._journal.busy)
        self._journal = Journal(
            outbox,
            settings.max_events,
            settings.drop_oldest,
            committed=self._committed,
            dropped=self._dropped,
            held=(lambda: 0) if outbox.durable else self._tally.total,
            begin_again=self._begin_again,
        )
        self.emitter = Emitter(
            targets, self._journal, settings.node, clock, wait_for_commit=settings.wait_for_commit
        )
        # Good enough until the store has its say.
        self.emitter.begin(Life(int(time.time() * 1_000_000), 0))
        self._couriers = {
            target.name: Courier(target, outbox, self._journal, Sender(target), clock, self._count)
            for target in targets
        }
        self._known: dict[str, TargetState] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._begun = False
        self._here: Here | None = None

    @property
    def pending(self) -> Counter[str]:
        """How many deliveries are pending, by target."""
        return self._tally.pending

    @property
    def healthy(self) -> bool:
        """Tell whether the store takes what we write."""
        return self._journal.healthy and (self._begun or not self._couriers)

    @property
    def why(self) -> str:
        """What the store said when it failed last, as in the log."""
        return self._journal.why

    @property
    def queued(self) -> int:
        """How many events are in memory, and not in the outbox yet."""
        return self._journal.queued

    async def start(self, open_store: Callable[[], Awaitable[None]], here: Here) -> None:
        """Begin to deliver. When the store cannot be opened, events wait in the queue until it can."""
        if not self._couriers:
            return
        self._run(self._journal.run())
        try:
            await self._begin(open_store, here, self.emitter.life if self.emitter.used else None)
        except StoreError as error:
            _log.error("the store cannot be opened: webhooks wait in memory", why=str(error))
            self._journal.healthy, self._journal.why = False, str(error)
            self._run(self._begin_later(open_store, here))

    async def recorded(self) -> None:
        """Return once all events up to now are in the outbox; while the store fails, that is not before it works."""
        if self._couriers:
            await self._journal.flush()

    async def stop(self, patience: float) -> None:
        """Deliver what can be delivered within *patience* seconds, write the rest down, and stop."""
        if not self._couriers:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience if self._begun else 0):
                await self._journal.flush()
                while not all(courier.idle for courier in self._couriers.values()):  # noqa: ASYNC110
                    await asyncio.sleep(_STEP)
                await self._journal.flush()
        # The journal's task is the first, and goes last.
        await _cancel(self._tasks[1:])
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WRITE if self._begun else 0):
                # What the couriers had out when they were stopped.
                await self._journal.flush()
        await _cancel(self._tasks[:1])
        lost = self.pending.total() if not self._outbox.durable else self._journal.queued
        if lost:
            _log.error("webhook deliveries are lost with the process", deliveries=lost)
        with contextlib.suppress(StoreError):
            await self._lives.end()

    # Starting.

    async def _begin(self, open_store: Callable[[], Awaitable[None]], here: Here, early: Life | None) -> None:
        await open_store()
        life = await self._lives.begin(self._settings.node, self._couriers, time.time(), early)
        self._outbox.life = life.epoch
        self.emitter.begin(life)
        if early is not None:
            # Numbers of the slot that all have who began without the store; two may have the same.
            self._journal.renumber(self.emitter.renewed)
        self._journal.healthy = True
        self._begun = True
        self._here = here
        caretaker = Caretaker(
            self._lives,
            self.emitter,
            here,
            self._settings.lease,
            taken=self._read_anew,
            over=self._journal.end_life,
        )
        with contextlib.suppress(StoreError):
            # Before the couriers start: what a dead node left comes before anything of ours.
            await caretaker.take_over()
            self._known = await self._outbox.targets()
            # There may be a million: they are counted while they are delivered. In memory there are none.
            self._tally.sure = not self._outbox.durable
        for courier in self._couriers.values():
            self._run(courier.run())
        self._run(self._watch(), caretaker.run())

    async def _begin_later(self, open_store: Callable[[], Awaitable[None]], here: Here) -> None:
        while not self._begun:
            await asyncio.sleep(_LOOK)
            with contextlib.suppress(StoreError):
                # Events of this life may be written, or just come: it is entered as it is.
                await self._begin(open_store, here, self.emitter.life)
        _log.warning("the store is open")

    async def _begin_again(self, queued: list[Entry]) -> Renewal:
        """Begin another life: others took this one for dead, have its deliveries, and said goodbye to its clients."""
        life = await self._lives.begin(self._settings.node, self._couriers, time.time())
        ids = {delivery.event_id for entry in queued for delivery in entry.deliveries}
        rebirth = Rebirth(self.emitter, await self._outbox.written(ids))
        _log.warning(
            "other nodes took this one for dead: its clients are introduced anew",
            epoch=self.emitter.life.epoch,
            new_epoch=life.epoch,
        )
        self._outbox.life = life.epoch
        self.emitter.begin(life)
        self._read_anew()
        self._tally.sure = False
        here = self._here
        assert here is not None
        return Renewal(rebirth.entry, lambda: here.introduce(rebirth.begun))

    def _run(self, *coroutines: Coroutine[Any, Any, None]) -> None:
        self._tasks.extend(asyncio.ensure_future(coroutine) for coroutine in coroutines)

    # Watching.

    async def _watch(self) -> None:
        """Do what commands ask for, and forget old deliveries."""
        # Counting a million takes a moment, in which deliveries come first.
        await asyncio.sleep(_LOOK)
        with contextlib.suppress(StoreError):
            await self._warn_of_abandoned()
        tidied = -_TIDY
        while True:
            try:
                if not self._tally.sure and not self._journal.busy:
                    await self._tally.recount()
                if time.monotonic() - tidied >= _TIDY:
                    tidied = time.monotonic()
                    await self._tidy()
                await asyncio.sleep(_LOOK)
                await self._heed_commands()
            except StoreError as error:
                _log.debug("the store cannot be watched", why=str(error))

    async def _warn_of_abandoned(self) -> None:
        for name, count in (await self._lives.abandoned(self._couriers)).items():
            _log.warning(
                "deliveries wait for a target that is not in the configuration; put it back, or forget them with "
                "`rtserver webhooks drop`",
                target=name,
                deliveries=count,
            )

    async def _tidy(self) -> None:
        for name in self._couriers:
            while await self._outbox.prune(name, KEEP_DELIVERED, time.time() - KEEP_DEAD):  # noqa: ASYNC110
                await asyncio.sleep(_STEP)

    async def _heed_commands(self) -> None:
        known, self._known = self._known, await self._outbox.targets()
        changed = [name for name, state in self._known.items() if state.revision != _revision(known, name)]
        for name, courier in self._couriers.items():
            state = self._known.get(name)
            if state is not None and state.disabled is not None and courier.target.disabled is None:
                # Another node was answered 410.
                courier.disable(state.disabled)
            elif state is not None and name in changed:
                self._heed(courier, state, released=state.released != _released(known, name))
        if changed:
            await self._tally.recount()

    def _heed(self, courier: Courier, state: TargetState, *, released: bool) -> None:
        if state.disabled is not None or not released:
            courier.read_anew()
            return
        if courier.target.disabled is not None:
            _log.info("webhook target enabled", target=state.name)
        # Whoever wants something delivered now does not want to wait for the end of a pause.
        courier.enable()

    def _read_anew(self) -> None:
        for courier in self._couriers.values():
            courier.read_anew()

    # Counting.

    def _committed(self, deliveries: list[Delivery]) -> None:
        for delivery in deliveries:
            if delivery.state == "pending":
                self._tally.add(delivery.target, 1)
                self._couriers[delivery.target].add(delivery)

    def _count(self, target: str, outcome: str, deliveries: int) -> None:
        self._metrics.webhook_deliveries[target, outcome] += deliveries
        if outcome != "failed":
            self._tally.add(target, -deliveries)

    def _dropped(self, events: int) -> None:
        self._metrics.dropped["webhook_event"] += events


def _revision(known: dict[str, TargetState], name: str) -> int:
    return known[name].revision if name in known else 0


def _released(known: dict[str, TargetState], name: str) -> int:
    return known[name].released if name in known else 0


async def _cancel(tasks: Collection[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(result, Exception):
            _log.error("a task of the webhooks failed", exc_info=result)
