"""The engine's entrance over ASGI: which request is this, and may it pass?"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from rtserver.transport import door, packets, polling, requests
from rtserver.transport.lane import NOBODY, Lane
from rtserver.transport.outbound import Outbound
from rtserver.transport.polling import PollingLane, PollOverlapError
from rtserver.transport.requests import Denial, EngineRequest, Headers, Receive, Scope, Send
from rtserver.transport.session import Session, Upgrade
from rtserver.transport.websocket import AsgiLane

if TYPE_CHECKING:
    from rtserver.transport.engine import EngineServer

_TEXT = b"text/plain; charset=UTF-8"


async def serve(engine: EngineServer, scope: Scope, receive: Receive, send: Send) -> None:
    """Serve one request or WebSocket connection."""
    cors: Headers = []
    request: EngineRequest | None = None
    try:
        cors = door.check_origin(engine, scope)
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


async def _preflight(send: Send, cors: Headers) -> None:
    allow = [
        (b"access-control-allow-methods", b"GET, POST"),
        (b"access-control-allow-headers", b"content-type"),
    ]
    await requests.respond(send, 204, b"", cors + allow, _TEXT)


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
    door.check_admission(engine, scope)
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
    lane = door.new_lane(engine, scope)
    opening: Outbound | None = None
    upgrade: Upgrade | None = None
    if request.sid is None:
        door.check_admission(engine, scope)
        opening = engine.greeting(await _open_websocket(engine, lane, scope), [])
    else:
        upgrade = _upgrade(engine, request.sid, lane)
    await door.connect(lane, scope, send, opening)
    if upgrade is not None:
        upgrade.begin()
    if isinstance(lane, AsgiLane):
        await lane.run(receive, send)


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
