"""Looks after what dead nodes left: their deliveries go on here, and their clients' last events are told here."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from typing import Protocol

from rtserver.store.base import LifeOver, Lives, StoreError
from rtserver.telemetry.log import logger
from rtserver.webhooks.emitter import Emitter
from rtserver.webhooks.inheritance import farewells

_log = logger("webhooks")


class Here(Protocol):
    """Who is connected to this node."""

    @property
    def connections(self) -> int:
        """How many clients are connected."""

    def occupancy(self, room: str) -> int:
        """Return how many members the room has."""

    def introduce(self, known: Collection[str]) -> None:
        """Tell of everybody here as of somebody new, but for those whose sessions are *known*."""


class Caretaker:
    """*taken* is called when deliveries have come into our care, *over* when others took us for dead.

    *lease* is how soon a death has to be noticed.
    """

    def __init__(
        self,
        lives: Lives,
        emitter: Emitter,
        here: Here,
        lease: float,
        *,
        taken: Callable[[], None],
        over: Callable[[], None],
    ) -> None:
        self._lives = lives
        self._emitter = emitter
        self._here = here
        self._lease = lease
        self._taken = taken
        self._over = over

    async def run(self) -> None:
        """Say that we live, and take over from those that do not, until cancelled."""
        while True:
            await asyncio.sleep(self._lease / 2)
            try:
                await self._lives.seen(time.time())
                await self.take_over()
            except LifeOver:
                self._over()
            except StoreError as error:
                _log.debug("the store cannot be watched", why=str(error))

    async def take_over(self) -> None:
        """Do it once; raise `StoreError`."""
        estate = await self._lives.take_over()
        if estate.deliveries:
            # Their clock may be ahead of ours, and what we write comes after what we took.
            self._emitter.go_on_from(estate.latest)
            self._taken()
        for lost in estate.lost:
            _log.warning("a node died", node=lost.node, epoch=lost.life, sessions=len(lost.sessions))
            for farewell in farewells(lost, self._here.connections, self._here.occupancy):
                self._emitter.emit(
                    farewell.type,
                    farewell.data,
                    room=farewell.room,
                    client=farewell.client,
                    effect=farewell.effect,
                )
