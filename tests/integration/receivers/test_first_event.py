"""The guide's first steps, for real: `rtserver serve` with the guide's target, and the receivers beside it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from websockets.asyncio.client import ClientConnection, connect

from tests.acceptance.harness.server import Servers
from tests.integration.receivers.guide import blocks, examples
from tests.integration.receivers.processes import LIMIT, Receiver

QUICK = {
    "demo": {"enabled": False},
    "recovery": {"grace": "30s"},
    "server": {"drain": {"delay": "0s", "spread": "0s", "timeout": "3s"}},
}
HAPPENS = {
    "server-status",
    "broadcast-stats",
    "client-connected",
    "client-resumed",
    "client-disconnected",
    "room-occupied",
    "room-joined",
    "message-broadcast",
    "room-left",
    "room-vacated",
}


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    """Starts the servers of a test, and stops them."""
    servers = Servers(tmp_path)
    yield servers
    servers.close()


async def arrive(url: str) -> ClientConnection:
    """Ada, in the lobby."""
    ada = await connect(f"{url.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket")
    await ada.send('40{"client_id":"ada","name":"Ada"}')
    await ask(ada, "join", {"room": "lobby"})
    return ada


async def ask(ada: ClientConnection, event: str, payload: dict[str, Any]) -> None:
    """Emit, and wait for the acknowledgement."""
    await ada.send(f"421{json.dumps([event, payload])}")
    async with asyncio.timeout(LIMIT):
        while not str(frame := await ada.recv()).startswith("431"):
            if frame == "2":
                await ada.send("3")
    assert '"ok":true' in str(frame), frame


def told(receiver: Receiver) -> dict[str, dict[str, Any]]:
    """The data of what the receiver printed, the last of each type."""
    lines = [line.split(" ", 3) for line in list(receiver.stdout)]
    return {type_: json.loads(data) for _, type_, _, data in lines}


async def until(receiver: Receiver, *types: str) -> dict[str, dict[str, Any]]:
    """Wait until events of these types were printed."""
    async with asyncio.timeout(LIMIT):
        while not set(types) <= told(receiver).keys():
            await asyncio.sleep(0.01)
    return told(receiver)


@pytest.mark.parametrize("batch", [None, {"max_events": 10, "max_wait": "20ms"}], ids=["single", "batch"])
async def test_first_event(receiver: Receiver, servers: Servers, batch: dict[str, Any] | None) -> None:
    """The guide's target brings every event to the receiver, with the fields that the guide shows."""
    receiver.stdout.clear()
    config = yaml.safe_load(blocks("yaml")[0])
    (target,) = config["webhooks"]["targets"]
    assert target["url"] == "http://127.0.0.1:9000/"
    target |= {"url": f"http://127.0.0.1:{receiver.port}/", "batch": batch}
    config["webhooks"]["stats_interval"] = "500ms"
    server = servers.serve(config, env={"WEBHOOK_SECRET": receiver.secret}, common=QUICK)

    ada = await arrive(server.url)
    await until(receiver, "room-joined")
    ada.transport.abort()
    ada = await arrive(server.url)
    await until(receiver, "client-resumed")
    await ask(ada, "chat", {"room": "lobby", "message": "Hello!", "data": {"mood": "happy"}})
    await ada.send("41")
    seen = await until(receiver, *HAPPENS)
    await ada.close()

    assert seen["message-broadcast"]["message"] == "Hello!"
    assert seen.keys() == HAPPENS
    shown = examples()
    assert {type_: data.keys() for type_, data in seen.items()} == {
        type_: shown[type_]["data"].keys() for type_ in HAPPENS
    }
