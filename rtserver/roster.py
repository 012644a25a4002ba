"""Who is connected to this node: clients by sid and by client_id."""

from __future__ import annotations

from rtserver.client import Client


class Roster:
    """The live clients. Every question costs O(1) or O(the connections of one client_id)."""

    __slots__ = ("_by_id", "_by_sid")

    def __init__(self) -> None:
        self._by_sid: dict[str, Client] = {}
        self._by_id: dict[str, dict[str, Client]] = {}

    def __len__(self) -> int:
        return len(self._by_sid)

    @property
    def users(self) -> int:
        """How many different client_ids there are."""
        return len(self._by_id)

    def __contains__(self, sid: str) -> bool:
        return sid in self._by_sid

    def add(self, client: Client) -> None:
        """Enter a client that was accepted."""
        self._by_sid[client.sid] = client
        self._by_id.setdefault(client.client_id, {})[client.sid] = client

    def remove(self, client: Client) -> bool:
        """Strike a client off; tell whether it was there."""
        # One that recovered has the sid of the connection that was cut.
        if self._by_sid.get(client.sid) is not client:
            return False
        del self._by_sid[client.sid]
        theirs = self._by_id[client.client_id]
        del theirs[client.sid]
        if not theirs:
            del self._by_id[client.client_id]
        return True

    def get(self, sid: str) -> Client | None:
        """Return the connection of that sid."""
        return self._by_sid.get(sid)

    def of(self, client_id: str) -> list[Client]:
        """Return the connections of a client_id."""
        return list(self._by_id.get(client_id, {}).values())

    def everybody(self) -> list[Client]:
        """Return all connections."""
        return list(self._by_sid.values())

    def has(self, client_id: str) -> bool:
        """Tell whether a client_id has any connection."""
        return client_id in self._by_id

    def client_ids(self) -> list[str]:
        """Return all client_ids."""
        return list(self._by_id)
