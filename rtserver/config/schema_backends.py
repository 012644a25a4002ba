"""Sections about what stands behind a node: `store`, `broker`, `ingest`."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from rtserver.config.section import Section
from rtserver.config.types import (
    BrokerUrl,
    ChannelName,
    PositiveDuration,
    PostgresUrl,
    Secret,
    Servers,
    StoreUrl,
    TableName,
    TargetName,
    Text,
    Texts,
)


class Store(Section):
    """What survives a restart: webhook outbox, notifications, revocations."""

    url: Annotated[StoreUrl, Field(repr=False)] = "sqlite:///rtserver.db"
    """sqlite:///FILE, postgresql://… or memory://."""
    url_file: Path | None = None
    """File to read `url` from."""


class Broker(Section):
    """What joins nodes."""

    url: Annotated[BrokerUrl, Field(repr=False)] = "memory://"
    """memory:// (one node), redis://… or rediss://…."""
    url_file: Path | None = None
    """File to read `url` from."""
    lease: PositiveDuration = 10.0
    """A dead node is noticed within two of these."""


class KafkaSource(Section):
    """Topics whose records are published to rooms."""

    name: TargetName
    """Name in logs and metrics."""
    bootstrap_servers: Servers
    """Brokers, HOST:PORT."""
    topics: Annotated[Texts, Field(min_length=1)]
    """Topics to read."""
    group_id: Text = "rtserver"
    """Consumer group."""
    auto_offset_reset: Literal["earliest", "latest"] = "latest"
    """Where a group without an offset starts."""
    dead_letter_topic: Text | None = None
    """Topic for records that cannot be published; null logs and skips them."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """With SSL brokers are verified, with SASL we say who we are."""
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    """How a SASL protocol asks for the password."""
    username: Text | None = None
    """User of a SASL protocol."""
    password: Secret | None = None
    """Password of a SASL protocol."""
    password_file: Path | None = None
    """File to read `password` from."""
    ca_file: Path | None = None
    """PEM file of the authorities that brokers' certificates are verified with; null: the system's."""
    cert_file: Path | None = None
    """PEM file of our own certificate, for brokers that ask for one."""
    key_file: Path | None = None
    """PEM file of the key of `cert_file`."""


class PostgresSource(Section):
    """NOTIFY payloads or rows of a table, published to rooms. Exactly one of `channel` and `table`."""

    name: TargetName
    """Name in logs and metrics."""
    dsn: Annotated[PostgresUrl, Field(repr=False)]
    """postgresql://…."""
    dsn_file: Path | None = None
    """File to read `dsn` from."""
    channel: ChannelName | None = None
    """Channel to LISTEN on."""
    table: TableName | None = None
    """Outbox table to read, with its schema if it needs one."""

    @model_validator(mode="after")
    def _reads_one_thing(self) -> Self:
        if (self.channel is None) == (self.table is None):
            raise ValueError("must have exactly one of channel and table")
        return self


class Ingest(Section):
    """Streams whose records become publications."""

    kafka: tuple[KafkaSource, ...] = ()
    postgres: tuple[PostgresSource, ...] = ()
