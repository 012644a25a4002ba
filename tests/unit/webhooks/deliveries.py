"""Deliveries for the tests, all of them alike but for what matters."""

from __future__ import annotations

from typing import Any

from rtserver.store.base import Delivery

NOW = 1_700_000_000.0


def delivery(position: int, room: str | None = None, client: str | None = None, **more: Any) -> Delivery:
    """A pending delivery of the target ``audit``."""
    given: dict[str, Any] = {
        "event_id": f"event-{position}",
        "target": "audit",
        "type": "room-joined",
        "body": b'{"type":"room-joined","n":%d}' % position,
        "life": 1,
        "created_at": NOW,
        "due_at": NOW,
        **more,
    }
    return Delivery(position=position, room=room, client=client, **given)
