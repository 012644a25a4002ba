"""Section `ingest`: names, packages, and what belongs together."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from rtserver.config import check_ingest
from rtserver.config.load import ConfigError, load

KAFKA = {"name": "k", "bootstrap_servers": "a:1", "topics": "t"}
POSTGRES = {"name": "p", "dsn": "postgresql://db/x"}


def told(kafka: dict[str, Any] | None = None, postgres: dict[str, Any] | None = None) -> list[str]:
    """What is said about one source of either kind."""
    ingest = {
        "kafka": [KAFKA | kafka] if kafka is not None else [],
        "postgres": [POSTGRES | postgres] if postgres is not None else [],
    }
    try:
        load({"ingest": ingest}, env={})
    except ConfigError as error:
        return [str(problem) for problem in error.problems]
    return []


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who configures a source without its package is told what to install, and nobody else is."""
    monkeypatch.setattr(check_ingest, "find_spec", lambda name: None)
    assert told() == []
    assert told({}, {"channel": "c"}) == [
        'ingest.kafka: needs the Python package aiokafka, which is not installed; pip install "rtserver[kafka]"',
        'ingest.postgres: needs the Python package asyncpg, which is not installed; pip install "rtserver[postgres]"',
    ]


def test_the_packages_are_found() -> None:
    """The names that are looked for are those of the packages."""
    assert all(find_spec(package) for _, package in check_ingest._PACKAGES)


def test_security_that_fits() -> None:
    """Plain, encrypted, with a password, with a certificate: what belongs together is taken."""
    file = __file__
    sasl = {"username": "u", "password": "p"}
    assert told({"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "SCRAM-SHA-512", **sasl}) == []
    assert told({"security_protocol": "SASL_SSL", "ca_file": file, **sasl}) == []
    assert told({"security_protocol": "SSL", "cert_file": file, "key_file": file}) == []


def test_security_that_does_not_fit() -> None:
    """What a protocol needs and what it does not take is told by its path, and a password is never shown."""
    assert told({"security_protocol": "SASL_SSL"}) == [
        "ingest.kafka[0].username: is required for security_protocol SASL_SSL",
        "ingest.kafka[0].password: is required for security_protocol SASL_SSL",
    ]
    assert told({"username": "u", "password": "hidden"}) == [
        "ingest.kafka[0].username: does not go with security_protocol PLAINTEXT; SASL_SSL takes it",
        "ingest.kafka[0].password: does not go with security_protocol PLAINTEXT; SASL_SSL takes it",
    ]
    gone = "/nowhere/ca.pem"
    assert told({"ca_file": __file__}) == [
        "ingest.kafka[0].ca_file: does not go with security_protocol PLAINTEXT; SSL takes it"
    ]
    assert told({"security_protocol": "SSL", "ca_file": gone, "cert_file": __file__}) == [
        f"ingest.kafka[0].ca_file: {gone} is not a file",
        "ingest.kafka[0].key_file: is required; cert_file and key_file come together",
    ]


def test_a_password_in_a_file(tmp_path: Path) -> None:
    """The password of a broker has a `_file` twin like every secret."""
    file = tmp_path / "password"
    file.write_text("s3cret\n")
    source = KAFKA | {"security_protocol": "SASL_SSL", "username": "u", "password_file": str(file)}
    password = load({"ingest": {"kafka": [source]}}, env={}).ingest.kafka[0].password
    assert password is not None
    assert password.get_secret_value() == "s3cret"


@pytest.mark.parametrize("table", ["outbox", "app.outbox", '"a.b"."c ""d"""', "Ünï"])
def test_tables(table: str) -> None:
    """A table has a name, perhaps with its schema, perhaps in quotes."""
    assert told(postgres={"table": table}) == []


@pytest.mark.parametrize(
    "table", ["", "a.b.c", "a.", ".a", "a b", 'a"b', '"a', '""', "x" * 64, "a\0b", "a;\nb"]
)
def test_what_is_no_table(table: str) -> None:
    """Anything else is refused where it stands."""
    assert told(postgres={"table": table}) == [
        "ingest.postgres[0].table: must be TABLE or SCHEMA.TABLE, as in outbox or app.outbox"
    ]


@pytest.mark.parametrize("channel", ["", "x" * 64, "ü" * 32, "a\0b"])
def test_what_is_no_channel(channel: str) -> None:
    """A channel that PostgreSQL would cut to another one is refused."""
    assert told(postgres={"channel": channel}) == ["ingest.postgres[0].channel: must have 1 to 63 bytes"]
