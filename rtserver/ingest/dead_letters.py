"""The topic for records that cannot be published: as they came, with headers that say why and where from."""

from __future__ import annotations

import asyncio
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, RecordTooLargeError

from rtserver.ingest.backoff import Backoff
from rtserver.ingest.ledger import Ledger
from rtserver.protocol.errors import RtError

# What a broker takes is its own business; this is only not to be in the way.
_MAX_REQUEST = 64 * 1024 * 1024
_BACK_OFF = 0.5, 30.0


class DeadLetters:
    """Writes to *topic*; *client* are the options of the connection."""

    def __init__(self, topic: str, client: dict[str, Any], ledger: Ledger) -> None:
        self.topic = topic
        self._ledger = ledger
        self._producer = AIOKafkaProducer(**client, acks="all", max_request_size=_MAX_REQUEST)

    async def open(self) -> None:
        """Connect."""
        await self._producer.start()

    async def close(self) -> None:
        """Disconnect."""
        await self._producer.stop()

    async def write(self, record: Any, why: RtError) -> None:
        """Write a record down; return once the brokers have it, however long that takes.

        One that is too large for the topic stays in its own.
        """
        wait = Backoff(*_BACK_OFF)
        while True:
            try:
                await self._producer.send_and_wait(
                    self.topic,
                    value=record.value,
                    key=record.key,
                    headers=[*record.headers, *_headers(record, why, self._ledger.name.name)],
                )
                return
            except (MessageSizeTooLargeError, RecordTooLargeError) as error:
                self._ledger.waits(
                    "a record is too large for the dead letter topic and was left out", str(error)
                )
                return
            except KafkaError as error:
                self._ledger.waits("the dead letter topic cannot be written", repr(error))
                await asyncio.sleep(wait.next())


def _headers(record: Any, why: RtError, source: str) -> list[tuple[str, bytes]]:
    told = {
        "reason": why.reason.reason,
        "message": why.message,
        "source": source,
        "topic": record.topic,
        "partition": str(record.partition),
        "offset": str(record.offset),
        "timestamp": str(record.timestamp),
    }
    return [(f"rtserver.error.{key}", value.encode()) for key, value in told.items()]
