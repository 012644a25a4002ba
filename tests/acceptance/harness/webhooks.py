"""The shapes of CONTRACT section 7, a server with targets, and the outbox as `rtserver webhooks` shows it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rtserver.protocol.hooks import HOOK_EVENTS

from .node_client import NodeClient, until
from .receiver import Event
from .server import Server, Servers, merged, run_command
from .shapes import check_ack, check_count, check_timestamp

CONNECTED = {
    "client_number",
    "total_connections",
    "client_id",
    "user_id",
    "sid",
    "session_id",
    "transport",
    "ip",
}
MEMBER = {"room", "client_id", "user_id", "sid", "count"}
DATA: dict[str, set[str]] = {
    "server-status": {"status", "timestamp", "node", "version", "uptime_s"},
    "client-connected": CONNECTED,
    "client-disconnected": {
        "remaining_connections",
        "client_id",
        "user_id",
        "sid",
        "session_id",
        "reason",
        "duration_s",
    },
    "client-resumed": CONNECTED | {"recovered"},
    "room-joined": MEMBER,
    "room-left": MEMBER,
    "room-occupied": {"room"},
    "room-vacated": {"room"},
    "message-broadcast": {"message", "sender", "timestamp", "room", "id", "offset", "data"},
    "broadcast-stats": {"active_connections", "total_messages", "rooms", "deliveries", "messages_per_s"},
}
COUNTS = (
    "client_number",
    "total_connections",
    "remaining_connections",
    "count",
    "offset",
    "active_connections",
    "total_messages",
    "rooms",
    "deliveries",
)

# Nothing that comes by itself, a brief time of grace, and a lease that a test can outlive.
QUIET: dict[str, Any] = {
    "webhooks": {"stats_interval": None, "status_interval": None},
    "recovery": {"grace": "500ms"},
    "broker": {"lease": "1s"},
}


def hooked(*targets: Mapping[str, Any], **sections: Mapping[str, Any]) -> dict[str, Any]:
    """A config with these targets, and sections laid over the quiet one."""
    return merged(merged(QUIET, {"webhooks": {"targets": [dict(target) for target in targets]}}), sections)


def restarted(servers: Servers, server: Server, config: Mapping[str, Any], **more: Any) -> Server:
    """Another server in the place of one that ended: same directory, same port."""
    return servers.serve(config, port=server.port, cwd=server.cwd, **more)


def check_webhook(event: Event) -> dict[str, Any]:
    """An event as in section 7; its data is returned."""
    check_timestamp(event.timestamp)
    data = event.data
    missing = (DATA[event.type] | {"node", "epoch", "seq"}) - data.keys()
    assert not missing, f"{event.type} lacks {sorted(missing)}: {data}"
    # What machines are told that it looks like.
    HOOK_EVENTS[event.type].model_validate(data)
    assert isinstance(data["node"], str), data
    assert data["node"], data
    for number in ("epoch", "seq", *(key for key in COUNTS if key in data)):
        check_count(data[number])
    if "timestamp" in data:
        check_timestamp(data["timestamp"])
    for text in DATA[event.type] & {"client_id", "sid", "session_id", "reason", "transport", "ip", "id"}:
        assert isinstance(data[text], str), data
        assert data[text], data
    for seconds in DATA[event.type] & {"uptime_s", "duration_s", "messages_per_s"}:
        assert isinstance(data[seconds], (int, float)), data
        assert data[seconds] >= 0, data
    return data


def check_rising(events: list[Event], what: str) -> None:
    """Events of one room, or one client, arrived in the order they happened in."""
    numbers = [(event.data["epoch"], event.seq) for event in events]
    assert numbers == sorted(numbers), f"{what}: {[(e.type, e.seq) for e in events]}"


# --- the outbox from outside ----------------------------------------


def webhooks(where: Server | Path, *args: str) -> subprocess.CompletedProcess[str]:
    """`rtserver webhooks ARGS` with the server's own config."""
    cwd = where if isinstance(where, Path) else where.cwd
    done = run_command("webhooks", *args, "--config", str(cwd / "config.yaml"), cwd=cwd)
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    return done


def steer(where: Server | Path, *args: str) -> str:
    """The same, and it must succeed; what it said."""
    done = webhooks(where, *args)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def deliveries(where: Server | Path, *args: str) -> list[dict[str, Any]]:
    """What `webhooks list ARGS --json` lists."""
    listed = json.loads(steer(where, "list", *args, "--json"))
    if isinstance(listed, dict):
        (listed,) = (value for value in listed.values() if isinstance(value, list))
    for delivery in listed:
        missing = {"id", "target", "type", "state", "attempts"} - delivery.keys()
        assert not missing, f"a delivery lacks {sorted(missing)}: {delivery}"
    return list(listed)


async def until_listed(where: Server, count: int, *args: str) -> list[dict[str, Any]]:
    """The deliveries of `webhooks list ARGS`, as soon as there are `count`."""

    async def ask() -> list[dict[str, Any]]:
        return deliveries(where, *args)

    return list(await until(ask, lambda found: len(found) == count))


async def said(client: NodeClient, room: str | None, message: str, **more: Any) -> dict[str, Any]:
    """The ack of a chat."""
    payload = {"message": message, **({} if room is None else {"room": room}), **more}
    return check_ack("chat", await client.emit("chat", payload))
