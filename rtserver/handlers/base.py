"""What every handler is given."""

from __future__ import annotations

from dataclasses import dataclass

from rtserver.auth.grants import Grants
from rtserver.node import Node

# What a stock client takes in one packet, and so in one answer.
MAX_BINARY = 10


@dataclass(frozen=True, slots=True)
class Context:
    """The node, what clients may do, and how much of it."""

    node: Node
    grants: Grants
    rooms_per_client: int | None
