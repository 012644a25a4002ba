"""The kinds of value a key can have, each checked on its own so that all mistakes are found at once."""

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, WithJsonSchema

from rtserver.config.units import parse_duration, parse_size
from rtserver.config.values import (
    channel_name,
    filled,
    filled_secret,
    header_name,
    header_value,
    http_url,
    listed,
    listed_servers,
    number,
    origin,
    signing_secret,
    table_name,
    target_name,
    url_path,
    url_with,
)

_DURATION_SCHEMA = {
    "anyOf": [{"type": "string", "pattern": r"^\d+(\.\d+)?\s*(ms|s|m|h|d)?$"}, {"type": "number"}]
}
_SIZE_SCHEMA = {
    "anyOf": [{"type": "string", "pattern": r"^\d+(\.\d+)?\s*([KMG]i?)?B?$"}, {"type": "integer"}]
}

Count = Annotated[int, BeforeValidator(number), Field(ge=1)]
"""A whole number from 1."""
CountOrZero = Annotated[int, BeforeValidator(number), Field(ge=0)]
"""A whole number from 0."""
PerSecond = Annotated[float, BeforeValidator(number), Field(gt=0)]
"""Events per second, above 0."""
Duration = Annotated[float, BeforeValidator(parse_duration), WithJsonSchema(_DURATION_SCHEMA)]
"""Seconds, 0 allowed."""
PositiveDuration = Annotated[
    float, BeforeValidator(parse_duration), Field(gt=0), WithJsonSchema(_DURATION_SCHEMA)
]
"""Seconds, above 0."""
Size = Annotated[int, BeforeValidator(parse_size), Field(gt=0), WithJsonSchema(_SIZE_SCHEMA)]
"""Bytes, above 0."""
Text = Annotated[str, AfterValidator(filled)]
"""A string that is not blank."""
Texts = Annotated[tuple[Text, ...], BeforeValidator(listed)]
"""Strings; one alone may stand for the list."""
Servers = Annotated[tuple[Text, ...], BeforeValidator(listed_servers), Field(min_length=1)]
"""HOST:PORT of servers; one string may hold several, with commas between them."""
Secret = Annotated[SecretStr, AfterValidator(filled_secret)]
"""A value that is never shown."""
Secrets = Annotated[tuple[Secret, ...], BeforeValidator(listed)]
SigningSecrets = Annotated[
    tuple[Annotated[SecretStr, AfterValidator(signing_secret)], ...], BeforeValidator(listed)
]
"""Standard Webhooks secrets, `whsec_` and base64."""
HttpUrl = Annotated[str, AfterValidator(http_url)]
Origins = Annotated[tuple[Annotated[str, AfterValidator(origin)], ...], BeforeValidator(listed)]
"""Origins in lower case without the default port, each perhaps with `*` in it, or `*` or `null` alone."""
TargetName = Annotated[str, AfterValidator(target_name)]
HeaderName = Annotated[str, AfterValidator(header_name)]
HeaderValue = Annotated[str, AfterValidator(header_value)]
UrlPath = Annotated[str, AfterValidator(url_path)]
"""A path that starts and ends with a slash."""
StoreUrl = Annotated[
    str,
    AfterValidator(
        url_with(
            ("sqlite", "postgresql", "postgres", "memory"), "sqlite:///FILE, postgresql://… or memory://"
        )
    ),
]
BrokerUrl = Annotated[
    str, AfterValidator(url_with(("memory", "redis", "rediss"), "memory://, redis://… or rediss://…"))
]
PostgresUrl = Annotated[str, AfterValidator(url_with(("postgresql", "postgres"), "postgresql://…"))]
ChannelName = Annotated[str, AfterValidator(channel_name)]
"""What PostgreSQL can LISTEN to."""


def _table(value: str) -> str:
    table_name(value)
    return value


TableName = Annotated[str, AfterValidator(_table)]
"""A table of PostgreSQL, perhaps with its schema."""
