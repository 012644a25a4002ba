"""How deliveries are listed, by commands and over HTTP."""

from __future__ import annotations

from typing import Any

from rtserver.protocol.identifiers import iso_timestamp
from rtserver.store.base import Delivery


def listed(delivery: Delivery) -> dict[str, Any]:
    """Return a delivery without its event."""
    return {
        "id": delivery.id,
        "event_id": delivery.event_id,
        "target": delivery.target,
        "type": delivery.type,
        "state": delivery.state,
        "attempts": delivery.attempts,
        "created_at": iso_timestamp(delivery.created_at),
        "due_at": iso_timestamp(delivery.due_at) if delivery.state == "pending" else None,
        "error": delivery.error,
        "room": delivery.room,
        "client_id": delivery.client,
    }
