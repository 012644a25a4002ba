"""Kafka as librdkafka's mock cluster: brokers that speak the real protocol over TCP, within this process.

The cluster's own functions (down, up, the delay before a group's first assignment) are in its C interface only.
"""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import confluent_kafka
from confluent_kafka import Consumer, Producer, TopicPartition

# How long a group waits for more members before its first assignment, in ms; Kafka's default is 3 s.
_JOINING = 100
LIMIT = 30.0

Record = tuple[bytes | None, dict[str, bytes]]


def _library() -> ctypes.CDLL:
    # Importing the package has loaded it: this finds the same one.
    folder = Path(confluent_kafka.__file__).parent.with_name("confluent_kafka.libs")
    for path in [*folder.glob("librdkafka-*.so*"), *folder.glob("librdkafka.*dylib")]:
        library = ctypes.CDLL(str(path))
        break
    else:  # macOS keeps it elsewhere
        library = ctypes.CDLL(str(next(Path(confluent_kafka.__file__).parent.rglob("librdkafka*.dylib"))))
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    for name, result, arguments in (
        ("rd_kafka_conf_new", pointer, []),
        ("rd_kafka_conf_set", number, [pointer, text, text, text, ctypes.c_size_t]),
        ("rd_kafka_new", pointer, [number, pointer, text, ctypes.c_size_t]),
        ("rd_kafka_destroy", None, [pointer]),
        ("rd_kafka_mock_cluster_new", pointer, [pointer, number]),
        ("rd_kafka_mock_cluster_destroy", None, [pointer]),
        ("rd_kafka_mock_cluster_bootstraps", text, [pointer]),
        ("rd_kafka_mock_topic_create", number, [pointer, text, number, number]),
        ("rd_kafka_mock_broker_set_down", number, [pointer, ctypes.c_int32]),
        ("rd_kafka_mock_broker_set_up", number, [pointer, ctypes.c_int32]),
        ("rd_kafka_mock_group_initial_rebalance_delay_ms", None, [pointer, ctypes.c_int32]),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


class Kafka:
    """A cluster of one broker; `servers` is what clients bootstrap from."""

    def __init__(self) -> None:
        self._library = _library()
        error = ctypes.create_string_buffer(512)
        producer = 0
        settings = self._library.rd_kafka_conf_new()
        # It is no client, and need not warn that it has nowhere to connect to.
        self._library.rd_kafka_conf_set(settings, b"log_level", b"0", error, 512)
        self._handle = self._library.rd_kafka_new(producer, settings, error, 512)
        assert self._handle, error.value.decode()
        self._cluster = self._library.rd_kafka_mock_cluster_new(self._handle, 1)
        self._library.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, _JOINING)
        self.servers = self._library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()
        self._producer: Any = None

    def create(self, topic: str, partitions: int = 1) -> str:
        """Make a topic; returns its name."""
        assert self._library.rd_kafka_mock_topic_create(self._cluster, topic.encode(), partitions, 1) == 0
        return topic

    def down(self) -> None:
        """Take the broker down: its connections are cut, and nobody can connect."""
        assert self._library.rd_kafka_mock_broker_set_down(self._cluster, 1) == 0

    def up(self) -> None:
        """Bring it back."""
        assert self._library.rd_kafka_mock_broker_set_up(self._cluster, 1) == 0

    def produce(
        self,
        topic: str,
        values: Sequence[bytes | None],
        key: str | None = None,
        partition: int = -1,
        headers: Mapping[str, bytes] | None = None,
        **options: Any,
    ) -> None:
        """Write records, in order; returns when the broker has them."""
        producer = Producer({"bootstrap.servers": self.servers, "linger.ms": 1, **options})
        failed: list[Any] = []
        for value in values:
            producer.produce(
                topic,
                value=value,
                key=key,
                partition=partition,
                headers=dict(headers or {}),
                on_delivery=lambda error, _: failed.append(error) if error else None,
            )
            producer.poll(0)
        assert producer.flush(LIMIT) == 0
        assert not failed, failed

    def read(self, topic: str, count: int) -> list[Any]:
        """The first `count` messages of a topic with one partition."""
        consumer = Consumer({"bootstrap.servers": self.servers, "group.id": f"reader-{os.getpid()}"})
        try:
            consumer.assign([TopicPartition(topic, 0, 0)])
            found: list[Any] = []
            end = time.monotonic() + LIMIT
            while len(found) < count:
                assert time.monotonic() < end, f"{topic} has {len(found)} records, not {count}"
                message = consumer.poll(0.2)
                if message is not None and message.error() is None:
                    found.append(message)
            return found
        finally:
            consumer.close()

    def committed(self, group: str, topic: str, partition: int = 0) -> int:
        """Where the group would go on in a partition; -1 when it committed nothing."""
        consumer = Consumer({"bootstrap.servers": self.servers, "group.id": group})
        try:
            (at,) = consumer.committed([TopicPartition(topic, partition)], timeout=LIMIT)
            return max(at.offset, -1)
        finally:
            consumer.close()

    def close(self) -> None:
        """End it."""
        self._library.rd_kafka_mock_cluster_destroy(self._cluster)
        self._library.rd_kafka_destroy(self._handle)
