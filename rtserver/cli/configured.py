"""The option `--config`, and the configuration it names."""

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from rtserver.config.advice import advice
from rtserver.config.check import not_in_effect
from rtserver.config.environment import ignored
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
    config = load(None if is_absent(path) else path, overrides=overrides)
    _check_key(config)
    return config


def is_absent(path: Path) -> bool:
    """Tell whether everything has its default, because no file was named and there is none."""
    source = click.get_current_context().get_parameter_source("config")
    return source is ParameterSource.DEFAULT and not path.exists()


def _check_key(config: Config) -> None:
    """Raise ConfigError when the key for tokens cannot be used, which only the cryptography library can tell."""
    if config.auth.mode != "none":
        # Only who uses tokens waits for the cryptography library to be loaded.
        from rtserver.auth.tokens import TokenVerifier  # noqa: PLC0415

        TokenVerifier(config.auth.jwt)


def warn(config: Config) -> None:
    """Say on stderr what in `config` has no effect or is weaker than it should be."""
    _warn(not_in_effect(config))
    _warn(advice(config))


def warn_of_ignored(path: Path) -> None:
    """Say on stderr which variables look like overrides and are none, given the file of the configuration."""
    # A pipe has been read, and cannot be read twice.
    text = path.read_text(encoding="utf-8-sig") if path.is_file() else ""
    _warn(ignored(os.environ, text))


def _warn(sentences: Iterable[str]) -> None:
    for sentence in sentences:
        click.echo(f"warning: {sentence}", err=True)
