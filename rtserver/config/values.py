"""Checks of single values.

Each takes a value and returns it, perhaps in a canonical form, or raises ValueError with a message that continues
"KEY: …" and never repeats the value, which may be a secret.
"""

import base64
import binascii
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import SplitResult, urlsplit

from pydantic import SecretStr

_OUR_HEADERS = (
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
)
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(\[[0-9a-f:.]+\]|[^\s/:?#@\[\]]+)(:(\d{1,5}|\*))?")
_TABLE_PART = re.compile(r'"((?:[^"\0]|"")+)"|([^".\0\s]+)')
_TABLE = re.compile(rf"(?:{_TABLE_PART.pattern})(?:\.(?:{_TABLE_PART.pattern}))?")
# PostgreSQL cuts longer names, and then listens to another one.
_POSTGRES_NAME = 63
_TARGET_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def listed(value: Any) -> Any:
    """Let a single string stand for a list of one, and null for an empty list."""
    if value is None:
        return ()
    return (value,) if isinstance(value, str | SecretStr) else value


def listed_servers(value: Any) -> Any:
    """Let one string, with commas in it or not, stand for a list."""
    return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else listed(value)


def number(value: Any) -> Any:
    """Refuse true and false where a number belongs."""
    # Python takes true for 1; an operator who writes `port: true` made a mistake.
    if isinstance(value, bool):
        raise ValueError("must be a number")
    return value


def filled(value: str) -> str:
    """Refuse a blank string."""
    if not value.strip():
        raise ValueError("must not be empty")
    return value


def filled_secret(value: SecretStr) -> SecretStr:
    """Refuse a blank secret."""
    filled(value.get_secret_value())
    return value


def http_url(value: str) -> str:
    """Accept a URL of http or https that has a host."""
    if not value.lower().startswith(("http://", "https://")):
        raise ValueError("must be a URL that starts with http:// or https://")
    if any(c.isspace() or not c.isprintable() for c in value):
        raise ValueError("must not have spaces or invisible characters in it (%20 is a space)")
    try:
        parts = urlsplit(value)
    except ValueError:
        raise ValueError("must have brackets around an IPv6 address: http://[::1]:8000/") from None
    if not parts.hostname:
        raise ValueError("must have a host behind the ://, such as http://example.com/")
    if not _port_is_one(parts):
        raise ValueError("must have a port from 1 to 65535, or none")
    if parts.fragment:
        raise ValueError("must not have a fragment (the part after #)")
    return value


def _port_is_one(parts: SplitResult) -> bool:
    try:
        return parts.port != 0
    except ValueError:
        return False


def url_with(schemes: tuple[str, ...], examples: str) -> Callable[[str], str]:
    """Make a check for URLs of the `schemes`, complained about with `examples`."""

    def check(value: str) -> str:
        scheme, separator, _ = value.partition("://")
        if not separator or scheme not in schemes:
            raise ValueError(f"must be {examples}")
        return value

    return check


def origin(value: str) -> str:
    """Accept an origin or a pattern of one, and write it as browsers do."""
    # Browsers write origins in lower case and leave out the scheme's own port.
    lower = value.lower()
    if lower in ("*", "null"):
        return lower
    if not _ORIGIN.fullmatch(lower):
        raise ValueError(
            'must be "*" or an origin such as https://example.com or https://*.example.com (no path)'
        )
    for scheme, port in (("https://", ":443"), ("http://", ":80")):
        if lower.startswith(scheme):
            lower = lower.removesuffix(port)
    return lower


def signing_secret(value: SecretStr) -> SecretStr:
    """Accept a secret in the form of Standard Webhooks."""
    prefix, _, encoded = value.get_secret_value().partition("whsec_")
    try:
        usable = not prefix and bool(base64.b64decode(encoded, validate=True))
    except (binascii.Error, ValueError):
        usable = False
    if not usable:
        raise ValueError("must be whsec_ followed by base64")
    return value


def target_name(value: str) -> str:
    """Accept a name fit for a metric's label and a command line."""
    if not _TARGET_NAME.fullmatch(value):
        raise ValueError("must be 1 to 64 letters, digits, dots, dashes or underscores")
    return value


def header_name(value: str) -> str:
    """Accept the name of a header that is not ours to set."""
    if not _HEADER_NAME.fullmatch(value):
        raise ValueError("is not a valid header name")
    if value.lower().startswith("webhook-") or value.lower() in _OUR_HEADERS:
        raise ValueError("is set by rtserver and cannot be changed")
    return value


def header_value(value: str) -> str:
    """Accept what can stand in one header."""
    if not value.isprintable() or not value.isascii():
        raise ValueError("must be printable ASCII in one line")
    return value


def url_path(value: str) -> str:
    """Accept a path, and end it with a slash."""
    if not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+/?", value):
        raise ValueError("must be a path such as /socket.io/")
    return value.rstrip("/") + "/"


def channel_name(value: str) -> str:
    """Accept the name of a channel of PostgreSQL, exactly as it is given to pg_notify()."""
    if not value or "\0" in value or len(value.encode()) > _POSTGRES_NAME:
        raise ValueError(f"must have 1 to {_POSTGRES_NAME} bytes")
    return value


def table_name(value: str) -> tuple[str, ...]:
    """Return the parts of a table's name: the table, or its schema and the table.

    A part in double quotes may hold dots, and quotes that are doubled. Without them it is taken as it is written, too:
    nothing is made lower case.
    """
    parts = tuple(
        quoted.replace('""', '"') if quoted else plain for quoted, plain in _TABLE_PART.findall(value)
    )
    if not _TABLE.fullmatch(value) or any(len(part.encode()) > _POSTGRES_NAME for part in parts):
        raise ValueError("must be TABLE or SCHEMA.TABLE, as in outbox or app.outbox")
    return parts
