"""A server of a few lines that speaks Socket.IO over WebSocket the way a test wants it."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from websockets.asyncio.server import ServerConnection, broadcast
from websockets.http11 import Request, Response

Answer = Callable[[str, dict[str, Any]], dict[str, Any]]


@dataclass
class Peer:
    """What it is asked, and how it answers."""

    busy: int = 0
    """So many handshakes are answered 503 first."""
    refusal: dict[str, Any] | None = None
    answer: Answer = lambda event, payload: {"ok": True}
    fragmented: bool = False
    url: str = ""
    auth: list[dict[str, Any]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    rooms: dict[str, set[ServerConnection]] = field(default_factory=dict)

    def admit(self, connection: ServerConnection, request: Request) -> Response | None:
        """Turn away the first few."""
        if not self.busy:
            return None
        self.busy -= 1
        response = connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "busy")
        response.headers["Retry-After"] = "0"
        return response

    async def serve(self, connection: ServerConnection) -> None:
        """Speak with one client until it goes."""
        await connection.send('0{"sid":"s","upgrades":[]}')
        async for packet in connection:
            text = str(packet)
            self.said.append(text)
            if text.startswith("40"):
                await self._connect(connection, text)
            elif text.startswith("42"):
                await self._event(connection, text)

    async def _connect(self, connection: ServerConnection, packet: str) -> None:
        self.auth.append(json.loads(packet[2:]))
        await connection.send("2")
        await connection.send(f"44{json.dumps(self.refusal)}" if self.refusal else '40{"sid":"n"}')

    async def _event(self, connection: ServerConnection, packet: str) -> None:
        number, _, rest = packet[2:].partition("[")
        event, payload = json.loads(f"[{rest}")
        answer = self.answer(event, payload)
        if event == "join":
            self.rooms.setdefault(payload["room"], set()).add(connection)
        elif answer["ok"]:
            await self._relay(payload)
        await connection.send(f"43{number}[{json.dumps(answer)}]")

    async def _relay(self, payload: dict[str, Any]) -> None:
        text = f'42["chat",{json.dumps(payload, separators=(",", ":"))}]'
        if not self.fragmented:
            broadcast(self.rooms[payload["room"]], text)
            return
        for member in self.rooms[payload["room"]]:
            await member.send([text[:20], text[20:]])
