# ruff: noqa: ASYNC109 (a noun says what it returns; a limit in seconds belongs to the call)
"""The stock socket.io-client: one Node process, many clients, driven from Python."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import shutil
import subprocess
import threading
import time
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent.parent / "js"
LIMIT = 30.0  # how long something may take before that is a failure; never used to wait for "long enough"

TRANSPORTS: dict[str, list[str]] = {
    "websocket": ["websocket"],
    "polling": ["polling"],
    "upgrade": ["polling", "websocket"],
}


def missing() -> str | None:
    """What has to be installed before there is a JavaScript client, in one line; None when nothing."""
    if shutil.which("node") is None:
        return "Node.js is missing: install it, then run `make test`"
    if not (HERE / "node_modules" / "socket.io-client").is_dir():
        return "npm packages are missing in tests/acceptance/js: run `make test` (or `npm ci` there)"
    return None


def to_wire(value: Any) -> Any:
    """JSON for the driver: bytes become {"$bin": base64}."""
    if isinstance(value, (bytes, bytearray)):
        return {"$bin": base64.b64encode(value).decode()}
    if isinstance(value, Mapping):
        return {key: to_wire(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_wire(inner) for inner in value]
    return value


def from_wire(value: Any) -> Any:
    """The other way round."""
    if isinstance(value, dict):
        if value.keys() == {"$bin"}:
            return base64.b64decode(value["$bin"])
        return {key: from_wire(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [from_wire(inner) for inner in value]
    return value


async def until(
    ask: Callable[[], Awaitable[Any]],
    holds: Callable[[Any], bool],
    timeout: float = LIMIT,
    pause: float = 0.05,
) -> Any:
    """Ask again and again until the answer holds; returns it."""
    end = time.monotonic() + timeout
    answer = await ask()
    while not holds(answer):
        assert time.monotonic() < end, f"after {timeout} s the answer still is {answer!r}"
        await asyncio.sleep(pause)
        answer = await ask()
    return answer


class RefusedError(AssertionError):
    """The client got a connect_error."""

    def __init__(self, message: str, data: Any) -> None:
        super().__init__(f"connect_error: {message} {data}")
        self.message = message
        self.data = data


class Driver:
    """The Node process; it outlives the event loops of single tests."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._listeners: dict[str, Callable[[dict[str, Any]], None]] = {}
        self._stderr: list[str] = []
        self._process = subprocess.Popen(
            ["node", "driver.mjs"],
            cwd=HERE,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        self._threads = [threading.Thread(target=f, daemon=True) for f in (self._read, self._read_errors)]
        for thread in self._threads:
            thread.start()

    def number(self) -> int:
        """A number not used before."""
        return next(self._numbers)

    def listen(self, c: str, listener: Callable[[dict[str, Any]], None]) -> None:
        """Hand every report about client `c` to `listener`, on the reader's thread."""
        self._listeners[c] = listener

    def unlisten(self, c: str) -> None:
        """No more reports about `c`."""
        self._listeners.pop(c, None)

    def do(self, what: str, **more: Any) -> None:
        """Send one command."""
        assert self._process.poll() is None, "the driver ended: " + "\n".join(self._stderr[-20:])
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": what, **more}) + "\n")
        self._process.stdin.flush()

    def close(self) -> None:
        """End the process."""
        process = self._process
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()  # type: ignore[union-attr]
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)
        for thread in self._threads:
            thread.join(5)
        process.stdout.close()  # type: ignore[union-attr]
        process.stderr.close()  # type: ignore[union-attr]

    def _read(self) -> None:
        for line in self._process.stdout:  # type: ignore[union-attr]
            report = json.loads(line)
            listener = self._listeners.get(report.get("c", ""))
            if listener is not None:
                listener(report)

    def _read_errors(self) -> None:
        self._stderr.extend(line.rstrip("\n") for line in self._process.stderr)  # type: ignore[union-attr]


class NodeClient:
    """One socket of socket.io-client."""

    def __init__(self, driver: Driver, name: str) -> None:
        self.c = name
        self.sid: str | None = None
        self.recovered = False
        self.transport: str | None = None
        self.connected = False
        self.connects = 0
        self.connect_error: RefusedError | None = None
        self.disconnected: str | None = None
        self.reconnect_attempts = 0
        self.events: list[tuple[str, list[Any]]] = []
        self.errors: list[str] = []
        # Connects and events in the order in which they came: ("connect", sid, recovered) or (event, arguments).
        self.story: list[tuple[Any, ...]] = []
        self._unread: dict[str, deque[list[Any]]] = defaultdict(deque)
        self._acks: dict[int, asyncio.Future[list[Any]]] = {}
        self._driver = driver
        self._loop = asyncio.get_running_loop()
        self._changed: set[asyncio.Future[None]] = set()
        driver.listen(name, self._from_thread)

    # --- doing ----------------------------------------

    async def emit(self, event: str, *args: Any, timeout: float = LIMIT) -> Any:
        """Emit with an ack; returns the ack's (first) argument."""
        answer = await self.emit_args(event, *args, timeout=timeout)
        return answer[0] if answer else None

    async def emit_args(self, event: str, *args: Any, timeout: float = LIMIT) -> list[Any]:
        """Emit with an ack; returns all of the ack's arguments."""
        return await self.awaited(self.start(event, *args), event, timeout)

    def start(self, event: str, *args: Any) -> asyncio.Future[list[Any]]:
        """Emit with an ack and do not wait: the future has the ack's arguments."""
        number = self._driver.number()
        self._acks[number] = future = self._loop.create_future()
        self._driver.do("emit", c=self.c, event=event, args=to_wire(args), ack=number)
        return future

    async def awaited(
        self, future: asyncio.Future[list[Any]], what: str, timeout: float = LIMIT
    ) -> list[Any]:
        """The arguments of the ack of `what`."""
        try:
            return await asyncio.wait_for(future, timeout)
        except TimeoutError:
            raise AssertionError(f"no ack of {what!r} in {timeout} s; {self._seen()}") from None

    def send(self, event: str, *args: Any) -> None:
        """Emit without an ack."""
        self._driver.do("emit", c=self.c, event=event, args=to_wire(args))

    def burst(self, event: str, count: int, prefix: str = "", **payload: Any) -> None:
        """Emit `count` messages in one turn of Node's loop, numbered from 0."""
        self._driver.do("burst", c=self.c, event=event, payload=to_wire(payload), prefix=prefix, count=count)

    def disconnect(self) -> None:
        """Say goodbye, as `socket.disconnect()` does."""
        self._driver.do("disconnect", c=self.c)

    def reconnect(self) -> None:
        """`socket.connect()`."""
        self._driver.do("connect", c=self.c)

    def authorize(self, auth: Mapping[str, Any]) -> None:
        """Say something else when it connects the next time."""
        self._driver.do("authorize", c=self.c, auth=dict(auth))

    def lose(self) -> None:
        """Cut the line: no goodbye of any layer."""
        self._driver.do("lose", c=self.c)

    def engine_close(self) -> None:
        """Close the Engine.IO connection without a Socket.IO goodbye."""
        self._driver.do("engine_close", c=self.c)

    def pause(self) -> None:
        """Stop taking bytes out of the WebSocket."""
        self._driver.do("pause", c=self.c)

    def resume(self) -> None:
        """Read again."""
        self._driver.do("resume", c=self.c)

    # --- seeing ----------------------------------------

    async def next(self, event: str, timeout: float = LIMIT) -> Any:
        """The payload of the next unread event of that name."""
        args = await self.next_args(event, timeout)
        return args[0] if args else None

    async def next_args(self, event: str, timeout: float = LIMIT) -> list[Any]:
        """All arguments of the next unread event of that name."""
        await self.until(lambda: bool(self._unread[event]), f"event {event!r}", timeout)
        return self._unread[event].popleft()

    async def take(self, event: str, count: int, timeout: float = LIMIT) -> list[Any]:
        """The payloads of the next `count` events of that name."""
        await self.until(lambda: len(self._unread[event]) >= count, f"{count} of event {event!r}", timeout)
        return [self._unread[event].popleft()[0] for _ in range(count)]

    def unread(self, event: str) -> list[Any]:
        """Payloads that arrived and that nobody asked for; they are taken."""
        queue = self._unread[event]
        return [queue.popleft()[0] for _ in range(len(queue))]

    async def sync(self) -> None:
        """A round trip: what the server sent before it has arrived."""
        ack = await self.emit("ping", {})
        assert ack.get("pong") is True, ack

    async def none(self, *events: str) -> None:
        """After a round trip, none of these events has arrived unread."""
        await self.sync()
        for event in events:
            assert not self._unread[event], f"unexpected {event!r}: {list(self._unread[event])}"

    async def until(self, holds: Callable[[], bool], what: str, timeout: float = LIMIT) -> None:
        """Wait until `holds()`."""
        end = time.monotonic() + timeout
        while not holds():
            change: asyncio.Future[None] = self._loop.create_future()
            self._changed.add(change)
            try:
                await asyncio.wait_for(change, max(0.0, end - time.monotonic()))
            except TimeoutError:
                raise AssertionError(f"{what} did not come in {timeout} s; {self._seen()}") from None
            finally:
                self._changed.discard(change)

    async def until_connected(self, timeout: float = LIMIT) -> None:
        """Wait for `connect`; a connect_error is raised."""
        await self.until(lambda: self.connected or self.connect_error is not None, "connect", timeout)
        if not self.connected and self.connect_error is not None:
            raise self.connect_error

    async def until_refused(self, timeout: float = LIMIT) -> RefusedError:
        """Wait for `connect_error` and return it."""
        await self.until(lambda: self.connect_error is not None, "connect_error", timeout)
        assert self.connect_error is not None
        return self.connect_error

    async def until_disconnected(self, timeout: float = LIMIT) -> str:
        """Wait for `disconnect` and return its reason."""
        await self.until(lambda: self.disconnected is not None, "disconnect", timeout)
        assert self.disconnected is not None
        return self.disconnected

    async def until_reconnected(self, connects: int = 2, timeout: float = LIMIT) -> None:
        """Wait until it connected for the `connects`-th time."""
        await self.until(lambda: self.connects >= connects and self.connected, "a reconnect", timeout)

    def forget(self) -> None:
        """Disconnect and report nothing more."""
        self._driver.unlisten(self.c)
        self._driver.do("forget", c=self.c)
        for future in [*self._acks.values(), *self._changed]:
            future.cancel()

    # --- reports ----------------------------------------

    def _from_thread(self, report: dict[str, Any]) -> None:
        with contextlib.suppress(RuntimeError):  # the test's loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._take, report)

    def _take(self, report: dict[str, Any]) -> None:
        getattr(self, "_on_" + report["t"])(report)
        for change in self._changed:
            if not change.done():
                change.set_result(None)

    def _on_connect(self, report: dict[str, Any]) -> None:
        self.sid = report["sid"]
        self.recovered = report["recovered"]
        self.transport = report["transport"]
        self.connected = True
        self.connects += 1
        self.disconnected = None
        self.story.append(("connect", self.sid, self.recovered))

    def _on_upgrade(self, report: dict[str, Any]) -> None:
        self.transport = report["transport"]

    def _on_connect_error(self, report: dict[str, Any]) -> None:
        self.connect_error = RefusedError(report["message"], from_wire(report["data"]))

    def _on_disconnect(self, report: dict[str, Any]) -> None:
        self.connected = False
        self.disconnected = report["reason"]

    def _on_reconnect_attempt(self, report: dict[str, Any]) -> None:
        self.reconnect_attempts = report["attempt"]

    def _on_event(self, report: dict[str, Any]) -> None:
        args = from_wire(report["args"])
        self.events.append((report["event"], args))
        self.story.append((report["event"], args))
        self._unread[report["event"]].append(args)

    def _on_ack(self, report: dict[str, Any]) -> None:
        future = self._acks.pop(report["ack"])
        if not future.done():
            future.set_result(from_wire(report["args"]))

    def _on_driver_error(self, report: dict[str, Any]) -> None:
        self.errors.append(report["message"])

    def _seen(self) -> str:
        state = "connected" if self.connected else f"disconnected ({self.disconnected}, {self.connect_error})"
        return f"{self.c} is {state}; errors {self.errors}; last events: {self.events[-8:]}"


class Node:
    """Opens clients for one test and lets go of them at its end."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self.clients: list[NodeClient] = []

    def open(
        self,
        url: str,
        *,
        transports: str | list[str] = "websocket",
        auth: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
        namespace: str = "/",
        **options: Any,
    ) -> NodeClient:
        """Start connecting and do not wait. Options are socket.io-client's own."""
        client = NodeClient(self._driver, f"c{self._driver.number()}")
        self.clients.append(client)
        settings = {
            "transports": TRANSPORTS[transports] if isinstance(transports, str) else transports,
            **({"auth": dict(auth)} if auth is not None else {}),
            **({"query": dict(query)} if query is not None else {}),
            **options,
        }
        self._driver.do("open", c=client.c, url=url + namespace, options=settings)
        return client

    async def connect(
        self, url: str, *, transports: str | list[str] = "websocket", **more: Any
    ) -> NodeClient:
        """Connect, and wait for the upgrade where the client asks for one."""
        client = self.open(url, transports=transports, **more)
        await client.until_connected()
        if transports == "upgrade":
            await client.until(lambda: client.transport == "websocket", "the upgrade")
        return client

    async def member(self, url: str, room: str, client_id: str, **more: Any) -> NodeClient:
        """A client of that client_id that has joined `room`."""
        client = await self.connect(url, auth={"client_id": client_id}, **more)
        ack = await client.emit("join", {"room": room})
        assert ack["ok"] is True, ack
        return client

    def close(self) -> None:
        """Let go of every client."""
        for client in self.clients:
            client.forget()
        self.clients.clear()
