"""Sections about the process and its connections: `server`, `engine`, `cors`."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, IPvAnyNetwork

from rtserver.config.section import Section
from rtserver.config.types import Duration, Origins, PositiveDuration, Size, Text, UrlPath
from rtserver.config.values import listed, number

Port = Annotated[int, BeforeValidator(number), Field(ge=0, le=65535)]
Transport = Literal["polling", "websocket"]


class Tls(Section):
    """Certificate and private key, both or neither."""

    cert: Path | None = None
    """PEM file with the certificate chain."""
    key: Path | None = None
    """PEM file with the private key."""


class Drain(Section):
    """What happens on SIGTERM."""

    delay: Duration = 0.0
    """How long /readyz answers 503 before the first connection is closed."""
    spread: Duration = 5.0
    """The connections are closed in batches over this time, so that they do not all come back at once."""
    timeout: PositiveDuration = 10.0
    """All of it takes no longer than this."""


class Server(Section):
    """Where the server listens and how it stops."""

    host: Text = "127.0.0.1"
    """Address to listen on."""
    port: Port = 8000
    """Port to listen on; 0 takes a free one."""
    name: Text | None = None
    """Name of this node in webhooks, logs and metrics; null is the machine's host name."""
    tls: Tls = Tls()
    trusted_proxies: Annotated[
        tuple[Annotated[IPvAnyNetwork, BeforeValidator(number)], ...], BeforeValidator(listed)
    ] = ()
    """Addresses or networks of reverse proxies whose X-Forwarded-For and -Proto are believed."""
    drain: Drain = Drain()


class SendBuffer(Section):
    """How far behind a client may fall before it is disconnected as a slow consumer."""

    max_bytes: Size = 4 * 1024 * 1024
    """Bytes waiting for one client."""
    stall: PositiveDuration = 10.0
    """Time in which a client with bytes waiting takes none."""


class Engine(Section):
    """Engine.IO: the transport below Socket.IO."""

    path: UrlPath = "/socket.io/"
    """Path of the endpoint; the client's `path` option has to be the same."""
    transports: Annotated[tuple[Transport, ...], BeforeValidator(listed), Field(min_length=1)] = (
        "polling",
        "websocket",
    )
    """Transports a client may use."""
    ping_interval: PositiveDuration = 25.0
    """Time between heartbeats."""
    ping_timeout: PositiveDuration = 20.0
    """A client that stays silent for this long after a heartbeat is gone."""
    max_payload: Size = 1_000_000
    """Largest message or polling body a client may send."""
    connect_timeout: PositiveDuration = 10.0
    """Time a new connection has until it is an accepted client."""
    send_buffer: SendBuffer = SendBuffer()
    compression: bool = False
    """Offer permessage-deflate; a broadcast is compressed once for all who take it."""


class Cors(Section):
    """Which web pages may connect."""

    allowed_origins: Origins = ()
    """Origins besides the server's own: exact, with `*` (https://*.example.com), or "*" for all."""
