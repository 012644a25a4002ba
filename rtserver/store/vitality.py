"""How the lives that share a database know which of them go on. Each kind of database has a way of its own."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncConnection


class Vitality(Protocol):
    """One life's signs of life, and how it sees those of others. What has a connection is part of its transaction."""

    async def alone(self, connection: AsyncConnection) -> None:
        """Let no other life begin, or take over, until the transaction ends."""

    async def show(self, connection: AsyncConnection, epoch: int) -> None:
        """Show from now on that our life goes on, until `rest`; its row is there. Raises `StoreError`."""

    async def renew(self, connection: AsyncConnection, epoch: int) -> None:
        """Show once more that it does."""

    async def dead(self, connection: AsyncConnection, others: Collection[int]) -> set[int]:
        """Return which of these lives are dead and ours to take over, for as long as the transaction lasts."""

    async def alive(self, connection: AsyncConnection, others: Collection[int]) -> set[int]:
        """Return which of these lives go on."""

    def bury(self, epoch: int) -> None:
        """Remove what a dead life left beside the database."""

    def rest(self) -> None:
        """Show no longer that ours goes on."""


class Hermit:
    """A life that is always the only one, like every life in memory. See `Vitality`."""

    async def alone(self, connection: AsyncConnection) -> None:
        """See `Vitality.alone`."""

    async def show(self, connection: AsyncConnection, epoch: int) -> None:
        """See `Vitality.show`."""

    async def renew(self, connection: AsyncConnection, epoch: int) -> None:
        """See `Vitality.renew`."""

    async def dead(self, connection: AsyncConnection, others: Collection[int]) -> set[int]:
        """See `Vitality.dead`."""
        return set(others)

    async def alive(self, connection: AsyncConnection, others: Collection[int]) -> set[int]:
        """See `Vitality.alive`."""
        return set()

    def bury(self, epoch: int) -> None:
        """See `Vitality.bury`."""

    def rest(self) -> None:
        """See `Vitality.rest`."""
