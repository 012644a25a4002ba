"""A session's way out. Every transport has one; they share this contract and these limits."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from rtserver.transport.outbound import Outbound

_log = logging.getLogger("rtserver.lane")

POLLING, WEBSOCKET = "polling", "websocket"


@dataclass(slots=True)
class LaneLimits:
    """What a lane may hold, and what happened to those that held more. One object serves all lanes of an engine.

    *max_bytes* is the most that may wait for one client, *stall* the seconds for which its line may take nothing.
    """

    max_bytes: int = 4 * 1024 * 1024
    stall: float = 10.0
    evicted: int = 0
    dropped_volatile: int = 0


class Receiver(Protocol):
    """Who hears what a lane's peer sends: a session, or the probe of an upgrade."""

    def on_text(self, packet: str) -> None:
        """Take one Engine.IO text packet, type digit included."""

    def on_binary(self, data: bytes) -> None:
        """Take one binary message."""

    def on_closed(self, code: int | None) -> None:
        """Learn, once, that the peer closed the line, with this status code (RFC 6455, section 7.1.5) or none."""

    def on_lost(self, reason: str) -> None:
        """Learn, once, that the line is gone in any other way."""


class _Nobody:
    def on_text(self, packet: str) -> None:
        pass

    def on_binary(self, data: bytes) -> None:
        pass

    def on_closed(self, code: int | None) -> None:
        pass

    def on_lost(self, reason: str) -> None:
        pass


# The receiver of a lane that has no session yet, or no longer.
NOBODY = _Nobody()


class Lane(Protocol):
    """What a session needs of its transport. Nothing here blocks; everything is bounded by `LaneLimits`."""

    name: str
    receiver: Receiver

    @property
    def stalled(self) -> bool:
        """Tell whether the peer takes nothing and the lane's own clock runs: its silence means nothing else then."""

    def write(self, out: Outbound, volatile: bool = False) -> None:
        """Send *out* after what was written before; a *volatile* one is dropped while the peer is behind.

        Never calls the receiver back: who writes may be walking over everybody who hears a room.
        """

    def close(self, code: int, reason: str) -> None:
        """Send what waits, tell the peer, and end; bounded in time. The receiver hears no ``on_lost``."""

    def end(self) -> None:
        """End because the peer said goodbye with a CLOSE packet."""

    def abort(self) -> None:
        """End at once; what waits is lost."""

    def pause_reading(self) -> None:
        """Take no more from the peer until `resume_reading`, where the transport can."""

    def resume_reading(self) -> None:
        """Undo `pause_reading`."""


class Turn:
    """Flushes every lane once that was written to in this turn of the event loop.

    The first write of a turn schedules the flush, so an idle server adds no delay, while under load everything that
    one turn produced for a client leaves in one system call.
    """

    __slots__ = ("_dirty", "_frames", "_joined", "_loop")

    def __init__(self) -> None:
        self._frames: list[bytes] = []
        self._joined = b""
        self._dirty: list[Callable[[], None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    def add(self, flush: Callable[[], None]) -> None:
        """Call *flush* at the end of this turn."""
        if not self._dirty:
            if self._loop is None:
                self._loop = asyncio.get_running_loop()
            self._loop.call_soon(self._run)
        self._dirty.append(flush)

    def joined(self, frames: list[bytes]) -> bytes:
        """Return the frames as one; members of a room that got the same in this turn share one copy.

        Comparing costs next to nothing: lists of the same objects are equal by identity.
        """
        if frames != self._frames:
            self._frames, self._joined = frames, b"".join(frames)
        return self._joined

    def _run(self) -> None:
        dirty, self._dirty = self._dirty, []
        for flush in dirty:
            try:
                flush()
            except Exception:
                # The others of this turn must not suffer: nobody would schedule them again.
                _log.exception("a flush failed")
        self._frames, self._joined = [], b""
