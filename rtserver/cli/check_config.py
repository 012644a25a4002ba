"""`rtserver check-config`: says everything that is wrong with a configuration."""

from pathlib import Path

import click

from rtserver.cli.configured import config_option, configured, is_absent, warn, warn_of_ignored
from rtserver.config.load import ConfigError


@click.command("check-config")
@config_option
@click.pass_context
def check_config(ctx: click.Context, config: Path) -> None:
    """List every problem of the configuration that serve would use, each with its place."""
    try:
        settings = configured(config)
    except ConfigError as error:
        # Here the problems are the answer, not a failure to give one, so they go to stdout.
        for problem in error.problems:
            click.echo(str(problem))
        ctx.exit(2)
    warn(settings)
    warn_of_ignored(config)
    click.echo(f"there is no {config} here, defaults are used: ok" if is_absent(config) else f"{config}: ok")
