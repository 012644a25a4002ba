"""History and recovery: what they cost while nobody needs them, what they keep, and how fast a crowd is back."""

import asyncio
import json
import time
import urllib.parse
from contextlib import suppress
from dataclasses import replace
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from bench import processes
from bench.generator import Load, load_on
from bench.hooks.comparison import NEVER, Comparison, Pairs, times
from bench.scenarios import Figures, Pace
from bench.servers import RTSERVER, Running, running

CLIENTS, MISSED = 1000, 50
TURNS = 6
OFF_SERVER = replace(RTSERVER, name="rtserver-off")
STORED, ROOMS = 100_000, 100
# Publishers take turns, but the small rooms' would meet the limit of 100 events per second.
ON = {"RTSERVER__LIMITS__RATE": "null"}
OFF = {
    **ON,
    "RTSERVER__RECOVERY__ENABLED": "false",
    "RTSERVER__ROOMS": json.dumps([{"match": "*", "history": {"size": 0}}]),
}
LONG_MEMORY = {**ON, "RTSERVER__ROOMS": json.dumps([{"match": "*", "history": {"size": STORED // ROOMS}}])}
SAY = json.dumps(["chat", {"room": "r", "message": "x" * 100}])


def _cost(pace: Pace) -> dict[str, Figures]:
    """Publish to 1000 members, and to 200 rooms of 5: history and recovery off, and on as they are shipped.

    Both servers are there all the time and are given the same work in short turns: what the machine does meanwhile
    hits both.
    """
    found = {}
    with running(OFF_SERVER, OFF) as off, running(RTSERVER, ON) as on:
        for rooms, inflights in ((1, (1, 4, 32)), (200, (200,))):
            with load_on(off) as load_off, load_on(on) as load_on_:
                for load in (load_off, load_on_):
                    load.open(clients=1000, rooms=rooms)
                for inflight in inflights:
                    row = f"recovery-{inflight}" if rooms == 1 else "recovery-rooms"
                    found[row] = times(_turns((load_off, load_on_), inflight, pace), "cpu_us")
    return found


def _turns(loads: tuple[Load, Load], inflight: int, pace: Pace) -> Pairs:
    pairs = []
    for number in range(TURNS * pace.pairs):
        figures = {}
        for side in (0, 1) if number % 2 == 0 else (1, 0):
            answer = loads[side].run(inflight=inflight, publishers=1000, seconds=pace.seconds / 3, warm=0.1)
            # No webhook is owed.
            figures[side] = {**answer, "published": 0, "received": 0}
        pairs.append((figures[0], figures[1]))
    return pairs


def _memory(_pace: Pace) -> dict[str, Figures]:
    """Fill the histories of 100 rooms with 1000 messages each, all of them kept for recovery as well."""
    with running(RTSERVER, LONG_MEMORY) as server, load_on(server) as load:
        load.open(clients=ROOMS, rooms=ROOMS)
        load.run(inflight=ROOMS, publishers=ROOMS, seconds=0.05, warm=0)
        before, published = processes.resident_kb(server.pids), 0
        # The generator's rooms take turns: when a fifth more was published all of them are full.
        while published < 1.2 * STORED:
            published += load.run(inflight=ROOMS, publishers=ROOMS, seconds=1, warm=0)["published"]
        after = processes.resident_kb(server.pids)
    return {"recovery-stored": {"value": (after - before) * 1024 / STORED, "published": published}}


def _crowd(_pace: Pace) -> dict[str, Figures]:
    with running(RTSERVER, ON) as server:
        back = asyncio.run(_back(server))
    seconds = back["seconds"] if back["recovered"] == CLIENTS else NEVER
    return {"recovery-back": {"value": seconds, **back}}


RECOVERY = (
    Comparison(("recovery-1", "recovery-4", "recovery-32", "recovery-rooms"), _cost),
    Comparison(("recovery-back",), _crowd),
    Comparison(("recovery-stored",), _memory),
)


class Client:
    """One that remembers what stock socket.io-client remembers."""

    def __init__(self, port: int, number: int) -> None:
        query = urllib.parse.urlencode({"EIO": 4, "transport": "websocket"})
        self._url = f"ws://127.0.0.1:{port}/socket.io/?{query}"
        self._auth: dict[str, Any] = {"client_id": f"c{number}"}
        self._line: ClientConnection | None = None

    async def come(self) -> bool:
        """Connect; tell whether the session was recovered."""
        self._line = await connect(
            self._url, compression=None, proxy=None, ping_interval=None, max_queue=None
        )
        await self._line.recv()
        await self._line.send("40" + json.dumps(self._auth))
        accepted = json.loads(str(await self._line.recv())[2:])
        recovered = bool(accepted["pid"] == self._auth.get("pid"))
        self._auth["pid"] = accepted["pid"]
        if not recovered:
            self._auth["offset"] = json.loads(str(await self._line.recv())[2:])[-1]
            await self.call(["join", {"room": "r"}])
        return recovered

    async def call(self, event: list[Any]) -> None:
        """Send an event and wait for its acknowledgement; what comes before it is heard."""
        assert self._line is not None
        await self._line.send("421" + json.dumps(event))
        while not (heard := str(await self._line.recv())).startswith("431"):
            if heard.startswith("42"):
                self._auth["offset"] = json.loads(heard[2:])[-1]

    async def hear(self, count: int) -> None:
        """Wait for so many messages."""
        assert self._line is not None
        while count:
            count -= str(await self._line.recv()).startswith('42["chat"')

    def cut(self) -> None:
        """Be gone without a word."""
        assert self._line is not None
        self._line.transport.abort()


async def _back(server: Running) -> dict[str, Any]:
    """Cut a crowd off, let it miss something, and return how long it takes until all of it is back and told."""
    clients = [Client(server.port, number) for number in range(CLIENTS)]
    for start in range(0, CLIENTS, 100):
        await asyncio.gather(*(client.come() for client in clients[start : start + 100]))
    for client in clients:
        await client.call(["ping", {}])
        client.cut()
    speaker = Client(server.port, CLIENTS)
    await speaker.come()
    for _ in range(MISSED):
        await speaker.call(json.loads(SAY))
    cpu, begun = processes.cpu_seconds(server.pids), time.monotonic()

    async def back(client: Client) -> bool:
        recovered = await client.come()
        with suppress(TimeoutError):
            async with asyncio.timeout(30):
                await client.hear(MISSED)
                return recovered
        return False

    recovered = sum(await asyncio.gather(*map(back, clients)))
    return {
        "recovered": recovered,
        "seconds": round(time.monotonic() - begun, 2),
        "server_cpu_s": round(processes.cpu_seconds(server.pids) - cpu, 2),
    }
