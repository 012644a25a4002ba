"""`rtserver serve`: runs the server."""

from pathlib import Path
from typing import Any

import click

from rtserver.cli.configured import config_option, configured, warn


@click.command()
@config_option
@click.option("--app", metavar="MODULE:ATTR", help="Serve the application that this module made.")
@click.option("--host", help="Address to listen on; overrides server.host.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on; overrides server.port.")
@click.option("--workers", type=click.IntRange(min=1), default=1, show_default=True, help="Processes.")
@click.pass_context
def serve(
    ctx: click.Context, config: Path, app: str | None, host: str | None, port: int | None, workers: int
) -> None:
    """Run the server until it is told to stop."""
    if workers > 1:
        raise click.UsageError(
            "--workers above 1 is not available in this version; start one server per port"
        )
    given = {key: value for key, value in (("host", host), ("port", port)) if value is not None}
    overrides: dict[str, Any] = {"server": given} if given else {}
    settings = configured(config, overrides)
    warn(settings)
    # After the configuration: a mistake in it is told at once, before the server's libraries are loaded.
    from rtserver.server import serve as run  # noqa: PLC0415

    ctx.exit(run(settings, app, workers))
