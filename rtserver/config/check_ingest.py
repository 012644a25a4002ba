"""Whether the sources of `ingest` can be read: their packages are there, and what belongs together is."""

from collections.abc import Iterator
from importlib.util import find_spec

from rtserver.config.problem import Problem
from rtserver.config.schema import Ingest, KafkaSource

_PACKAGES = (("kafka", "aiokafka"), ("postgres", "asyncpg"))


def ingest_problems(ingest: Ingest) -> Iterator[Problem]:
    """Yield what keeps sources from being read."""
    for extra, package in _PACKAGES:
        if getattr(ingest, extra) and find_spec(package) is None:
            yield Problem(
                f"ingest.{extra}",
                f"needs the Python package {package}, which is not installed",
                f'pip install "rtserver[{extra}]"',
            )
    for index, source in enumerate(ingest.kafka):
        yield from _security(f"ingest.kafka[{index}]", source)


def _security(place: str, source: KafkaSource) -> Iterator[Problem]:
    protocol = source.security_protocol
    sasl, tls = protocol.startswith("SASL"), protocol.endswith("SSL")
    for key in ("username", "password"):
        given = getattr(source, key) is not None
        if sasl and not given:
            yield Problem(f"{place}.{key}", f"is required for security_protocol {protocol}")
        elif given and not sasl:
            yield Problem(
                f"{place}.{key}", f"does not go with security_protocol {protocol}", "SASL_SSL takes it"
            )
    for key in ("ca_file", "cert_file", "key_file"):
        path = getattr(source, key)
        if path is not None and not tls:
            yield Problem(f"{place}.{key}", f"does not go with security_protocol {protocol}", "SSL takes it")
        elif path is not None and not path.is_file():
            yield Problem(f"{place}.{key}", f"{path} is not a file")
    if (source.cert_file is None) != (source.key_file is None):
        missing = "cert_file" if source.cert_file is None else "key_file"
        yield Problem(f"{place}.{missing}", "is required", "cert_file and key_file come together")
