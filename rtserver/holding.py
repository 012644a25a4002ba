"""Clients whose line was cut: held for a time of grace, in which nobody hears that they are gone."""

from __future__ import annotations

from collections.abc import Callable

from rtserver.client import Client
from rtserver.transport.deadlines import Timer


class Holding:
    """The held clients by client_id. One that comes back gets the oldest held one without an heir as predecessor."""

    __slots__ = ("_expire", "_held", "_timer", "grace")

    def __init__(self, grace: float, expire: Callable[[Client], None]) -> None:
        self.grace = grace
        self._expire = expire
        self._held: dict[str, dict[str, Client]] = {}
        self._timer: Timer[Client] | None = Timer(grace, self._expired) if grace > 0 else None

    def hold(self, client: Client) -> None:
        """Keep the client until its time is over."""
        assert self._timer is not None
        self._held.setdefault(client.client_id, {})[client.sid] = client
        self._timer.add(client)

    def succeed(self, client: Client) -> Client | None:
        """Make *client* the heir of a held one of the same client_id, and return that one."""
        theirs = self._held.get(client.client_id, {}).values()
        predecessor = next((held for held in theirs if held.heir is None), None)
        if predecessor is None:
            return None
        predecessor.heir = client
        # A line that blinks twice: those before the first heir are now the second one's.
        for held in theirs:
            if held.heir is predecessor:
                held.heir = client
        return predecessor

    def take_back(self, client: Client) -> Client | None:
        """Return the held one that *client* is, come back under the same sid, and hold it no longer."""
        held = self._held.get(client.client_id, {}).get(client.sid)
        if held is not None:
            self._remove(held)
            for other in self._held.get(client.client_id, {}).values():
                if other.heir is held:
                    other.heir = client
        return held

    def holds(self, client: Client) -> bool:
        """Tell whether the client is held."""
        return self._held.get(client.client_id, {}).get(client.sid) is client

    def predecessors(self, client: Client) -> list[Client]:
        """Return the held ones whose heir *client* is."""
        return [held for held in self._held.get(client.client_id, {}).values() if held.heir is client]

    def everybody(self) -> list[Client]:
        """Return all held ones."""
        return [client for theirs in self._held.values() for client in theirs.values()]

    def take_predecessors(self, client: Client) -> list[Client]:
        """Return them, and hold them no longer."""
        found = self.predecessors(client)
        for held in found:
            self._remove(held)
        return found

    def take(self, client: Client) -> bool:
        """Hold the client no longer; tell whether it was held."""
        return self._remove(client)

    def take_all(self, client_id: str) -> list[Client]:
        """Return all held ones of a client_id, and hold them no longer."""
        return list(self._held.pop(client_id, {}).values())

    def take_everybody(self) -> list[Client]:
        """Return all held ones, and hold nobody any longer."""
        everybody, self._held = self.everybody(), {}
        return everybody

    def close(self) -> None:
        """Stop; nobody expires any more."""
        if self._timer is not None:
            self._timer.close()

    def _expired(self, client: Client) -> None:
        if self._remove(client):
            self._expire(client)

    def _remove(self, client: Client) -> bool:
        theirs = self._held.get(client.client_id, {})
        # One that recovered and was cut again has the same sid, and more time.
        if theirs.get(client.sid) is not client:
            return False
        del theirs[client.sid]
        if not theirs:
            del self._held[client.client_id]
        return True
