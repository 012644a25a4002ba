"""`rtserver serve`: runs the server."""

from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from rtserver.cli.configured import config_option, configured, warn, warn_of_ignored
from rtserver.cli.imported import imported
from rtserver.config.check import problems
from rtserver.config.load import ConfigError
from rtserver.config.schema import Config

_WORKERS = "Processes; more than 1 is not available in this version."


@click.command()
@config_option
@click.option("--app", metavar="MODULE:ATTR", help="Serve the application that this module made.")
@click.option("--host", help="Address to listen on; overrides server.host.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on; overrides server.port.")
@click.option("--workers", type=click.IntRange(min=1), default=1, show_default=True, help=_WORKERS)
@click.pass_context
def serve(
    ctx: click.Context, config: Path, app: str | None, host: str | None, port: int | None, workers: int
) -> None:
    """Run the server until it is told to stop."""
    if workers > 1:
        raise click.UsageError(
            "--workers above 1 is not available in this version; start one server per port"
        )
    if app is not None and ctx.get_parameter_source("config") is ParameterSource.COMMANDLINE:
        raise click.UsageError("--app brings its own configuration, so --config would have no effect")
    given = {key: value for key, value in (("host", host), ("port", port)) if value is not None}
    # Imported here: a mistake in the configuration is told at once, before the server's libraries are loaded.
    if app is None:
        settings = configured(config, {"server": given} if given else {})
        warn(settings)
        warn_of_ignored(config)
        from rtserver.app import create_app  # noqa: PLC0415
        from rtserver.server import serve as run  # noqa: PLC0415

        ctx.exit(run(create_app(settings)))
    from rtserver.server import serve as run  # noqa: PLC0415

    application = imported(app)
    warn(application.config)
    ctx.exit(run(application, overridden(application.config, given)))


def overridden(config: Config, given: dict[str, Any]) -> Config:
    """Return *config* with the command line's host and port. Raises ConfigError when they do not fit the rest."""
    changed = config.model_copy(update={"server": config.server.model_copy(update=given)})
    found = problems(changed)
    if found:
        raise ConfigError(found)
    return changed
