"""structlog for ourselves and for the libraries below: one stream, stderr, console or JSON lines."""

from __future__ import annotations

import contextlib
import logging
import sys
from typing import IO, Any

import orjson
import structlog

_FOREIGN: list[Any] = [
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.stdlib.PositionalArgumentsFormatter(),
]


def configure(level: str, form: str | None, *, whole_process: bool) -> None:
    """Send every log line of *level* and above to stderr.

    *form* is ``console`` or ``json``; None is console on a terminal and JSON otherwise. Without *whole_process* only
    our own loggers are touched: the process belongs to the application that embeds us. With it the libraries' go the
    same way, with nothing below WARNING: uvicorn would log the full URL of every request, and a URL may carry a token.
    """
    as_json = form == "json" or (form is None and not sys.stderr.isatty())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *_ending(_json, as_json),
        ],
        logger_factory=structlog.BytesLoggerFactory(_Forgiving(sys.stderr.buffer))  # type: ignore[arg-type]
        if as_json
        else structlog.WriteLoggerFactory(_Forgiving(sys.stderr)),  # type: ignore[arg-type]
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    _configure_libraries(level, as_json, whole_process=whole_process)


class _Forgiving:
    """A stream that never raises: what cannot be logged, on a full disk for one, must not stop what went well."""

    def __init__(self, stream: IO[Any]) -> None:
        self._stream = stream

    def write(self, line: Any) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(line)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()


def _configure_libraries(level: str, as_json: bool, *, whole_process: bool) -> None:
    # Without this a handler that fails to write would print a traceback of its own into the stream.
    logging.raiseExceptions = False
    finish = _ending(structlog.processors.JSONRenderer(), as_json)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_FOREIGN,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *finish],
        )
    )
    ours = logging.getLogger("rtserver")
    ours.setLevel(level.upper())
    if whole_process:
        root = logging.getLogger()
        root.handlers[:] = [handler]
        root.setLevel(logging.WARNING)
        # It writes several lines a second about brokers that are gone; ingest/source.py says so once.
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    else:
        ours.handlers[:] = [handler]
        ours.propagate = False


def _ending(json_renderer: Any, as_json: bool) -> list[Any]:
    if as_json:
        return [structlog.processors.format_exc_info, json_renderer]
    return [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]


def _json(logger: Any, method: str, line: Any) -> bytes:
    return orjson.dumps(line, default=repr)


def logger(name: str) -> Any:
    """Return the logger for one part of the server."""
    return structlog.get_logger(part=name)
