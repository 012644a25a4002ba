"""A real HTTP receiver of webhooks, with a loop and a thread of its own: it stays up whatever becomes of the rest.

It reads every request to its end, verifies it by the reference package, and answers by a script; among the answers are
those that no decent receiver would give.
"""
# ruff: noqa: ASYNC109 (a limit in seconds belongs to the call)

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from tests.ports import free_port

from .node_client import LIMIT

SECRET = "whsec_" + "c2VjcmV0LW9mLXRoZS1hY2NlcHRhbmNlLXRlc3RzLTE="
OTHER_SECRET = "whsec_" + "YW5vdGhlci1zZWNyZXQtb2YtdGhlLXNhbWUtdGVzdHM="

QUICK: dict[str, Any] = {"schedule": ["50ms", "100ms", *["200ms"] * 100], "jitter": 0}
"""Waits that end no test: brief, and many."""


@dataclass(frozen=True)
class Answer:
    """What a request is answered with."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    after: float = 0.0
    """Seconds before the first byte."""
    trickle: float = 0.0
    """Seconds between two bytes."""
    fault: Literal["reset", "close", "hang"] | None = None
    """Instead of an answer: a reset, an orderly end of the connection, or nothing at all."""


OK = Answer()
RESET = Answer(fault="reset")
CLOSE = Answer(fault="close")
HANG = Answer(fault="hang")


@dataclass
class Event:
    """One event out of a request, alone or in a batch."""

    id: str
    type: str
    timestamp: str
    data: dict[str, Any]

    @property
    def seq(self) -> int:
        """Its number in its node's life."""
        return int(self.data["seq"])


@dataclass
class Request:
    """One request, complete."""

    number: int
    method: str
    path: str
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes
    begun: float
    """When its last byte was read, in monotonic time."""
    status: int | None = None
    """What it was answered; None while it was not."""
    answered: float | None = None
    """When the answer began."""

    @property
    def id(self) -> str:
        """The `webhook-id`."""
        return self.headers["webhook-id"]

    @cached_property
    def payload(self) -> dict[str, Any]:
        """The body, parsed."""
        return dict(json.loads(self.body))

    @cached_property
    def events(self) -> list[Event]:
        """The event, or the events of the batch."""
        payload = self.payload
        if payload["type"] == "batch":
            return [Event(**event) for event in payload["data"]["events"]]
        return [Event(self.id, **payload)]

    @property
    def acknowledged(self) -> bool:
        """Whether the answer was a 2xx."""
        return self.status is not None and 200 <= self.status < 300


class Receiver:
    """Listens on a free port of the loopback interface until it is closed."""

    def __init__(self, secrets: Sequence[str] = (SECRET,), *, tls: ssl.SSLContext | None = None) -> None:
        self.secrets = list(secrets)
        self.tls = tls
        self.requests: list[Request] = []
        self.problems: list[str] = []
        self.peak = 0
        """Most requests that were waiting for their answers at the same time."""
        self.default: Answer | Callable[[Request], Answer] = OK
        self._script: deque[Answer] = deque()
        self._waiting = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._handlers: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._socket: socket.socket | None = self._bound(free_port())
        self.port: int = self._socket.getsockname()[1]
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}/hooks"
        self._loop = asyncio.new_event_loop()
        self._over = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.accept()

    # --- what it does ----------------------------------------

    def target(self, name: str = "audit", **more: Any) -> dict[str, Any]:
        """This receiver as an entry of `webhooks.targets`."""
        return {"name": name, "url": self.url, "secrets": list(self.secrets), "retry": QUICK, **more}

    def next(self, *answers: Answer) -> None:
        """Answer the next requests so, one each; the others get the default."""
        self._script.extend(answers)

    def always(self, answer: Answer | Callable[[Request], Answer]) -> None:
        """Answer every further request so."""
        self.default = answer

    def accept(self) -> None:
        """Take connections."""
        self._run(self._accept())

    def refuse(self) -> None:
        """Refuse connections, and end those that there are; the port stays ours."""
        self._run(self._refuse())

    def drop(self) -> None:
        """End every connection: the next request opens one."""
        self._run(self._drop())

    def close(self) -> None:
        """End it."""
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    # --- what it saw ----------------------------------------

    def attempts(self) -> list[Request]:
        """Every request so far."""
        return list(self.requests)

    def acknowledged(self) -> list[Request]:
        """Every request that was answered with a 2xx."""
        return [request for request in self.attempts() if request.acknowledged]

    def events(self) -> list[Event]:
        """Every event acknowledged, out of single requests and batches, as often as it was."""
        return [event for request in self.acknowledged() for event in request.events]

    def distinct(self) -> list[Event]:
        """Every event acknowledged, once, in the order of the first times."""
        first: dict[str, Event] = {}
        for event in self.events():
            first.setdefault(event.id, event)
        return list(first.values())

    def find(self, type_: str | None = None, **data: Any) -> list[Event]:
        """The distinct events of that type with these values in their data."""
        return [
            event
            for event in self.distinct()
            if type_ in (None, event.type) and all(event.data.get(key) == data[key] for key in data)
        ]

    async def until(
        self, holds: Callable[[], Any], what: str | Callable[[], str], timeout: float = LIMIT
    ) -> Any:
        """Wait until `holds()`; returns what it says."""
        end = time.monotonic() + timeout
        while not (answer := holds()):
            if time.monotonic() > end:
                what = what if isinstance(what, str) else what()
                raise AssertionError(f"{what} did not come in {timeout} s; {self._seen()}")
            await asyncio.sleep(0.01)
        return answer

    async def event(self, type_: str, timeout: float = LIMIT, **data: Any) -> Event:
        """The first acknowledged event of that type with these values in its data."""
        found = await self.take(1, type_, timeout, **data)
        return found[0]

    async def take(self, count: int, type_: str, timeout: float = LIMIT, **data: Any) -> list[Event]:
        """All events of that type with these values, as soon as there are `count`."""

        def enough() -> list[Event]:
            found = self.find(type_, **data)
            return found if len(found) >= count else []

        return list(await self.until(enough, f"{count} of {type_} {data}", timeout))

    def check(self) -> None:
        """Every request was a webhook as it has to be, and every id had the same content at every attempt."""
        assert not self.problems, "\n".join(self.problems[:20])
        contents: dict[str, Any] = {}
        for request in self.attempts():
            assert contents.setdefault(request.id, request.payload) == request.payload, request.payload

    def _seen(self) -> str:
        last = [(request.status, request.body[:300]) for request in self.requests[-6:]]
        return f"{len(self.requests)} requests, the last: {last}; problems {self.problems[:3]}"

    # --- how it is done ----------------------------------------

    @staticmethod
    def _bound(port: int) -> socket.socket:
        bound = socket.socket()
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(("127.0.0.1", port))
        return bound

    def _run(self, what: Any) -> None:
        asyncio.run_coroutine_threadsafe(what, self._loop).result(10)

    async def _accept(self) -> None:
        if self._server is None:
            ours, self._socket = self._socket, None
            self._server = await asyncio.start_server(self._connection, sock=ours, ssl=self.tls)

    async def _refuse(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
            self._socket = self._bound(self.port)  # bound and deaf: connections are refused
        await self._drop()

    async def _drop(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    async def _close(self) -> None:
        self._over.set()
        await self._refuse()
        if self._handlers:
            await asyncio.wait(self._handlers, timeout=5)
        if self._socket is not None:
            self._socket.close()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._handlers.add(task)
        self._writers.add(writer)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, ssl.SSLError):
                while await self._exchange(reader, writer):
                    pass
        finally:
            self._writers.discard(writer)
            self._handlers.discard(task)
            writer.close()
            with contextlib.suppress(OSError, ssl.SSLError):
                await writer.wait_closed()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        request = await self._read(reader)
        self.requests.append(request)
        self.problems.extend(f"{request.headers}: {why}" for why in self._wrong(request))
        default = self.default
        scripted = self._script.popleft() if self._script else None
        answer = scripted or (default(request) if callable(default) else default)
        self._waiting += 1
        self.peak = max(self.peak, self._waiting)
        try:
            return await self._answer(answer, request, reader, writer)
        finally:
            self._waiting -= 1

    async def _read(self, reader: asyncio.StreamReader) -> Request:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _ = head[0].split(" ")
        pairs = (line.partition(":") for line in head[1:] if line)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        body = b""
        if headers.get("transfer-encoding", "").lower() == "chunked":
            while size := int(await reader.readline(), 16):
                body += await reader.readexactly(size)
                await reader.readline()
            await reader.readline()
        else:
            body = await reader.readexactly(int(headers.get("content-length", "0")))
        return Request(len(self.requests), method, path, headers, body, time.monotonic())

    def _wrong(self, request: Request) -> Iterator[str]:
        """Say what is wrong with a request (CONTRACT section 7, Standard Webhooks 1.0.0)."""
        if request.method != "POST" or request.path != "/hooks":
            yield f"{request.method} {request.path}"
        if request.headers.get("content-type", "").partition(";")[0] != "application/json":
            yield "it is no JSON"
        if "." in request.headers.get("webhook-id", "."):
            yield "its webhook-id is missing or has a dot"
        if not request.headers.get("webhook-timestamp", "").isdecimal():
            yield "its webhook-timestamp is no whole number of seconds"
        for secret in self.secrets:
            try:
                Webhook(secret).verify(request.body, request.headers)
            except (WebhookVerificationError, ValueError) as error:
                yield f"verification says {error!r}"
        try:
            if (keys := set(request.payload)) != {"type", "timestamp", "data"}:
                yield f"its keys are {sorted(keys)}"
        except ValueError:
            yield f"its body is {request.body[:80]!r}"

    async def _answer(
        self, answer: Answer, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        await self._pause(answer.after)
        if answer.fault == "reset":
            raw = writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            writer.transport.abort()
        if answer.fault == "hang":
            await reader.read(1)  # until the other side has had enough
        if answer.fault is not None:
            return False
        request.status, request.answered = answer.status, time.monotonic()
        headers = {"Content-Length": str(len(answer.body)), **answer.headers}
        lines = [f"HTTP/1.1 {answer.status} Status", *(f"{name}: {headers[name]}" for name in headers)]
        everything = "\r\n".join([*lines, "", ""]).encode() + answer.body
        step = 1 if answer.trickle else len(everything)
        for at in range(0, len(everything), step):
            writer.write(everything[at : at + step])
            await writer.drain()
            await self._pause(answer.trickle)
        return not self._over.is_set() and answer.headers.get("Connection") != "close"

    async def _pause(self, seconds: float) -> None:
        if seconds > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._over.wait(), seconds)


class Receivers:
    """Opens receivers, and closes what it opened."""

    def __init__(self) -> None:
        self.opened: list[Receiver] = []

    def open(self, secrets: Sequence[str] = (SECRET,), **more: Any) -> Receiver:
        """One that listens."""
        receiver = Receiver(secrets, **more)
        self.opened.append(receiver)
        return receiver

    def close(self) -> None:
        """Close them all; each must have seen nothing but webhooks as they have to be."""
        for receiver in self.opened:
            receiver.close()
        for receiver in self.opened:
            receiver.check()
        self.opened.clear()
