"""What aiokafka is told."""

from __future__ import annotations

import ssl
from typing import Any

from aiokafka import AIOKafkaConsumer

from rtserver.config.schema import KafkaSource
from rtserver.ingest import kafka_options


def source(**more: Any) -> KafkaSource:
    """A source as the configuration has it."""
    return KafkaSource.model_validate({"name": "k", "bootstrap_servers": "a:1,b:2", "topics": "t", **more})


async def test_they_are_known_to_aiokafka():
    """Nothing is passed that this version of aiokafka does not take, and offsets are committed by us alone."""
    config = source(
        security_protocol="SASL_PLAINTEXT", sasl_mechanism="SCRAM-SHA-256", username="u", password="p"
    )
    options = {**kafka_options.client(config), **kafka_options.consumer(config)}
    await AIOKafkaConsumer(**options).stop()
    assert options["bootstrap_servers"] == ["a:1", "b:2"]
    assert options["enable_auto_commit"] is False
    assert [options[key] for key in ("sasl_mechanism", "sasl_plain_username", "sasl_plain_password")] == [
        "SCRAM-SHA-256",
        "u",
        "p",
    ]
    assert "ssl_context" not in options


def test_certificates_are_verified():
    """With TLS, with a password or without, brokers are verified, and by their name."""
    for more in (
        {"security_protocol": "SSL"},
        {"security_protocol": "SASL_SSL", "username": "u", "password": "p"},
    ):
        context = kafka_options.client(source(**more))["ssl_context"]
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname
