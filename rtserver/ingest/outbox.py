"""An outbox table in PostgreSQL: what an application writes in its own transaction is published, and then deleted.

At least once: rows go in a transaction that begins before they are published and ends after it. One node reads at a
time, in the order of ids; when it dies, its lock goes with its connection, and another goes on. A row that cannot be
published is marked with its error and holds up nobody.
"""

from __future__ import annotations

from typing import Any

from rtserver.ingest.desk import Desk
from rtserver.ingest.ledger import Ledger
from rtserver.ingest.postgres import Line, failing
from rtserver.ingest.statements import Statements
from rtserver.protocol.errors import BAD_REQUEST, MESSAGE_TOO_LARGE, RtError

# How often the table is looked at when nobody says that there is something, in seconds.
_POLL = 1.0
# How many rows a transaction takes, how many are read from the server at once, and after how many bytes no more are.
MAX_ROWS, _CHUNK, _MAX_BYTES = 500, 50, 8_000_000
# Sets our locks apart from those of applications.
_LOCKS = 0x7274_7376 << 32


class OutboxReader:
    """Reads the table of one source."""

    def __init__(self, dsn: str, table: str, desk: Desk, ledger: Ledger) -> None:
        self._table = table
        self._desk = desk
        self._ledger = ledger
        self._sql = Statements(table, MAX_ROWS)
        self._line = Line(dsn, table, lambda _: None)
        self._lock = 0
        self._more = True
        # Rows that are published, and whose transaction may have failed: they are not published again.
        self._published: set[int] = set()

    async def open(self) -> None:
        """Connect, and see whether the table is as it has to be."""
        await self._line.open()
        with failing():
            self._lock = _LOCKS | await self._line.connection.fetchval(self._sql.oid)
            await self._line.connection.execute(self._sql.check)
        self._more = True

    async def receive(self) -> bool:
        """Wait until there may be rows."""
        if not self._more:
            await self._line.wait(_POLL)
        return True

    async def process(self, batch: bool) -> None:
        """Publish a page of rows, and delete them."""
        with failing():
            async with self._line.connection.transaction():
                self._more = await self._turn()
        self._published.clear()

    async def close(self) -> None:
        """Disconnect."""
        await self._line.close()

    async def _turn(self) -> bool:
        connection = self._line.connection
        if not await connection.fetchval(self._sql.turn, self._lock):
            return False
        rows, more = await self._page()
        if not rows:
            return False
        new = [row for row in rows if row["id"] not in self._published]
        self._ledger.repeated(len(rows) - len(new))
        errors = await self._desk.publish([self._body(row) for row in new], self._ledger)
        bad = {row["id"]: why for row, why in zip(new, errors, strict=True) if why is not None}
        self._published.update(row["id"] for row in new if row["id"] not in bad)
        for row_id, why in bad.items():
            self._ledger.bad(f"row {row_id} of {self._table}", why, "the row, with its error")
        await connection.execute(self._sql.delete, [row["id"] for row in rows if row["id"] not in bad])
        if bad:
            told = [f"{why.reason.reason}: {why.message}" for why in bad.values()]
            await connection.execute(self._sql.mark, list(bad), told)
        return more

    async def _page(self) -> tuple[list[Any], bool]:
        """Return rows, and whether there may be more of them."""
        cursor = await self._line.connection.cursor(self._sql.page, self._desk.max_bytes)
        rows: list[Any] = []
        size = 0
        while len(rows) < MAX_ROWS and size < _MAX_BYTES:
            chunk = await cursor.fetch(_CHUNK)
            rows += chunk
            size += sum(len(row["body"] or "") for row in chunk)
            if len(chunk) < _CHUNK:
                return rows, False
        return rows, True

    def _body(self, row: Any) -> str | RtError:
        if row["body"] is not None:
            return str(row["body"])
        if row["size"] is None:
            return RtError(BAD_REQUEST, "body is null")
        most = self._desk.max_bytes
        return RtError(MESSAGE_TOO_LARGE, f"the record has {row['size']} bytes, {most} are allowed")
