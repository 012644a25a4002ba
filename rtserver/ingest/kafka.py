"""Topics of Kafka: a record's value is the body of ``POST /api/publish``, a partition is published in order.

At least once: an offset is committed after its record was published and is sure to reach the webhooks. What a partition
loses to another member in between is published by both.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Coroutine, Iterator
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from rtserver.config.schema import KafkaSource
from rtserver.ingest import kafka_options
from rtserver.ingest.dead_letters import DeadLetters
from rtserver.ingest.desk import Desk
from rtserver.ingest.ledger import Ledger
from rtserver.ingest.replays import Replays
from rtserver.ingest.source import Unreachable
from rtserver.protocol.errors import BAD_REQUEST, RtError
from rtserver.telemetry.log import logger

_log = logger("ingest")

# How long the first assignment may take (a group may have to wait for a slow member), and how long what is under way
# may hold up a rebalance. In seconds.
_JOINING, _YIELDING = 90.0, 20.0
# How often offsets are committed, how long nothing may come before the brokers are asked whether they are still there,
# and how long their answer may take. In seconds.
_COMMIT, _QUIET, _ANSWER = 0.1, 3.0, 7.0
# How long each of the steps of closing may take, in seconds.
_CLOSING = 1.0

Batch = dict[TopicPartition, list[Any]]


class KafkaReader(ConsumerRebalanceListener):  # type: ignore[misc]
    """Reads the topics of one source as a member of its group."""

    def __init__(self, config: KafkaSource, desk: Desk, ledger: Ledger) -> None:
        self._config = config
        self._desk = desk
        self._ledger = ledger
        self._replays: Replays[TopicPartition] = Replays()
        self._consumer: Any = None
        self._letters: DeadLetters | None = None
        self._busy = asyncio.Lock()
        self._heard = self._committed = 0.0
        # How often partitions were taken from us.
        self._rebalances = 0

    async def open(self) -> None:
        """Join the group."""
        self._replays.lose_all()
        with _failing(ValueError):
            client = kafka_options.client(self._config)
            self._consumer = AIOKafkaConsumer(**client, **kafka_options.consumer(self._config))
            self._consumer.subscribe(topics=list(self._config.topics), listener=self)
            async with asyncio.timeout(_JOINING):
                await self._consumer.start()
            if self._config.dead_letter_topic is not None:
                self._letters = DeadLetters(self._config.dead_letter_topic, client, self._ledger)
                await self._letters.open()
        self._heard = time.monotonic()

    async def receive(self) -> Batch | None:
        """Wait for records; commit, and see whether the brokers are there, while there are none."""
        with _failing():
            wait = _COMMIT if self._due() else 1.0
            batch: Batch = await self._consumer.getmany(timeout_ms=int(wait * 1000))
            if batch:
                self._heard = time.monotonic()
                return batch
            await self._commit()
            if time.monotonic() - self._heard >= _QUIET:
                await self._probe()
                self._heard = time.monotonic()
        return None

    async def process(self, batch: Batch) -> None:
        """Publish them, put the bad ones aside, and commit now and then."""
        async with self._busy:
            # While it waited for the lock, partitions may have gone to others.
            assigned, rebalances = self._consumer.assignment(), self._rebalances
            records = [record for at, part in batch.items() if at in assigned for record in part]
            new = [r for r in records if self._replays.is_new(_partition(r), r.offset)]
            self._ledger.repeated(len(records) - len(new))
            errors = await self._desk.publish([_body(record) for record in new], self._ledger)
            bad = [(record, why) for record, why in zip(new, errors, strict=True) if why is not None]
            await asyncio.gather(*(self._put_aside(record, why) for record, why in bad))
            for at, part in batch.items():
                if at in assigned:
                    # One that went in the meantime may be back already, and further than this.
                    self._replays.publish(at, part[-1].offset + 1, ours=rebalances == self._rebalances)
            if time.monotonic() - self._committed >= _COMMIT:
                with _failing():
                    await self._commit()

    async def close(self) -> None:
        """Commit, and leave the group."""
        consumer, letters = self._consumer, self._letters
        self._consumer = self._letters = None
        if letters is not None:
            await _ended(letters.close())
        if consumer is not None:
            await _ended(self._commit_with(consumer))
            if not await _ended(consumer.stop()):
                # It gives up halfway when its brokers are gone, and its connections would stay for ever.
                await _ended(consumer._client.close())  # noqa: SLF001

    async def on_partitions_revoked(self, revoked: Any) -> None:
        """Finish what is under way before the partitions go to others."""
        try:
            async with asyncio.timeout(_YIELDING), self._busy:
                await self._commit()
        except (TimeoutError, KafkaError) as error:
            _log.warning("partitions go before their offsets were committed", why=repr(error))
        finally:
            self._rebalances += 1
            self._replays.lose(revoked)

    async def on_partitions_assigned(self, assigned: Any) -> None:
        """Say which partitions are ours now."""
        names = sorted(f"{at.topic}-{at.partition}" for at in assigned)
        _log.info("partitions are assigned", source=str(self._ledger.name), partitions=names[:100])

    def _due(self) -> dict[TopicPartition, int]:
        return self._replays.due(self._consumer.assignment())

    async def _commit(self) -> None:
        if self._consumer is not None:
            await self._commit_with(self._consumer)

    async def _commit_with(self, consumer: Any) -> None:
        self._committed = time.monotonic()
        due = self._replays.due(consumer.assignment())
        if not due:
            return
        try:
            # It would wait for a group whose brokers are gone, without an end.
            async with asyncio.timeout(_ANSWER):
                await consumer.commit(due)
        except (CommitFailedError, IllegalStateError) as error:
            # The group moved on without us: whoever has the partitions now publishes these again.
            _log.warning("offsets could not be committed", source=str(self._ledger.name), why=repr(error))
            self._replays.lose(due)
        else:
            self._replays.commit(due)

    async def _probe(self) -> None:
        # aiokafka keeps it to itself when its brokers are gone.
        assigned = self._consumer.assignment()
        async with asyncio.timeout(_ANSWER):
            await (self._consumer.end_offsets(list(assigned)) if assigned else self._consumer.topics())

    async def _put_aside(self, record: Any, why: RtError) -> None:
        if self._letters is not None:
            await self._letters.write(record, why)
        where = f"{record.topic}-{record.partition}@{record.offset}"
        self._ledger.bad(where, why, self._letters.topic if self._letters is not None else None)


def _partition(record: Any) -> TopicPartition:
    return TopicPartition(record.topic, record.partition)


def _body(record: Any) -> bytes | RtError:
    value: bytes | None = record.value
    return value if value is not None else RtError(BAD_REQUEST, "the record has no value (a tombstone)")


@contextlib.contextmanager
def _failing(*more: type[Exception]) -> Iterator[None]:
    try:
        yield
    except (KafkaError, OSError, *more) as error:  # TimeoutError is an OSError, and so is ssl.SSLError
        raise Unreachable(str(error) or repr(error)) from error


async def _ended(closing: Coroutine[Any, Any, None]) -> bool:
    """Let something end, within limits, and tell whether it did so well.

    It has a task of its own: what aiokafka closes may raise CancelledError though nobody cancelled it.
    """
    task = asyncio.ensure_future(closing)
    try:
        await asyncio.wait({task}, timeout=_CLOSING)
    finally:
        task.cancel()
    if task.done() and not task.cancelled() and task.exception() is not None:
        _log.debug("not closed in peace", why=repr(task.exception()))
    return task.done() and not task.cancelled() and task.exception() is None
