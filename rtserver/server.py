"""The process: the listening socket, the event loop, signals, and the order of start and stop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import uvicorn

from rtserver.app import App
from rtserver.config.schema import Config
from rtserver.telemetry import log
from rtserver.transport.uvicorn_http import GuardedHttpProtocol
from rtserver.transport.uvicorn_ws import DirectWebSocketProtocol

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

_log = log.logger("server")

# How long uvicorn waits for what is left after draining.
_LAST_REQUESTS = 1
_BACKLOG = 4096


class Server(uvicorn.Server):
    """uvicorn's server with our own signals: it drains before the connections are closed."""

    def __init__(self, config: uvicorn.Config, app: App, url: str) -> None:
        super().__init__(config)
        self._app = app
        self._url = url
        self._stopping: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then say where: one line, when connections are accepted."""
        await super().startup(sockets)
        self._watch_signals()
        print(f"rtserver is listening on {self._url}", flush=True)  # noqa: T201

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone: uvicorn's handlers would close connections first and raise the signal again."""
        yield

    def _watch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                loop.add_signal_handler(number, self._stop)
            except NotImplementedError:  # Windows
                signal.signal(number, lambda *_: loop.call_soon_threadsafe(self._stop))

    def _stop(self) -> None:
        """Begin to drain; a second signal stops at once."""
        if self._stopping is not None:
            self.force_exit = self.should_exit = True
            return
        self._stopping = asyncio.ensure_future(self._drain())

    def _release_idle(self) -> None:
        """Close connections that carry no request: a browser keeps some open for minutes."""
        for connection in list(self.server_state.connections):
            connection.shutdown()

    async def _drain(self) -> None:
        drain = self._app.config.server.drain
        _log.info("stopping", clients=self._app.node.connections)
        self._app.draining = True
        try:
            async with asyncio.timeout(drain.timeout):
                await asyncio.sleep(drain.delay)
                await self._app.drain(drain.spread)
                # A client between two polls has not heard yet; the next poll may come over a connection idle now.
                while self._app.engine.speaking:  # noqa: ASYNC110  # it ends by itself, soon
                    await asyncio.sleep(0.02)
                self._release_idle()
                while self.server_state.connections:  # noqa: ASYNC110  # uvicorn has no event for it
                    await asyncio.sleep(0.02)
        except TimeoutError:
            _log.warning("not drained in time", connections=len(self.server_state.connections))
        finally:
            for connection in list(self.server_state.connections):
                transport = getattr(connection, "transport", None)
                if transport is not None:
                    transport.abort()
            self.should_exit = True


def serve(app: App, config: Config | None = None) -> int:
    """Serve *app* until a signal stops it; return the exit code. *config* overrides where it listens."""
    settings = (config or app.config).server
    log.configure(app.config.logging.level, app.config.logging.format, whole_process=True)
    app.logs_for_itself = False
    try:
        listener = _listen(settings.host, settings.port)
    except OSError as error:
        where = f"{settings.host}:{settings.port}"
        print(f"rtserver: cannot listen on {where}: {error.strerror}", file=sys.stderr)  # noqa: T201
        return 1
    tls = settings.tls
    scheme = "https" if tls.cert is not None else "http"
    host, port = listener.getsockname()[:2]
    url = f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
    server = Server(
        uvicorn.Config(
            app,
            http=GuardedHttpProtocol,
            ws=DirectWebSocketProtocol,
            ws_max_size=app.config.engine.max_payload,
            ws_ping_interval=None,
            ws_per_message_deflate=app.config.engine.compression,
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            backlog=_BACKLOG,
            timeout_graceful_shutdown=_LAST_REQUESTS,
            ssl_certfile=tls.cert,
            ssl_keyfile=tls.key,
        ),
        app,
        url,
    )
    _settle_memory()
    _raise_file_limit()
    server.run([listener])
    return 0


def run(app: App) -> int:
    """Serve *app* as ``rtserver serve`` does, until a signal stops it."""
    return serve(app)


def load_app(path: str) -> App:
    """Return the application that ``module:attribute`` names; raise `ValueError` with what is wrong."""
    module_name, _, attribute = path.partition(":")
    if not module_name or not attribute:
        raise ValueError(f"{path!r} is not of the form MODULE:ATTR")
    # As for any ``python -m``: the module may lie where the command is given.
    sys.path.insert(0, str(Path.cwd()))
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name != module_name.split(".", maxsplit=1)[0] and error.name != module_name:
            raise
        raise ValueError(f"there is no module {module_name!r} here") from None
    app = getattr(module, attribute, None)
    if not isinstance(app, App):
        raise ValueError(f"{path} is not an application that rtserver.create_app made")
    return app


def _listen(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        if sys.platform != "win32":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


def _raise_file_limit() -> None:
    """Take as many file descriptors as we may: a client is one, and the usual soft limit is 1024."""
    if resource is not None:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _settle_memory() -> None:
    """Take what start-up made out of the garbage collector's sight: it lives as long as the process."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
