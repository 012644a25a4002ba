"""Recovery: what it costs while nobody needs it, and how fast a crowd is back: python -m bench.recovering."""

import asyncio
import json
import sys
import time
import urllib.parse
from contextlib import suppress
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from bench import processes
from bench.generator import load_on
from bench.servers import RTSERVER, Running, running

CLIENTS, MISSED = 1000, 50
ON = {"RTSERVER__LIMITS__RATE": "null"}
OFF = {**ON, "RTSERVER__RECOVERY__ENABLED": "false"}
SAY = json.dumps(["chat", {"room": "r", "message": "x" * 100}])


def fan_out(environment: dict[str, str], seconds: float) -> dict[str, float]:
    """Return the CPU per delivery to a room of 1000, in µs, by how many publications are under way."""
    with running(RTSERVER, environment) as server, load_on(server) as load:
        load.open(clients=1000, rooms=1)
        return {
            f"chat-{inflight}": load.run(inflight=inflight, publishers=1000, seconds=seconds, warm=1)[
                "cpu_us"
            ]
            for inflight in (1, 4, 32)
        }


def idle(environment: dict[str, str], clients: int = 3000) -> float:
    """Return the memory per idle client in KB."""
    with running(RTSERVER, environment) as server:
        before = processes.resident_kb(server.pids)
        with load_on(server) as load:
            load.open(clients=clients, rooms=clients // 50)
            time.sleep(1)
            return (processes.resident_kb(server.pids) - before) / clients


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
        recovered = accepted["pid"] == self._auth.get("pid")
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


async def crowd(server: Running) -> dict[str, Any]:
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


def main(rounds: int = 3, seconds: float = 3.0) -> None:
    """Measure on and off in turns, and print the medians as JSON."""
    found: dict[str, list[dict[str, float]]] = {"on": [], "off": []}
    for _ in range(rounds):
        for name, environment in (("off", OFF), ("on", ON)):
            found[name].append({**fan_out(environment, seconds), "memory": idle(environment)})
    medians = {
        name: {row: sorted(one[row] for one in ones)[rounds // 2] for row in ones[0]}
        for name, ones in found.items()
    }
    with running(RTSERVER, ON) as server:
        back = asyncio.run(crowd(server))
    ratios = {row: round(medians["on"][row] / medians["off"][row], 3) for row in medians["on"]}
    json.dump({**medians, "on ÷ off": ratios, "crowd": back}, sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
