"""Stock python-socketio on uvicorn, as its documentation shows it: a relay."""

import sys
from datetime import UTC, datetime
from typing import Any

import socketio
import uvicorn

sio = socketio.AsyncServer(async_mode="asgi", cors_allowed_origins="*")


@sio.event
async def join(sid: str, data: dict[str, Any]) -> dict[str, Any]:
    """Enter a room."""
    await sio.enter_room(sid, data["room"])
    return {"ok": True, "room": data["room"]}


@sio.event
async def chat(sid: str, data: dict[str, Any]) -> dict[str, Any]:
    """Relay a message to its room."""
    await sio.emit("chat", data, room=data["room"])
    return {"ok": True}


@sio.event
async def ping(sid: str, data: dict[str, Any]) -> dict[str, Any]:
    """Answer with an acknowledgement."""
    return {"ok": True, "pong": True, "timestamp": datetime.now(UTC).isoformat()}


if __name__ == "__main__":
    uvicorn.run(
        socketio.ASGIApp(sio), host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", backlog=4096
    )
