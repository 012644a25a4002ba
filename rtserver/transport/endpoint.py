"""The engine's entrance over ASGI: which request is this, and may it pass?"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from rtserver.transport import packets, polling, requests
from rtserver.transport.direct import DirectLane
from rtserver.transport.lane import NOBODY, Lane
from rtserver.transport.origins import cors_headers
from rtserver.transport.outbound import Outbound
from rtserver.transport.polling import PollingLane, PollOverlapError
from rtserver.transport.requests import Denial, EngineRequest, Headers, Receive, Scope, Send
from rtserver.transport.session import Session, Upgrade
from rtserver.transport.websocket import AsgiLane

if TYPE_CHECKING:
    from rtserver.transport.engine import EngineServer

# Where the WebSocket protocol class of `transport.uvicorn_ws` leaves its direct line in the ASGI scope.
DIRECT = "rtserver.direct"

# How many refused origins are told in the log.
MAX_TOLD = 100

_log = logging.getLogger("rtserver.engine")
_TEXT = b"text/plain; charset=UTF-8"


async def serve(engine: EngineServer, scope: Scope, receive: Receive, send: Send) -> None:
    """Serve one request or WebSocket connection."""
    headers = dict(scope["headers"])
    origin = headers[b"origin"].decode("latin-1") if b"origin" in headers else None
    host = headers.get(b"host", b"").decode("latin-1")
    cors: Headers = []
    request: EngineRequest | None = None
    try:
        if not engine.origins.allows(origin, host):
            _tell_refused(engine, origin)
            raise requests.forbidden("Origin not allowed", "origin")
        cors = cors_headers(origin)
        if scope.get("method") == "OPTIONS":
            await _preflight(send, cors)
            return
        request = requests.read_request(scope, engine.transports)
        if scope["type"] == "websocket":
            await _websocket(engine, request, scope, receive, send)
        else:
            status, body = await _polling(engine, request, scope, receive)
            await requests.respond(send, status, body, cors, _TEXT)
    except Denial as denial:
        if request is None or request.sid is None:
            # What is wrong with a request of a session ends the session, and is counted there.
            engine.refused[denial.counted] += 1
        await requests.deny(scope, send, denial, cors)


def _tell_refused(engine: EngineServer, origin: str | None) -> None:
    """Say once per origin what to do: the page itself only hears that it failed."""
    if origin is not None and origin not in engine.refused_origins and len(engine.refused_origins) < MAX_TOLD:
        engine.refused_origins.add(origin)
        _log.warning("pages of origin %.200r are refused; cors.allowed_origins allows more", origin)


async def _preflight(send: Send, cors: Headers) -> None:
    allow = [
        (b"access-control-allow-methods", b"GET, POST"),
        (b"access-control-allow-headers", b"content-type"),
    ]
    await requests.respond(send, 204, b"", cors + allow, _TEXT)


def _check_admission(engine: EngineServer, scope: Scope) -> None:
    denial = engine.admit(scope)
    if denial is not None:
        raise denial


# Long-polling.


async def _polling(
    engine: EngineServer, request: EngineRequest, scope: Scope, receive: Receive
) -> tuple[int, bytes]:
    if request.sid is None:
        if request.method != "GET":
            raise requests.bad_method()
        return 200, await _open_polling(engine, scope)
    session = engine.sockets.get(request.sid)
    lane = session.lane if session is not None else engine.last_words(request.sid)
    if not isinstance(lane, PollingLane):
        raise requests.unknown_session() if session is None else requests.bad_request()
    if request.method == "GET":
        return 200, (await _poll(session, lane, receive)).encode()
    if session is None:
        raise requests.unknown_session()
    if request.method != "POST":
        raise requests.bad_request()
    patience = engine.ping_interval + engine.ping_timeout
    await _post(session, lane, receive, engine.max_http_buffer_size, patience)
    return 200, b"ok"


async def _open_polling(engine: EngineServer, scope: Scope) -> bytes:
    _check_admission(engine, scope)
    lane = PollingLane(engine.limits, NOBODY)
    session = await engine.open(lane, requests.environ_of(scope))
    if session is None:
        raise requests.forbidden("Connection refused", "application")
    upgrades = ["websocket"] if engine.allow_upgrades and "websocket" in engine.transports else []
    opening = [engine.greeting(session, upgrades), *lane.take_over()]
    return packets.SEPARATOR.join(out.payload for out in opening).encode()


async def _poll(session: Session | None, lane: PollingLane, receive: Receive) -> str:
    await requests.read_body(receive, 0)
    poll = asyncio.ensure_future(lane.poll())
    try:
        if await polling.until_gone(receive, poll):
            return poll.result()
    except PollOverlapError:
        if session is not None:
            session.refuse("a poll during a poll")
        raise requests.bad_request("overlapping polls") from None
    if session is not None:
        session.close(1000, "", "transport close")
    raise requests.bad_request("the poll was cut")


async def _post(session: Session, lane: PollingLane, receive: Receive, limit: int, patience: float) -> None:
    if lane.posting:
        session.refuse("a post during a post")
        raise requests.bad_request("overlapping posts")
    lane.posting = True
    try:
        # A body that trickles must not outlive the session's heartbeat.
        async with asyncio.timeout(patience):
            body = await requests.read_body(receive, limit)
        received = packets.decode_payload(body.decode(), polling.MAX_PACKETS)
        for packet in received:
            if isinstance(packet, str):
                session.on_text(packet)
            else:
                session.on_binary(packet)
            await lane.readable()
    except TimeoutError:
        session.refuse("the body took too long")
        raise Denial(408, 3, "the body took too long") from None
    except (Denial, packets.MalformedPacket, UnicodeDecodeError) as error:
        session.refuse(str(error))
        raise error if isinstance(error, Denial) else requests.bad_request(str(error)) from None
    finally:
        lane.posting = False
    if session.closed and packets.CLOSE not in received:
        raise requests.bad_request("the session is closed")


# WebSocket.


async def _websocket(
    engine: EngineServer, request: EngineRequest, scope: Scope, receive: Receive, send: Send
) -> None:
    await receive()  # websocket.connect
    direct = scope.get("extensions", {}).get(DIRECT)
    lane = DirectLane(engine.wire) if direct else AsgiLane(engine.limits, NOBODY, engine.max_http_buffer_size)
    opening: Outbound | None = None
    upgrade: Upgrade | None = None
    if request.sid is None:
        _check_admission(engine, scope)
        opening = engine.greeting(await _open_websocket(engine, lane, scope), [])
    else:
        upgrade = _upgrade(engine, request.sid, lane)
    if isinstance(lane, DirectLane):
        # The OPEN packet leaves in the same write as the 101: a client whose line died between the two would wait
        # for its own connect timeout.
        direct(lane, opening.frames if opening is not None else b"")
    else:
        await _greet(send, lane, opening)
    if upgrade is not None:
        upgrade.begin()
    if isinstance(lane, AsgiLane):
        await lane.run(receive, send)


async def _greet(send: Send, lane: AsgiLane, opening: Outbound | None) -> None:
    try:
        await send({"type": "websocket.accept"})
        if opening is not None:
            await send({"type": "websocket.send", "text": opening.packets[0]})
    except Exception:
        # The client hung up during the handshake; servers differ in what they raise then.
        lane.receiver.on_lost("transport close")
        raise


def _upgrade(engine: EngineServer, sid: str, lane: Lane) -> Upgrade:
    session = engine.sockets.get(sid)
    if session is None:
        raise requests.unknown_session()
    if not engine.allow_upgrades:
        raise requests.bad_transport()
    return engine.new_upgrade(session, lane)


async def _open_websocket(engine: EngineServer, lane: Lane, scope: Scope) -> Session:
    session = await engine.open(lane, requests.environ_of(scope))
    if session is None:
        raise requests.forbidden("Connection refused", "application")
    return session
