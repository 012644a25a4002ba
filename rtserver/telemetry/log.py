"""structlog for ourselves and for the libraries below: one stream, stderr, console or JSON lines."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog

_SHARED: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def configure(level: str, form: str | None, *, whole_process: bool) -> None:
    """Send every log line of *level* and above to stderr.

    *form* is ``console`` or ``json``; None is console on a terminal and JSON otherwise. Without *whole_process* only
    our own loggers are touched: the process belongs to the application that embeds us.

    Colours are for terminals. The libraries' loggers go the same way, with nothing below WARNING: uvicorn would
    log the full URL of every request, and a URL may carry a token.
    """
    # Without this a handler that fails to write would print a traceback of its own into the stream.
    logging.raiseExceptions = False
    form = form or ("console" if sys.stderr.isatty() else "json")
    render: Any = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    finish = [structlog.processors.format_exc_info] if form == "json" else []
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*_SHARED, structlog.stdlib.PositionalArgumentsFormatter()],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *finish, render],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    ours = logging.getLogger("rtserver")
    ours.setLevel(level.upper())
    if whole_process:
        root = logging.getLogger()
        root.handlers[:] = [handler]
        root.setLevel(logging.WARNING)
    else:
        ours.handlers[:] = [handler]
        ours.propagate = False
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_SHARED,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def logger(name: str) -> Any:
    """Return the logger for one part of the server."""
    return structlog.get_logger(f"rtserver.{name}")
