"""What tells running servers that a command changed something: two numbers for each target, which they watch."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

# As text: both databases know these words, and SQLAlchemy has another one for each.
_TOUCH = text(
    "INSERT INTO targets (name, revision) VALUES (:name, 1)"
    " ON CONFLICT (name) DO UPDATE SET revision = targets.revision + 1"
)
_RELEASE = text(
    "INSERT INTO releases (target, number) VALUES (:name, 1)"
    " ON CONFLICT (target) DO UPDATE SET number = releases.number + 1"
)


async def touch(connection: AsyncConnection, name: str) -> None:
    """Let running servers read this target's deliveries anew."""
    await connection.execute(_TOUCH, {"name": name})


async def release(connection: AsyncConnection, name: str) -> None:
    """Let running servers read this target's deliveries anew, and deliver now."""
    await touch(connection, name)
    await connection.execute(_RELEASE, {"name": name})
