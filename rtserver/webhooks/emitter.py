"""From something that happened to deliveries in the journal: matched, numbered, written as JSON once for all."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any

from rtserver.protocol.identifiers import Clock
from rtserver.store.base import SLOT_BITS, Delivery, Life
from rtserver.webhooks.events import event_body
from rtserver.webhooks.journal import Effect, Journal, Receipt
from rtserver.webhooks.retry import TARGET_DISABLED
from rtserver.webhooks.targets import Target


class Emitter:
    """Tells the targets. Without a target it does nothing, and costs nothing.

    *wait_for_commit* gives out receipts that say whether an event is in the outbox.
    """

    def __init__(
        self, targets: Collection[Target], journal: Journal, node: str, clock: Clock, *, wait_for_commit: bool
    ) -> None:
        self.node = node
        self.life = Life(0, 0)
        self._targets = tuple(targets)
        self._journal = journal
        self._clock = clock
        self._wait_for_commit = wait_for_commit
        self._seq = 0
        self._tick = 0
        self._wanting = lru_cache(maxsize=4096)(self._match)

    def begin(self, life: Life) -> None:
        """Number the events of this life."""
        if life.epoch != self.life.epoch:
            self._seq = 0
        self.life = life
        self._tick = max(self._tick, life.epoch)

    @property
    def used(self) -> bool:
        """Tell whether anything was emitted."""
        return self._seq > 0

    def go_on_from(self, position: int) -> None:
        """Number deliveries higher than one that is in the outbox."""
        self._tick = max(self._tick, position >> SLOT_BITS)

    def renewed(self, delivery: Delivery) -> Delivery:
        """Return a delivery that was not written in an earlier life as one of this."""
        return delivery._replace(position=self._position(delivery.created_at), life=self.life.epoch)

    def wants(self, type_: str) -> bool:
        """Tell whether any target wants events of that type, in whatever room."""
        return bool(self._wanting(type_, None))

    def emit(
        self,
        type_: str,
        data: Mapping[str, Any],
        *,
        room: str | None = None,
        client: str | None = None,
        effect: Effect | None = None,
    ) -> Receipt | None:
        """Write the event down for the targets that want it; return a receipt when it is worth waiting for.

        *room* and *client* are what it is ordered by.
        """
        targets = self._wanting(type_, room)
        if not targets:
            if effect is not None and effect.of is None:
                self.note(effect)
            return None
        now = time.time()
        seq = self._seq + 1
        body = event_body(
            type_,
            self._clock.timestamp(now),
            {**data, "node": self.node, "epoch": self.life.epoch, "seq": seq},
        )
        self._seq = seq
        event_id = self._clock.identifier(now)
        deliveries = tuple(
            Delivery(
                self._position(now),
                event_id,
                target.name,
                type_,
                room,
                client,
                body,
                self.life.epoch,
                now,
                "pending" if target.disabled is None else "dead",
                0,
                now,
                None if target.disabled is None else TARGET_DISABLED,
            )
            for target in targets
        )
        receipt = self._journal.write(deliveries, effect)
        return receipt if self._wait_for_commit else None

    def note(self, effect: Effect) -> None:
        """Write an effect down that belongs to no event."""
        self._journal.write((), effect)

    def _position(self, now: float) -> int:
        self._tick = max(self._tick + 1, int(now * 1_000_000))
        return self._tick << SLOT_BITS | self.life.slot

    def _match(self, type_: str, room: str | None) -> tuple[Target, ...]:
        return tuple(target for target in self._targets if target.wants(type_, room))
