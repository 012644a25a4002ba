"""The shape of the configuration. `Config()` is all defaults; key names are attribute names.

Durations are float seconds, sizes int bytes, lists tuples. Constructing a model by hand checks each value but
not how values go together; `rtserver.config.load.load` does both.
"""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, model_validator

from rtserver.config.schema_access import Api, Auth, Jwt
from rtserver.config.schema_backends import Broker, Ingest, KafkaSource, PostgresSource, Store
from rtserver.config.schema_hooks import Hooks
from rtserver.config.schema_rooms import (
    Announce,
    ConnectionLimits,
    History,
    Limits,
    Notifications,
    Rate,
    Recovery,
    Retention,
    RoomPolicy,
)
from rtserver.config.schema_server import Cors, Drain, Engine, SendBuffer, Server, Tls
from rtserver.config.schema_webhooks import EVENT_TYPES, Batch, Queue, Retry, Target, Webhooks
from rtserver.config.section import Section

__all__ = [
    "EVENT_TYPES",
    "Announce",
    "Api",
    "Auth",
    "Batch",
    "Broker",
    "Config",
    "ConnectionLimits",
    "Cors",
    "Demo",
    "Drain",
    "Engine",
    "History",
    "Hooks",
    "Ingest",
    "Jwt",
    "KafkaSource",
    "Limits",
    "Logging",
    "Metrics",
    "Notifications",
    "PostgresSource",
    "Queue",
    "Rate",
    "Recovery",
    "Retention",
    "Retry",
    "RoomPolicy",
    "SendBuffer",
    "Server",
    "Store",
    "Target",
    "Tls",
    "Webhooks",
]


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


class Metrics(Section):
    """Prometheus metrics."""

    enabled: bool = True
    """Whether /metrics answers."""
    require_key: bool = False
    """Whether it answers only who has one of `api.keys`, whatever auth.mode is."""


class Logging(Section):
    """What is logged to stderr."""

    level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)] = "info"
    """Least severe level that is logged."""
    format: Literal["console", "json"] | None = None
    """console for people, json for machines; null is console on a terminal and json otherwise."""


class Demo(Section):
    """The demo page."""

    enabled: bool = True
    """Whether / shows the demo page."""


class Config(Section):
    """Everything an operator can set."""

    server: Server = Server()
    engine: Engine = Engine()
    cors: Cors = Cors()
    auth: Auth = Auth()
    api: Api = Api()
    rooms: tuple[RoomPolicy, ...] = (RoomPolicy(match="*"),)
    limits: Limits = Limits()
    announce: Announce = Announce()
    recovery: Recovery = Recovery()
    notifications: Notifications = Notifications()
    webhooks: Webhooks = Webhooks()
    store: Store = Store()
    broker: Broker = Broker()
    ingest: Ingest = Ingest()
    metrics: Metrics = Metrics()
    logging: Logging = Logging()
    demo: Demo = Demo()

    @model_validator(mode="before")
    @classmethod
    def _empty_section_is_default(cls, data: Any) -> Any:
        if isinstance(data, dict):
            return {key: value for key, value in data.items() if value is not None}
        return data
