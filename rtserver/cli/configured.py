"""The option `--config`, and the configuration it names."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from rtserver.config.check import advice, not_in_effect
from rtserver.config.load import load
from rtserver.config.schema import Config

DEFAULT_FILE = "config.yaml"
_Function = TypeVar("_Function", bound=Callable[..., Any])


def config_option(command: _Function) -> _Function:
    """Give a command the option `--config`, as its parameter `config: Path`."""
    option = click.option(
        "--config",
        type=click.Path(path_type=Path),
        default=DEFAULT_FILE,
        show_default=True,
        help="YAML file with the configuration.",
    )
    return option(command)


def configured(path: Path, overrides: Mapping[str, Any] | None = None) -> Config:
    """Load the configuration a command was started with. Raises ConfigError with every problem.

    Without a file of the default name, and without `--config`, everything has its default.
    """
    source = click.get_current_context().get_parameter_source("config")
    absent = source is ParameterSource.DEFAULT and not path.exists()
    config = load(None if absent else path, overrides=overrides)
    check_key(config)
    return config


def check_key(config: Config) -> None:
    """Raise ConfigError when the key for tokens cannot be used, which only the cryptography library can tell."""
    if config.auth.mode != "none":
        # Only who uses tokens waits for the cryptography library to be loaded.
        from rtserver.auth.tokens import TokenVerifier  # noqa: PLC0415

        TokenVerifier(config.auth.jwt)


def warn(config: Config) -> None:
    """Say on stderr what in `config` has no effect or is weaker than it should be."""
    for sentence in (*not_in_effect(config), *advice(config)):
        click.echo(f"warning: {sentence}", err=True)
