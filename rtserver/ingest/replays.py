"""Up to where records of partitions are published, as long as Kafka does not know it: what comes again is told by it.

After a rebalance, or when the connection is lost before a commit, Kafka hands out again what this process published
already. The same process need not publish it twice; another one cannot know.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Generic, TypeVar

P = TypeVar("P")


class Replays(Generic[P]):
    """Positions of partitions: the offset of the next record."""

    def __init__(self) -> None:
        self._published: dict[P, int] = {}
        self._due: dict[P, int] = {}

    def is_new(self, partition: P, offset: int) -> bool:
        """Tell whether a record is not known to be published."""
        return offset >= self._published.get(partition, 0)

    def publish(self, partition: P, following: int, *, ours: bool = True) -> None:
        """Note that all before the offset *following* is published, and to be committed if the partition is *ours*."""
        self._published[partition] = following
        if ours:
            self._due[partition] = following

    def due(self, assigned: Iterable[P]) -> dict[P, int]:
        """Return what is to be committed of the partitions that are ours."""
        mine = frozenset(assigned)
        return {partition: at for partition, at in self._due.items() if partition in mine}

    def commit(self, committed: Mapping[P, int]) -> None:
        """Forget what Kafka knows now."""
        for partition, at in committed.items():
            for positions in (self._due, self._published):
                if positions.get(partition) == at:
                    del positions[partition]

    def lose(self, partitions: Iterable[P]) -> None:
        """Let go of partitions: somebody else may be further by the time they return, and must not be set back."""
        for partition in partitions:
            self._due.pop(partition, None)

    def lose_all(self) -> None:
        """Let go of all partitions."""
        self._due.clear()
