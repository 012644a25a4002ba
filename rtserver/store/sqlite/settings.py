"""How a connection to SQLite is set up.

WAL mode (https://www.sqlite.org/wal.html) with ``synchronous=NORMAL``: what is committed survives the death of the
process at any point. The last few commits before a power cut may be lost, the file stays sound.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

# The writer has its checkpoints beside it (checkpoints.py), after 32 MB. The other connections make one only when those
# do not come: one waits for the disk, and with it the transaction that set it off.
PRAGMAS = ("journal_mode=WAL", "synchronous=NORMAL", "temp_store=MEMORY", "wal_autocheckpoint=16000")
# An execution option: who has it takes no lock.
READING: dict[str, Any] = {"rtserver_reading": True}


def settle(engine: AsyncEngine) -> None:
    """Set every connection up, and begin transactions as we do."""

    @event.listens_for(engine.sync_engine, "connect")
    def connected(connection: Any, record: Any) -> None:
        # Transactions begin when we say so: the driver's own way would let a reader become a writer, which SQLite
        # refuses at once when another has written meanwhile.
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in PRAGMAS:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Any) -> None:
        if not connection.get_execution_options().keys() >= READING.keys():
            connection.exec_driver_sql("BEGIN IMMEDIATE")
