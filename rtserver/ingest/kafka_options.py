"""What aiokafka is told, made from the configuration of a source."""

from __future__ import annotations

import ssl
from typing import Any

from aiokafka.helpers import create_ssl_context

from rtserver.config.schema import KafkaSource

# How many records a batch has at most, and how many bytes are read ahead of it from a broker and from one partition.
MAX_RECORDS = 500
_MAX_FETCH, _MAX_PARTITION_FETCH = 8 * 1024 * 1024, 1024 * 1024
# How soon a topic is noticed that was made, or got partitions, and how long a group waits for a slow member. In ms.
_METADATA_AGE, _REBALANCE = 30_000, 60_000


def client(config: KafkaSource) -> dict[str, Any]:
    """Return what consumer and producer have in common: where the brokers are, and who we are."""
    options: dict[str, Any] = {
        "bootstrap_servers": list(config.bootstrap_servers),
        "client_id": "rtserver",
        "metadata_max_age_ms": _METADATA_AGE,
        "security_protocol": config.security_protocol,
        "retry_backoff_ms": 250,
    }
    if "SSL" in config.security_protocol.split("_"):
        options["ssl_context"] = _tls(config)
    if config.security_protocol.startswith("SASL"):
        assert config.password is not None
        options |= {
            "sasl_mechanism": config.sasl_mechanism,
            "sasl_plain_username": config.username,
            "sasl_plain_password": config.password.get_secret_value(),
        }
    return options


def consumer(config: KafkaSource) -> dict[str, Any]:
    """Return what a consumer is told besides."""
    return {
        "group_id": config.group_id,
        "auto_offset_reset": config.auto_offset_reset,
        # Offsets are committed by us, after publishing.
        "enable_auto_commit": False,
        # A transaction that was aborted was never said.
        "isolation_level": "read_committed",
        "max_poll_records": MAX_RECORDS,
        "fetch_max_bytes": _MAX_FETCH,
        "max_partition_fetch_bytes": _MAX_PARTITION_FETCH,
        "rebalance_timeout_ms": _REBALANCE,
    }


def _tls(config: KafkaSource) -> ssl.SSLContext:
    def text(path: Any) -> str | None:
        return str(path) if path is not None else None

    context: ssl.SSLContext = create_ssl_context(
        cafile=text(config.ca_file), certfile=text(config.cert_file), keyfile=text(config.key_file)
    )
    return context
