"""Sections about who may come in: `auth`, `api`."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from rtserver.config.section import Section
from rtserver.config.types import Duration, HttpUrl, Secret, Secrets, Text, Texts
from rtserver.config.values import listed

Algorithm = Literal[
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "EdDSA"
]  # fmt: skip


class Jwt(Section):
    """How tokens are verified. HS algorithms take `secret`, the others `public_key` or `jwks_url`."""

    algorithms: Annotated[tuple[Algorithm, ...], BeforeValidator(listed), Field(min_length=1)] = ("HS256",)
    """Algorithms a token may be signed with; all others are refused."""
    secret: Secret | None = None
    """Shared secret for HS256, HS384, HS512."""
    secret_file: Path | None = None
    """File to read `secret` from."""
    public_key: Text | None = None
    """PEM text of the key that verifies RS, ES or EdDSA."""
    public_key_file: Path | None = None
    """File to read `public_key` from."""
    jwks_url: HttpUrl | None = None
    """Where the issuer publishes its keys."""
    audience: Texts = ()
    """Accepted `aud`: one of these; with none, a token that has an `aud` is refused."""
    issuer: Texts = ()
    """Accepted `iss`: one of these; with none, `iss` is not looked at."""
    leeway: Duration = 0.0
    """How far the clocks of issuer and server may be apart."""
    require_exp: bool = True
    """Refuse tokens that never expire."""

    @property
    def symmetric(self) -> bool:
        """Whether every configured algorithm uses the shared secret."""
        return all(algorithm.startswith("HS") for algorithm in self.algorithms)


class Auth(Section):
    """Who a client is."""

    mode: Literal["none", "optional", "required"] = "none"
    """none: clients say who they are; optional: a token is verified if given; required: all need one."""
    open_to_network: bool = False
    """Allow mode none on an address that others can reach."""
    jwt: Jwt = Jwt()
    refresh_grace: Duration = 30.0
    """How long before its token expires a client is asked for a new one."""


class Api(Section):
    """The HTTP API for backends."""

    keys: Secrets = ()
    """Bearer keys; any of them opens the API, which is open to all in auth.mode none."""
    keys_file: Path | None = None
    """File to read `keys` from, one per line."""
