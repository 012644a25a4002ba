"""The door: which pages may come in, how many at once, and how a WebSocket becomes a lane."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from rtserver.transport import requests
from rtserver.transport.direct import DirectLane
from rtserver.transport.lane import NOBODY
from rtserver.transport.origins import cors_headers
from rtserver.transport.outbound import Outbound
from rtserver.transport.requests import Headers, Scope, Send
from rtserver.transport.websocket import AsgiLane

if TYPE_CHECKING:
    from rtserver.transport.engine import EngineServer

# Where the WebSocket protocol class of `transport.uvicorn_ws` leaves its direct line in the ASGI scope.
DIRECT = "rtserver.direct"

# How many refused origins are told in the log.
MAX_TOLD = 100

_log = logging.getLogger("rtserver.engine")


def check_origin(engine: EngineServer, scope: Scope) -> Headers:
    """Return what lets the page that asks read the answer; raise `Denial` for a page of a foreign origin."""
    headers = dict(scope["headers"])
    origin = headers[b"origin"].decode("latin-1") if b"origin" in headers else None
    if not engine.origins.allows(origin, headers.get(b"host", b"").decode("latin-1")):
        _tell_refused(engine, origin)
        raise requests.forbidden("Origin not allowed", "origin")
    return cors_headers(origin)


def check_admission(engine: EngineServer, scope: Scope) -> None:
    """Raise `Denial` when no more clients may come in now."""
    denial = engine.admit(scope)
    if denial is not None:
        raise denial


def new_lane(engine: EngineServer, scope: Scope) -> DirectLane | AsgiLane:
    """Return the lane for a WebSocket whose handshake is not complete."""
    if scope.get("extensions", {}).get(DIRECT) is not None:
        return DirectLane(engine.wire)
    return AsgiLane(engine.limits, NOBODY, engine.max_http_buffer_size)


async def connect(lane: DirectLane | AsgiLane, scope: Scope, send: Send, opening: Outbound | None) -> None:
    """Complete the handshake.

    *opening* leaves in the same write as the 101, where that is ours to say: a client whose line died between the two
    would wait for its own connect timeout.
    """
    if isinstance(lane, DirectLane):
        scope["extensions"][DIRECT](lane, opening.frames if opening is not None else b"")
        return
    try:
        await send({"type": "websocket.accept"})
        if opening is not None:
            await send({"type": "websocket.send", "text": opening.packets[0]})
    except Exception:
        # The client hung up during the handshake; servers differ in what they raise then.
        lane.receiver.on_lost("transport close")
        raise


def _tell_refused(engine: EngineServer, origin: str | None) -> None:
    """Say once per origin what to do: the page itself only hears that it failed."""
    if origin is not None and origin not in engine.refused_origins and len(engine.refused_origins) < MAX_TOLD:
        engine.refused_origins.add(origin)
        _log.warning("pages of origin %.200r are refused; cors.allowed_origins allows more", origin)
