"""All sources of a node: started and stopped together, each with a life of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from rtserver.ingest.source import Source

# How long what is under way may take when the node stops, in seconds.
_PATIENCE = 2.0


class Sources:
    """What is read into this node."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = sources

    def start(self) -> None:
        """Begin to read all of them."""
        for source in self._sources:
            source.start()

    async def stop(self) -> None:
        """Read no more; return when all that was under way is published and written down, or given up."""
        await asyncio.gather(*(source.stop(_PATIENCE) for source in self._sources))

    def detail(self) -> list[dict[str, str]]:
        """Return how each of them is; see `Source.detail`."""
        return [source.detail() for source in self._sources]
