"""Where all records are handed in: bytes → what the HTTP API takes → published, in order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import orjson

from rtserver.ingest.backoff import Backoff
from rtserver.ingest.ledger import Ledger
from rtserver.protocol.errors import BAD_REQUEST, MESSAGE_TOO_LARGE, SERVER_ERROR, RtError
from rtserver.publishing import Accepted, Publishing
from rtserver.telemetry.log import logger
from rtserver.webhooks.journal import Receipt

_log = logger("ingest")

# After so many publications and deliveries in a row others have their turn.
_TURN = 200
# How long before a record is tried again that could not be published just now, at first and at most, in seconds.
_BACK_OFF = 0.1, 10.0
# A record that fails so often for a reason nobody foresaw is a bad one: it must not hold up those behind it for ever.
_SURPRISES = 5


class Desk:
    """Publishes what records say. *max_bytes* bounds one; *recorded* returns once webhooks are sure to tell of all."""

    def __init__(
        self, publishing: Publishing, recorded: Callable[[], Awaitable[None]], max_bytes: int
    ) -> None:
        self.max_bytes = max_bytes
        self._publishing = publishing
        self._recorded = recorded

    async def publish(self, bodies: Sequence[bytes | str | RtError], ledger: Ledger) -> list[RtError | None]:
        """Publish one after the other; return for each why it can never be, or None once webhooks will tell of it.

        What fails for the moment is tried again until it works, and those behind it wait. An `RtError` in place of a
        body is returned as it is.
        """
        found: list[RtError | None] = []
        receipts: dict[int, Receipt] = {}
        work = 0
        for body in bodies:
            done = body if isinstance(body, RtError) else await self._one(body, ledger)
            work += 1
            if isinstance(done, Accepted):
                work += done.recipients
                if done.receipt is not None:
                    receipts[id(done.receipt)] = done.receipt
            found.append(done if isinstance(done, RtError) else None)
            if work >= _TURN:
                work = 0
                await asyncio.sleep(0)
        ledger.published(found.count(None))
        await self._told(list(receipts.values()), ledger)
        return found

    async def _one(self, body: bytes | str, ledger: Ledger) -> Accepted | RtError:
        try:
            payload = self._parsed(body)
        except RtError as error:
            return error
        wait, surprises = Backoff(*_BACK_OFF), 0
        while True:
            try:
                return await self._publishing.begin(payload)
            except RtError as error:
                if not error.reason.reconnect:
                    return error
                ledger.waits("a record cannot be published now", error.message)
            except Exception:
                surprises += 1
                _log.exception("a record could not be published", source=str(ledger.name))
                if surprises == _SURPRISES:
                    return RtError(SERVER_ERROR, "the server failed")
            await asyncio.sleep(wait.next())

    def _parsed(self, body: bytes | str) -> object:
        if len(body) > self.max_bytes:
            raise RtError(
                MESSAGE_TOO_LARGE, f"the record has {len(body)} bytes, {self.max_bytes} are allowed"
            )
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise RtError(BAD_REQUEST, f"the record is not JSON: {error}") from None

    async def _told(self, receipts: list[Receipt], ledger: Ledger) -> None:
        """Wait until webhooks are sure to tell of all. A store that fails is waited for; members have heard it."""
        for receipt in receipts:
            if receipt.committed is None:
                await _settled(receipt)
        if not all(receipt.committed for receipt in receipts):
            ledger.waits(
                "records were published and cannot be recorded for webhooks", "the store cannot be written"
            )
            await self._recorded()


async def _settled(receipt: Receipt) -> None:
    settled = asyncio.Event()
    receipt.then(lambda _: settled.set())
    await settled.wait()
