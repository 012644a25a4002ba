"""What is left to say when others took this node for dead, though it lives: they said goodbye to its clients. Pure."""

from __future__ import annotations

from collections.abc import Collection

from rtserver.webhooks.emitter import Emitter
from rtserver.webhooks.journal import Entry


class Rebirth:
    """Goes over what was queued, the oldest first. *written* are events that are in the outbox, in others' care.

    ``begun`` are the sessions that nobody but us knows of: they go on as they are.
    """

    def __init__(self, emitter: Emitter, written: Collection[str]) -> None:
        self.begun: set[str] = set()
        self._emitter = emitter
        self._written = written

    def entry(self, entry: Entry) -> Entry | None:
        """Return the entry as one of the new life; None when others have said it, or goodbye to whom it is about."""
        if any(delivery.event_id in self._written for delivery in entry.deliveries):
            return None
        effect = entry.effect
        if effect is not None and effect.opened is not None:
            self.begun.add(effect.opened.id)
            effect = effect._replace(opened=effect.opened._replace(life=self._emitter.life.epoch))
        elif effect is not None and effect.session not in self.begun:
            return None
        return Entry(tuple(map(self._emitter.renewed, entry.deliveries)), effect)
