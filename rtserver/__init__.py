"""rtserver: a room server for socket.io-client, run from one config file.

``create_app`` makes the server from a configuration, ``run`` serves it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rtserver.version import __version__

__all__ = ["ConfigError", "RtError", "__version__", "create_app", "run"]

if TYPE_CHECKING:
    from rtserver.app import create_app
    from rtserver.config.load import ConfigError
    from rtserver.protocol.errors import RtError
    from rtserver.server import run


def __getattr__(name: str) -> Any:
    # Lazily: the command line answers at once, without loading a server that it may not need.
    if name == "create_app":
        from rtserver.app import create_app

        return create_app
    if name == "run":
        from rtserver.server import run

        return run
    if name == "ConfigError":
        from rtserver.config.load import ConfigError

        return ConfigError
    if name == "RtError":
        from rtserver.protocol.errors import RtError

        return RtError
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
