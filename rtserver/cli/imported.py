"""The application that `--app` names, and the user's own traceback when its module cannot be imported."""

from __future__ import annotations

import traceback
from types import TracebackType
from typing import TYPE_CHECKING

import click

from rtserver.config.problem import ConfigError

if TYPE_CHECKING:
    from rtserver.app import App

# Modules that stand between the command line and the user's module.
_OURS = (__name__, "rtserver.server", "importlib", "_frozen_importlib", "_frozen_importlib_external")


def imported(path: str) -> App:
    """Return the application that MODULE:ATTR names. Raises UsageError when it names none.

    An error of the module itself is told with its traceback, from the module's first line on.
    """
    from rtserver.server import load_app  # noqa: PLC0415 - the server's libraries take a while

    try:
        return load_app(path)
    except ConfigError:
        raise
    except Exception as error:
        theirs = _from_their_frames(error.__traceback__)
        # A syntax error has no frames of theirs: nothing of the module was run yet.
        if theirs is None and not isinstance(error, SyntaxError):
            if isinstance(error, ValueError):
                raise click.UsageError(f"--app: {error}") from None
            raise
        if click.get_current_context().find_root().params.get("traceback"):
            raise
        click.echo("".join(traceback.format_exception(type(error), error, theirs)), err=True, nl=False)
        module = path.partition(":")[0]
        raise click.ClickException(f"--app: the module {module!r} could not be imported") from None


def _from_their_frames(tb: TracebackType | None) -> TracebackType | None:
    while tb is not None:
        name = tb.tb_frame.f_globals.get("__name__", "")
        if name not in _OURS and not name.startswith("importlib."):
            break
        tb = tb.tb_next
    return tb
