"""The whole application served in this process, with raw clients, and a look at what is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import httpx
import socketio
import uvicorn
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from rtserver.app import App, create_app
from rtserver.transport.uvicorn_ws import DirectWebSocketProtocol

# The two ways a WebSocket takes through uvicorn: handed straight to the session, or over plain ASGI.
WAYS = {"direct": DirectWebSocketProtocol, "asgi": "websockets-sansio"}

# What an event ends in for a client that can recover.
OFFSET = re.compile(r"[0-9a-f]{6}\.[0-9]+\Z")

# Nobody is held, and nothing waits long.
QUICK: dict[str, Any] = {
    "recovery": {"grace": 0},
    "limits": {"rate": None},
    "demo": {"enabled": False},
    # Offsets of a file go on where its last server left off.
    "store": {"url": "memory://"},
}


async def eventually(holds: Callable[[], Any], within: float = 30.0) -> None:
    """Wait until *holds* returns something true; fail when it does not in time."""
    deadline = asyncio.get_running_loop().time() + within
    while not holds():
        assert asyncio.get_running_loop().time() < deadline, "it did not come true in time"
        await asyncio.sleep(0.002)


def without_offset(args: list[Any]) -> list[Any]:
    """What is left of an event's arguments when the offset for recovery is taken off."""
    return args[:-1] if args and isinstance(args[-1], str) and OFFSET.match(args[-1]) else args


class Raw:
    """A WebSocket that speaks packets by hand; it answers pings."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.seen: list[str | bytes] = []
        self.acks = 100

    async def send(self, *frames: str | bytes) -> None:
        """Send frames as they are."""
        for frame in frames:
            await self.connection.send(frame)

    async def receive(self, within: float = 30.0) -> str | bytes:
        """The next frame that is no ping."""
        while True:
            async with asyncio.timeout(within):
                frame = await self.connection.recv()
            if frame == "2":
                await self.send("3")
                continue
            self.seen.append(frame)
            return frame

    async def until(self, *prefixes: str) -> str:
        """The next text that starts so."""
        while True:
            frame = await self.receive()
            if isinstance(frame, str) and frame.startswith(prefixes):
                return frame

    async def join(self, namespace: str = "", auth: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """CONNECT to a namespace; the answer's body, which must be an acceptance."""
        body = await self.ask_in(namespace, auth)
        assert "sid" in body, body
        return body

    async def ask_in(self, namespace: str = "", auth: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """CONNECT to a namespace; the answer's body, whatever it is."""
        prefix = f"{namespace}," if namespace else ""
        await self.send(f"40{prefix}{json.dumps(auth) if auth is not None else ''}")
        answer = await self.until(f"40{prefix}", f"44{prefix}")
        return json.loads(answer[2:].removeprefix(prefix))

    async def call(self, event: Any, *args: Any, namespace: str = "") -> list[Any]:
        """Send an event and return what it is acknowledged with."""
        self.acks += 1
        prefix = f"{namespace},{self.acks}" if namespace else str(self.acks)
        await self.send(f"42{prefix}{json.dumps([event, *args])}")
        return json.loads((await self.until(f"43{prefix}["))[2 + len(prefix) :])

    async def until_event(self, event: str, namespace: str = "") -> list[Any]:
        """The arguments of the next event of that name, without the offset for recovery."""
        prefix = f"42{namespace},[" if namespace else "42["
        while True:
            found = json.loads("[" + (await self.until(prefix))[len(prefix) :])
            if found[0] == event:
                return without_offset(found[1:])

    async def closed(self) -> int | None:
        """Wait for the server to close; the code of its close frame, None without one."""
        with contextlib.suppress(ConnectionClosed):
            while True:
                await self.receive()
        frame = self.connection.protocol.close_rcvd
        return frame.code if frame is not None else None

    def saw(self, prefix: str) -> list[str]:
        """The texts so far that start so."""
        return [frame for frame in self.seen if isinstance(frame, str) and frame.startswith(prefix)]

    def cut(self) -> None:
        """Be gone without a word."""
        self.connection.transport.abort()


class Poller:
    """A long-polling session by hand."""

    def __init__(self, http: httpx.AsyncClient, sid: str) -> None:
        self.http = http
        self.sid = sid

    @property
    def params(self) -> dict[str, str]:
        """The query of its requests."""
        return {"EIO": "4", "transport": "polling", "sid": self.sid}

    async def post(self, body: str) -> httpx.Response:
        """Bring packets."""
        return await self.http.post("/socket.io/", params=self.params, content=body)

    async def poll(self) -> httpx.Response:
        """Fetch packets."""
        return await self.http.get("/socket.io/", params=self.params)

    async def until(self, prefix: str) -> str:
        """The next packet that starts so."""
        async with asyncio.timeout(5):
            while True:
                response = await self.poll()
                assert response.status_code == 200, response.text
                for packet in response.text.split("\x1e"):
                    if packet.startswith(prefix):
                        return packet


class House:
    """The served application."""

    def __init__(self, app: App, server: uvicorn.Server, port: int) -> None:
        self.app = app
        self.server = server
        self.address = f"127.0.0.1:{port}"
        self.url = f"http://{self.address}"
        self.tasks = asyncio.all_tasks()
        self._open = contextlib.AsyncExitStack()

    async def raw(self, query: str = "", headers: Mapping[str, str] | None = None) -> Raw:
        """An Engine.IO session without any namespace."""
        url = f"ws://{self.address}/socket.io/?EIO=4&transport=websocket{query}"
        connection = await self._open.enter_async_context(
            connect(
                url,
                proxy=None,
                compression=None,
                ping_interval=None,
                close_timeout=1,
                additional_headers=headers,
            )
        )
        one = Raw(connection)
        assert str(await one.receive()).startswith("0{")
        return one

    async def client(self, client_id: str = "ann", *rooms: str, query: str = "") -> Raw:
        """A client of the main namespace, in these rooms."""
        one = await self.raw(query)
        await one.join(auth={"client_id": client_id})
        for room in rooms:
            (ack,) = await one.call("join", {"room": room})
            assert ack["ok"], ack
        return one

    async def poller(self, client_id: str | None = None) -> Poller:
        """A long-polling session; with a client_id, a client of the main namespace."""
        http = await self._open.enter_async_context(self.http())
        response = await http.get("/socket.io/", params={"EIO": "4", "transport": "polling"})
        one = Poller(http, json.loads(response.text.split("\x1e")[0][1:])["sid"])
        if client_id is not None:
            await one.post("40" + json.dumps({"client_id": client_id}))
            await one.until("40")
        return one

    def http(self) -> httpx.AsyncClient:
        """An HTTP client that looks at nobody's proxy settings."""
        return httpx.AsyncClient(base_url=self.url, trust_env=False, timeout=5, verify=False)

    async def stock(self, auth: Any = None, **options: Any) -> socketio.AsyncClient:
        """python-socketio's own client, connected."""
        settings = {key: options.pop(key) for key in ("serializer",) if key in options}
        client = socketio.AsyncClient(reconnection=False, **settings)
        self._open.push_async_callback(client.shutdown)
        await client.connect(self.url, auth=auth, **{"transports": ["websocket"], **options})
        return client

    def leftovers(self) -> dict[str, Any]:
        """Everything that is still known of any client."""
        app = self.app
        sio, node, engine = app.sio, app.node, app.engine
        roster, holding, fanout = node._roster, node._holding, node._fanout
        main = sio.manager._spaces["/"]
        busy = [task for task in asyncio.all_tasks() - self.tasks if "Mailbox" in repr(task.get_coro())]
        left = {
            "connections": sio._connections,
            "websockets": app.websocket.connections,
            "environ": sio.environ,
            "sockets": engine.sockets,
            "namespaces": {name: space for name, space in sio.manager._spaces.items() if name != "/"},
            "members": main.clients,
            "roster": roster._by_sid,
            "client_ids": roster._by_id,
            "held": holding._held,
            "rooms": list(node.registry),
            "everybody": fanout._everybody,
            "audiences": fanout._rooms,
            "admission": app._parts.admission._total,
            "users": app._parts.admission._users,
            "addresses": app._parts.admission._ips,
            "jobs": busy,
        }
        return {name: what for name, what in left.items() if what}

    async def empty(self) -> None:
        """Wait until nothing of anybody is left."""
        with contextlib.suppress(AssertionError):
            await eventually(lambda: not self.leftovers(), within=30.0)
        assert self.leftovers() == {}

    async def close(self) -> None:
        """Let go of all clients that the test opened."""
        await self._open.aclose()


@contextlib.asynccontextmanager
async def served(config: Mapping[str, Any] | App | None = None, way: str = "direct") -> AsyncIterator[House]:
    """The application on a port of its own, started and stopped as uvicorn does."""
    app = config if isinstance(config, App) else create_app({**QUICK, **(config or {})})
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    settings = uvicorn.Config(
        app,
        ws=WAYS[way],
        ws_max_size=app.config.engine.max_payload,
        ws_ping_interval=None,
        ws_per_message_deflate=False,
        lifespan="on",
        log_config=None,
        access_log=False,
    )
    settings.load()
    server = uvicorn.Server(settings)
    server.lifespan = settings.lifespan_class(settings)
    await server.startup([listener])
    house = House(app, server, listener.getsockname()[1])
    try:
        yield house
    finally:
        await house.close()
        for connection in list(server.server_state.connections):
            if connection.transport is not None:
                connection.transport.abort()
        await eventually(lambda: not server.server_state.connections)
        # Not uvicorn's own shutdown, which sleeps a while.
        for listening in server.servers:
            listening.close()
            await listening.wait_closed()
        await server.lifespan.shutdown()
        listener.close()
