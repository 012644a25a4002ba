"""A long outbox: how soon a server accepts connections on it, and how fast it works it off."""

import asyncio
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import orjson

from bench import processes
from bench.hooks.comparison import NEVER
from bench.hooks.receiver import Receiver, receiving
from bench.hooks.targets import batching, serving
from bench.scenarios import Figures, Pace
from rtserver.store.base import SLOT_BITS, Changes, Delivery, Life
from rtserver.store.lives import SqlLives
from rtserver.store.opening import database_at
from rtserver.store.outbox import SqlOutbox

FEW, MANY = 20_000, 1_000_000
AT_ONCE = 20_000
ROOMS, CLIENTS = 20, 100


def measure(_pace: Pace) -> dict[str, Figures]:
    """Start on an outbox with few and one with very many pending deliveries of a life that is over."""
    with tempfile.TemporaryDirectory() as folder, receiving() as receiver:
        few, many = (_worked_off(receiver, Path(folder) / f"{count}.db", count) for count in (FEW, MANY))
    start = {"value": many["started_in"], "off": few["started_in"], "on": many["started_in"]}
    done = min(few["events"], many["events"]) >= FEW
    ratio = many["us"] / few["us"] if done else NEVER
    return {
        "hooks-start": start,
        "hooks-million": {"value": ratio, "off": few["us"], "on": many["us"], "few": few, "many": many},
    }


def _worked_off(receiver: Receiver, store: Path, count: int) -> Figures:
    """Return how long the first FEW deliveries took, each, from the first on."""
    asyncio.run(_fill(store, count))
    receiver.reset()
    with serving([batching("hooks", receiver.port)], store) as server:
        came = receiver.wait_for(FEW, most=60)
        cpu = processes.cpu_seconds(server.pids)
        later = receiver.wait_for(min(count, 5 * FEW), most=30)
    took = came["last"] - came["first"]
    lasting = later["last"] - later["first"]
    return {
        "started_in": server.started_in,
        "us": took * 1e6 / FEW,
        "events": came["events"],
        "cpu_us_with_start": cpu * 1e6 / max(1, came["events"]),
        "lasting_per_s": later["events"] / lasting if lasting else 0.0,
    }


async def _fill(store: Path, count: int) -> None:
    """Write deliveries as a server would have that ended before it could send them."""
    database = database_at(f"sqlite:///{store}")
    await database.open()
    try:
        lives, outbox = SqlLives(database), SqlOutbox(database)
        life = await lives.begin("before", ["hooks"], time.time() - 60)
        for first in range(0, count, AT_ONCE):
            await outbox.commit(
                Changes(deliveries=list(_deliveries(life, first, min(AT_ONCE, count - first))))
            )
        await lives.end()
    finally:
        await database.close()


def _deliveries(life: Life, first: int, count: int) -> Iterator[Delivery]:
    now = time.time()
    for number in range(first, first + count):
        room, client = f"bench-{number % ROOMS}", f"guest-{number % CLIENTS}"
        event = {
            "type": "message-broadcast",
            "timestamp": "2026-01-01T00:00:00.000Z",
            "data": {
                "id": f"m{number:012d}",
                "message": "0" * 16 + "x" * 48,
                "sender": client,
                "timestamp": "2026-01-01T00:00:00.000Z",
                "room": room,
                "offset": number // ROOMS + 1,
                "data": None,
                "node": "before",
                "epoch": life.epoch,
                "seq": number + 1,
            },
        }
        yield Delivery(
            position=(life.epoch + number) << SLOT_BITS | life.slot,
            event_id=f"e{number:012d}",
            target="hooks",
            type="message-broadcast",
            room=room,
            client=client,
            body=orjson.dumps(event),
            life=life.epoch,
            created_at=now,
            due_at=now,
        )
