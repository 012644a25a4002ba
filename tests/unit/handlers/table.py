"""A server of one test: a real node and broker behind a router, asked by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from rtserver.auth.grants import Grants
from rtserver.client import Client
from rtserver.handlers.base import Context
from rtserver.keeper import Keeper
from rtserver.notifications import Notifications
from rtserver.reports import Reporter
from rtserver.router import Router
from tests.unit.node.stand_ins import app, arrive, done, heard
from tests.unit.store.list_inbox import ListInbox


class Table:
    """The node with its router."""

    def __init__(self, config: Mapping[str, Any] | None = None) -> None:
        self.app = app(config)
        self.node = self.app.node
        settings = self.app.config
        self.inbox = ListInbox()
        self.keeper = Keeper(self.inbox, max_age=None, max_count=None)
        self.notifications = Notifications(
            self.node,
            self.inbox,
            self.keeper,
            Reporter(self.app.webhooks.emitter),
            settings.limits.message_size,
            trusting=settings.auth.mode == "none",
        )
        self.context = Context(
            self.node, Grants(settings.rooms), settings.limits.rooms_per_client, self.notifications
        )
        self.router = Router(self.context, settings.limits)

    def person(self, client_id: str = "ann", *rooms: str, **more: Any) -> Client:
        """A client that is in these rooms and has heard nothing yet."""
        client = arrive(self.node, client_id, **more)
        for room in rooms:
            ack = self.ask(client, "join", {"room": room})
            assert ack["ok"], ack
        heard(client)
        return client

    def ask(
        self, client: Client, event: Any, *args: Any, size: int | None = None, now: float = 0.0
    ) -> dict[str, Any]:
        """The acknowledgement of an event."""
        ack = done(self.router.answer(client, event, list(args), self.size(args, size), now, wants_ack=True))
        assert isinstance(ack, dict)
        return ack

    def tell(self, client: Client, event: Any, *args: Any, size: int | None = None, now: float = 0.0) -> None:
        """An event that wants no acknowledgement."""
        ack = done(self.router.answer(client, event, list(args), self.size(args, size), now, wants_ack=False))
        assert ack is None

    @staticmethod
    def size(args: Any, size: int | None) -> int:
        """What the packet weighs at least."""
        if size is not None:
            return size
        binary = 0

        def weigh(part: bytes) -> str:
            nonlocal binary
            binary += len(part)
            return ""

        try:
            return len(orjson.dumps(args, default=weigh)) + binary
        except TypeError:
            return 1000


def reason(ack: Mapping[str, Any]) -> str:
    """The reason of a refusal, which has exactly the contract's keys."""
    assert ack["ok"] is False, ack
    assert ack.keys() == {"ok", "error"}
    error = ack["error"]
    assert error.keys() - {"retry_after"} == {"code", "reason", "message"}
    assert error["message"]
    return str(error["reason"])
