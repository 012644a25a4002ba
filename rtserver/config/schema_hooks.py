"""Section `auth.hooks`: the backend is asked who may come in, join and publish."""

from pathlib import Path
from typing import Literal

from rtserver.config.section import Section
from rtserver.config.types import Duration, HttpUrl, PositiveDuration, SigningSecrets


class Hooks(Section):
    """HTTP endpoints that decide, and what holds for all of them."""

    connect: HttpUrl | None = None
    """Asked when a client comes in; may say who it is and which rooms it may join."""
    join: HttpUrl | None = None
    """Asked when a client joins a room, or looks into it from outside."""
    publish: HttpUrl | None = None
    """Asked for each `chat` and `broadcast`; may replace its data."""
    secrets: SigningSecrets = ()
    """Signing secrets: the first signs first, all sign."""
    secrets_file: Path | None = None
    """File to read `secrets` from, one per line."""
    timeout: PositiveDuration = 2.0
    """Longest time an answer may take."""
    on_error: Literal["allow", "deny"] = "deny"
    """What is decided when there is no answer, or none that can be read."""
    cache: Duration = 5.0
    """How long an answer to `join` is remembered; the others never are."""
