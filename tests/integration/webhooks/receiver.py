"""A local HTTP server in the test's own loop: it keeps what it is sent, and answers what a test wants."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import orjson

LIMIT = 30.0  # how long anything may take before that is a failure


class Request(NamedTuple):
    """What came, when, and over which connection."""

    headers: dict[str, str]
    body: bytes
    at: float
    connection: int
    line: str

    @property
    def id(self) -> str:
        """Its webhook-id."""
        return self.headers["webhook-id"]

    @property
    def json(self) -> dict[str, Any]:
        """The body, read."""
        read: dict[str, Any] = orjson.loads(self.body)
        return read

    @property
    def events(self) -> list[tuple[str, dict[str, Any]]]:
        """The events in it, alone or in a batch: id and data."""
        if self.json["type"] != "batch":
            return [(self.id, self.json["data"])]
        return [(one["id"], one["data"]) for one in self.json["data"]["events"]]

    @property
    def seqs(self) -> list[int]:
        """Their numbers."""
        return [data["seq"] for _, data in self.events]


class Answer(NamedTuple):
    """What is answered. *raw* is written as it is, instead."""

    status: int = 204
    headers: Mapping[str, str] = MappingProxyType({})
    body: bytes = b""
    raw: bytes | None = None
    close: bool = False

    def written(self) -> bytes:
        """As bytes."""
        if self.raw is not None:
            return self.raw
        length = {} if self.status == 204 else {"content-length": str(len(self.body))}
        lines = "".join(f"{name}: {value}\r\n" for name, value in {**length, **self.headers}.items())
        return f"HTTP/1.1 {self.status} X\r\n{lines}\r\n".encode() + self.body


OK = Answer()
Answering = Callable[[Request], Answer | Awaitable[Answer]]


class Receiver:
    """The server. *answer* decides what a request is answered; it may take its time."""

    def __init__(self) -> None:
        self.answer: Answering = lambda request: OK
        self.requests: list[Request] = []
        self.accepted: list[Request] = []
        self.under_way = 0
        self.most_under_way = 0
        self.connections = 0
        self.port = 0
        self.writers: set[asyncio.StreamWriter] = set()
        self.serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]] | None = None
        self.scheme = "http"

    @property
    def url(self) -> str:
        """Where it is."""
        return f"{self.scheme}://127.0.0.1:{self.port}/hooks"

    @property
    def seqs(self) -> list[int]:
        """The numbers of the events that were accepted, in order."""
        return [seq for request in self.accepted for seq in request.seqs]

    def reset(self) -> None:
        """Cut every connection."""
        for writer in list(self.writers):
            writer.transport.abort()

    async def heard(self, count: int) -> None:
        """Wait until so many events were accepted."""
        await until(lambda: len(self.seqs) >= count, lambda: f"{len(self.seqs)} of {count} events came")

    async def asked(self, count: int) -> None:
        """Wait until so many requests came."""
        await until(
            lambda: len(self.requests) >= count, lambda: f"{len(self.requests)} of {count} requests came"
        )

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self.connections += 1
        number = self.connections
        self.writers.add(writer)
        try:
            if self.serve is not None:
                await self.serve(reader, writer)
                return
            while (request := await self._read(reader, number)) is not None:
                self.requests.append(request)
                answer = await self._answer(request)
                writer.write(answer.written())
                await writer.drain()
                if answer.close:
                    return
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.writers.discard(writer)
            writer.close()
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()

    async def _answer(self, request: Request) -> Answer:
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            answer = self.answer(request)
            found = answer if isinstance(answer, Answer) else await answer
        finally:
            self.under_way -= 1
        if found.raw is None and 200 <= found.status < 300:
            self.accepted.append(request)
        return found

    async def _read(self, reader: asyncio.StreamReader, connection: int) -> Request | None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except asyncio.IncompleteReadError:
            return None
        line, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (one.partition(":") for one in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        return Request(headers, body, asyncio.get_running_loop().time(), connection, line)


@contextlib.asynccontextmanager
async def receiving(tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    """A receiver that is there."""
    receiver = Receiver()
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await receiver.connected(reader, writer)
        except asyncio.CancelledError:
            # The end of the test; a server's callback complains when its task was cancelled.
            pass
        finally:
            tasks.discard(task)

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    receiver.scheme = "http" if tls is None else "https"
    try:
        yield receiver
    finally:
        server.close()
        receiver.reset()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


async def until(
    holds: Callable[[], bool], otherwise: Callable[[], str] = lambda: "it did not happen"
) -> None:
    """Wait until something holds, with a limit."""
    try:
        async with asyncio.timeout(LIMIT):
            while not holds():
                await asyncio.sleep(0.002)
    except TimeoutError:
        raise AssertionError(otherwise()) from None
