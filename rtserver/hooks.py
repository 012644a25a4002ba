"""The questions that `auth.hooks` puts to the operator's backend: who comes in, joins, publishes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

from rtserver.auth.asking import Asking
from rtserver.auth.claims import Identity
from rtserver.auth.decisions import ABSENT, Decision
from rtserver.client import Client
from rtserver.config.schema import Hooks as Settings
from rtserver.protocol.errors import FORBIDDEN, RtError


class Asker(Protocol):
    """Who wants to join: a client, or one that comes back and is none yet."""

    @property
    def sid(self) -> str:
        """The connection, or the one that was cut."""

    @property
    def client_id(self) -> str:
        """The name others address."""

    @property
    def name(self) -> str:
        """The name others see."""

    @property
    def identity(self) -> Identity | None:
        """What vouches for it."""


class Hooks:
    """Each question raises `RtError` when the answer is no; without a URL it is always yes."""

    def __init__(self, settings: Settings, asking: Asking) -> None:
        self.settings = settings
        self._asking = asking

    async def connect(
        self, client_id: str, name: str, identity: Identity | None, auth: Mapping[str, Any], ip: str
    ) -> Identity | None:
        """Return who the client is: as its token says, or as the backend does."""
        if self.settings.connect is None:
            return identity
        # What the token says is told; the token itself is nobody else's.
        said = {key: value for key, value in auth.items() if key != "token"}
        data = {**_who(client_id, name, identity), "ip": ip, "auth": said}
        decision = await self._asking.ask(self.settings.connect, "connect", data)
        _check(decision, "you may not connect")
        named = decision.identity
        if named is None:
            return identity
        if identity is None:
            # Revocations go by when somebody vouched for the client: that is now.
            return replace(named, issued_at=time.time())
        rooms = named.rooms if named.rooms is not None else identity.rooms
        return replace(identity, user=named.user, name=named.name or identity.name, rooms=rooms)

    async def join(self, client: Asker, room: str) -> None:
        """Ask whether the client may enter the room, or look into it."""
        if self.settings.join is not None:
            data = {**_who(client.client_id, client.name, client.identity), "sid": client.sid, "room": room}
            key = (client.client_id, client.identity is not None, room)
            _check(
                await self._asking.ask(self.settings.join, "join", data, key),
                "room: you may not join this room",
            )

    async def publish(self, client: Client, room: str | None, event: str, message: str, data: Any) -> Any:
        """Ask whether the client may say this; return the data to go with it, `ABSENT` for what it gave itself."""
        if self.settings.publish is None:
            return ABSENT
        question = {
            **_who(client.client_id, client.name, client.identity),
            "sid": client.sid,
            "room": room,
            "event": event,
            "message": message,
            **data,
        }
        decision = await self._asking.ask(self.settings.publish, "publish", question)
        _check(decision, "you may not publish this")
        return decision.data

    async def close(self) -> None:
        """Close the connections."""
        await self._asking.close()


def _who(client_id: str, name: str, identity: Identity | None) -> dict[str, Any]:
    return {"client_id": client_id, "user_id": identity.user if identity is not None else None, "name": name}


def _check(decision: Decision, default: str) -> None:
    if not decision.allow:
        raise RtError(FORBIDDEN, decision.reason or default)
