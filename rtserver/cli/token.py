"""`rtserver token`: signs a token, for trying things out and for scripts."""

import math
import time
import uuid
from pathlib import Path
from typing import Any

import click

from rtserver.cli.configured import config_option, configured
from rtserver.config.units import parse_duration
from rtserver.protocol.names import normal_name


class _Ttl(click.ParamType[float]):
    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            seconds = parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return seconds if seconds > 0 else self.fail("must be more than 0", param, ctx)


class _Name(click.ParamType[str]):
    name = "name"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return normal_name(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class _User(_Name):
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        user = super().convert(value, param, ctx)
        return self.fail("must not start with guest:", param, ctx) if user.startswith("guest:") else user


@click.command()
@click.option("--user", type=_User(), required=True, help="User id, the claim sub.")
@click.option("--name", type=_Name(), help="Name shown to others.")
@click.option("--room", "rooms", metavar="PATTERN", multiple=True, help="Rooms it may join; repeatable.")
@click.option("--publish", metavar="PATTERN", multiple=True, help="Rooms it may publish to; repeatable.")
@click.option("--ttl", type=_Ttl(), default="1h", show_default=True, help="Time until it expires.")
@config_option
def token(
    user: str, name: str | None, rooms: tuple[str, ...], publish: tuple[str, ...], ttl: float, config: Path
) -> None:
    """Print a JWT signed with auth.jwt.secret."""
    settings = configured(config)
    # After the configuration: --help and a mistake in the file need no cryptography library.
    from rtserver.auth.tokens import sign  # noqa: PLC0415

    now = time.time()
    claims: dict[str, Any] = {"sub": user, "exp": math.ceil(now + ttl), "jti": uuid.uuid4().hex}
    optional = {"name": name, "rooms": list(rooms), "publish": list(publish)}
    claims |= {claim: value for claim, value in optional.items() if value}
    click.echo(sign(claims, settings.auth.jwt, now))
