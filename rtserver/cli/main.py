"""`rtserver`: finds the command, and turns what it raises into lines on stderr and an exit code.

0 is success, 1 a failure while running, 2 a wrong command line or configuration.
"""

import gc
from importlib import import_module

import click

from rtserver.config.problem import ConfigError
from rtserver.version import __version__

COMMANDS = {
    "serve": "rtserver.cli.serve:serve",
    "check-config": "rtserver.cli.check_config:check_config",
    "token": "rtserver.cli.token:token",
    "webhooks": "rtserver.cli.webhooks:webhooks",
    "schema": "rtserver.cli.schema:schema",
    "bench": "rtserver.cli.bench:bench",
}
"""Commands by name, in the order of `--help`: MODULE:ATTRIBUTE, imported when the command is used."""


class _Commands(click.Group):
    """The commands of `COMMANDS`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        # Imports make hundreds of thousands of objects that all stay; looking for garbage among them is a quarter of
        # the time that a command takes to start. The server sets its own pace later on.
        gc.set_threshold(100_000, 20, 50)
        module, _, attribute = COMMANDS[name].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except ConfigError as error:
            for problem in error.problems:
                click.echo(str(problem), err=True)
            ctx.exit(2)
        except (click.ClickException, click.Abort, click.exceptions.Exit, BrokenPipeError):
            raise
        except Exception as error:
            if ctx.params["traceback"]:
                raise
            # Some exceptions have no text of their own, and some have several lines of it.
            text = " ".join(str(error).split())
            kind = type(error).__name__
            raise click.ClickException(f"{kind}: {text}" if text else kind) from None


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="rtserver")
@click.option("--traceback", is_flag=True, help="Show where an unexpected error came from.")
def main(traceback: bool) -> None:
    """Room server for socket.io-client, run from one config file."""
