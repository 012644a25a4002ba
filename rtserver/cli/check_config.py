"""`rtserver check-config`: says everything that is wrong with a configuration."""

from pathlib import Path

import click

from rtserver.cli.configured import check_key, config_option, warn
from rtserver.config.load import ConfigError, load


@click.command("check-config")
@config_option
@click.pass_context
def check_config(ctx: click.Context, config: Path) -> None:
    """List every problem of a configuration, each with its place."""
    try:
        settings = load(config)
        check_key(settings)
    except ConfigError as error:
        # Here the problems are the answer, not a failure to give one, so they go to stdout.
        for problem in error.problems:
            click.echo(str(problem))
        ctx.exit(2)
    warn(settings)
    click.echo(f"{config}: ok")
