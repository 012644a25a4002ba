"""The kinds of value a key can have, each checked on its own so that all mistakes are found at once.

A validator here raises ValueError with a message that continues "KEY: …" and never repeats the value, which
may be a secret.
"""

import base64
import binascii
import re
from collections.abc import Callable
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, WithJsonSchema

from rtserver.config.units import parse_duration, parse_size

_DURATION_SCHEMA = {
    "anyOf": [{"type": "string", "pattern": r"^\d+(\.\d+)?\s*(ms|s|m|h|d)?$"}, {"type": "number"}]
}
_SIZE_SCHEMA = {
    "anyOf": [{"type": "string", "pattern": r"^\d+(\.\d+)?\s*([KMG]i?)?B?$"}, {"type": "integer"}]
}
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(\[[0-9a-f:.]+\]|[^\s/:?#@\[\]]+)(:(\d{1,5}|\*))?")
_TARGET_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def listed(value: Any) -> Any:
    """Let a single string stand for a list of one, and null for an empty list."""
    if value is None:
        return ()
    return (value,) if isinstance(value, str | SecretStr) else value


def _number(value: Any) -> Any:
    # Python takes true for 1; an operator who writes `port: true` made a mistake.
    if isinstance(value, bool):
        raise ValueError("must be a number")
    return value


def _filled(value: str) -> str:
    if not value.strip():
        raise ValueError("must not be empty")
    return value


def _filled_secret(value: SecretStr) -> SecretStr:
    _filled(value.get_secret_value())
    return value


def _http_url(value: str) -> str:
    try:
        parts = urlsplit(value)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or any(c.isspace() or not c.isprintable() for c in value):
        raise ValueError("must be a URL that starts with http:// or https://")
    if parts.fragment:
        raise ValueError("must not have a fragment (the part after #)")
    return value


def _url_with(schemes: tuple[str, ...], examples: str) -> Callable[[str], str]:
    def check(value: str) -> str:
        scheme, separator, _ = value.partition("://")
        if not separator or scheme not in schemes:
            raise ValueError(f"must be {examples}")
        return value

    return check


def _origin(value: str) -> str:
    # Browsers write origins in lower case and leave out the scheme's own port.
    origin = value.lower()
    if origin in ("*", "null"):
        return origin
    if not _ORIGIN.fullmatch(origin):
        raise ValueError(
            'must be "*" or an origin such as https://example.com or https://*.example.com (no path)'
        )
    for scheme, port in (("https://", ":443"), ("http://", ":80")):
        if origin.startswith(scheme):
            origin = origin.removesuffix(port)
    return origin


def _signing_secret(value: SecretStr) -> SecretStr:
    prefix, _, encoded = value.get_secret_value().partition("whsec_")
    try:
        usable = not prefix and bool(base64.b64decode(encoded, validate=True))
    except (binascii.Error, ValueError):
        usable = False
    if not usable:
        raise ValueError("must be whsec_ followed by base64")
    return value


def _target_name(value: str) -> str:
    if not _TARGET_NAME.fullmatch(value):
        raise ValueError("must be 1 to 64 letters, digits, dots, dashes or underscores")
    return value


def _header_name(value: str) -> str:
    if not _HEADER_NAME.fullmatch(value):
        raise ValueError("is not a valid header name")
    if value.lower().startswith("webhook-") or value.lower() in ("content-type", "content-length", "host"):
        raise ValueError("is set by rtserver and cannot be changed")
    return value


def _header_value(value: str) -> str:
    if not value.isprintable() or not value.isascii():
        raise ValueError("must be printable ASCII in one line")
    return value


def _url_path(value: str) -> str:
    if not value.startswith("/") or len(value) < 2 or not re.fullmatch(r"[A-Za-z0-9._~/-]+", value):
        raise ValueError("must be a path such as /socket.io/")
    return value.rstrip("/") + "/"


Count = Annotated[int, BeforeValidator(_number), Field(ge=1)]
"""A whole number from 1."""
CountOrZero = Annotated[int, BeforeValidator(_number), Field(ge=0)]
"""A whole number from 0."""
PerSecond = Annotated[float, BeforeValidator(_number), Field(gt=0)]
"""Events per second, above 0."""
Duration = Annotated[float, BeforeValidator(parse_duration), WithJsonSchema(_DURATION_SCHEMA)]
"""Seconds, 0 allowed."""
PositiveDuration = Annotated[
    float, BeforeValidator(parse_duration), Field(gt=0), WithJsonSchema(_DURATION_SCHEMA)
]
"""Seconds, above 0."""
Size = Annotated[int, BeforeValidator(parse_size), Field(gt=0), WithJsonSchema(_SIZE_SCHEMA)]
"""Bytes, above 0."""
Text = Annotated[str, AfterValidator(_filled)]
"""A string that is not blank."""
Texts = Annotated[tuple[Text, ...], BeforeValidator(listed)]
"""Strings; one alone may stand for the list."""
Secret = Annotated[SecretStr, AfterValidator(_filled_secret)]
"""A value that is never shown."""
Secrets = Annotated[tuple[Secret, ...], BeforeValidator(listed)]
SigningSecrets = Annotated[
    tuple[Annotated[SecretStr, AfterValidator(_signing_secret)], ...], BeforeValidator(listed)
]
"""Standard Webhooks secrets, `whsec_` and base64."""
HttpUrl = Annotated[str, AfterValidator(_http_url)]
Origins = Annotated[tuple[Annotated[str, AfterValidator(_origin)], ...], BeforeValidator(listed)]
"""Origins in lower case without the default port, each perhaps with `*` in it, or `*` or `null` alone."""
TargetName = Annotated[str, AfterValidator(_target_name)]
HeaderName = Annotated[str, AfterValidator(_header_name)]
HeaderValue = Annotated[str, AfterValidator(_header_value)]
UrlPath = Annotated[str, AfterValidator(_url_path)]
"""A path that starts and ends with a slash."""
StoreUrl = Annotated[
    str,
    AfterValidator(
        _url_with(("sqlite", "postgresql", "memory"), "sqlite:///FILE, postgresql://… or memory://")
    ),
]
BrokerUrl = Annotated[
    str, AfterValidator(_url_with(("memory", "redis", "rediss"), "memory://, redis://… or rediss://…"))
]
PostgresUrl = Annotated[str, AfterValidator(_url_with(("postgresql", "postgres"), "postgresql://…"))]
