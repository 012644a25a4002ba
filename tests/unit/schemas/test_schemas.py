"""The contracts for machines: nothing is missing in them, nothing too much, and everything they refer to is there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml
from click.testing import CliRunner
from starlette.routing import Route

from rtserver.app import create_app
from rtserver.cli.main import main
from rtserver.config.schema import EVENT_TYPES
from rtserver.protocol.acks import CLIENT_EVENTS
from rtserver.protocol.errors import REASONS
from rtserver.protocol.events import SERVER_EVENTS
from rtserver.protocol.hooks import HOOK_EVENTS
from rtserver.protocol.messages import parse
from rtserver.protocol.publish import Publish
from rtserver.router import ROUTES
from rtserver.schemas.asyncapi import asyncapi
from rtserver.schemas.configuration import configuration
from rtserver.schemas.openapi import openapi
from rtserver.schemas.operations import OPERATIONS
from rtserver.schemas.typescript import typescript

ROOT = Path(__file__).resolve().parents[3]
# Pages and documents, and what is for Prometheus: no calls that a backend makes.
NO_OPERATIONS = {"/openapi.json", "/asyncapi.json", "/docs", "/docs/docs.js", "/docs/docs.css", "/metrics"}


@pytest.fixture(scope="module")
def validator() -> Any:
    """The schema of the configuration, ready to judge."""
    schema = configuration()
    jsonschema_rs.meta.validate(schema)
    return jsonschema_rs.validator_for(schema)


def references(value: Any) -> Iterator[str]:
    """Every reference in a document."""
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for part in value.values():
            yield from references(part)
    elif isinstance(value, list):
        for part in value:
            yield from references(part)


def at(document: Any, reference: str) -> Any:
    """What a reference refers to."""
    for step in reference.removeprefix("#/").split("/"):
        document = document[step]
    return document


class TestTables:
    """What the documents are made from, beside what the server does."""

    def test_operations_are_the_routes(self):
        """Every route of the API is described, and nothing that is not there."""
        app = create_app({})
        routes = {
            (method.lower(), re.sub(r":\w+", "", route.path))
            for route in app._http.router.routes
            if isinstance(route, Route)
            for method in route.methods or ()
            if method != "HEAD" and route.path not in NO_OPERATIONS
        }
        assert routes == {(operation.method, operation.path) for operation in OPERATIONS}

    def test_client_events_are_the_routers(self):
        """Every event that is routed is described with the model that reads it."""
        assert {event: route.model for event, route in ROUTES.items()} == {
            event: exchange.payload for event, exchange in CLIENT_EVENTS.items()
        }

    def test_webhooks_are_those_of_the_config(self):
        """Every type that a target can ask for is described."""
        assert set(HOOK_EVENTS) == set(EVENT_TYPES)

    def test_server_events_are_those_that_are_sent(self):
        """Every event name in the code that sends to clients is described."""
        sent = re.compile(r'(?:Message|\.emit|_connection|_membership)\(\s*"(\w+)"')
        files = (ROOT / "rtserver").rglob("*.py")
        names = {
            name
            for file in files
            # A plain WebSocket's own frames are no events of Socket.IO.
            if not {"bench", "webhooks", "reports.py", "websocket.py"}
            & set(file.relative_to(ROOT / "rtserver").parts)
            for name in sent.findall(file.read_text())
        }
        assert names - {"chat"} <= set(SERVER_EVENTS)
        # These two are published, and so is the answer of a route.
        assert set(SERVER_EVENTS) - names <= {"chat", "broadcast", "pong"}


class TestOpenApi:
    """``openapi``."""

    @pytest.mark.parametrize("open_to_all", [True, False])
    def test_whole(self, open_to_all: bool):
        """It is OpenAPI 3.1, its references lead somewhere, and each operation has a name of its own."""
        document = openapi(open_to_all=open_to_all)
        assert document["openapi"].startswith("3.1.")
        for reference in references(document):
            at(document, reference)
        names = [it["operationId"] for path in document["paths"].values() for it in path.values()]
        assert len(names) == len(set(names))
        for schema in document["components"]["schemas"].values():
            jsonschema_rs.meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema})

    def test_keys(self):
        """Where keys are asked for, every call but health says so; where none are, none does."""
        guarded = openapi()["paths"]
        assert {"/healthz", "/readyz"} == {
            path for path, methods in guarded.items() if any("security" not in it for it in methods.values())
        }
        assert '"security"' not in json.dumps(openapi(open_to_all=True))

    def test_webhooks(self):
        """Every type of event is there, and the batch of several."""
        assert set(openapi()["webhooks"]) == {*EVENT_TYPES, "batch"}

    @pytest.mark.parametrize(
        "body",
        [
            {"room": "a", "message": "x"},
            {"user": "a", "data": None, "room": None},
            {"all": True, "event": "task_update", "data": {"n": 1}, "except": ["s"]},
            {"room": "a"},
            {"message": "x"},
            {"room": "a", "user": "b", "message": "x"},
            {"room": "a", "all": True, "message": "x"},
            {"all": False, "message": "x"},
            {"room": "a", "message": None},
            {"room": "topic:a", "message": "x"},
            {"room": "a", "message": "x", "event": "connect"},
            {"room": "a", "message": "x", "more": 1},
            {"room": "a" * 129, "message": "x"},
        ],
    )
    def test_publish(self, body: dict[str, Any]):
        """The schema of a publication takes what the server takes, and refuses what it refuses."""
        document = openapi()
        validator = jsonschema_rs.validator_for(
            {"$ref": "#/components/schemas/Publish", "components": document["components"]}
        )
        try:
            parse(Publish, body)
        except Exception:
            assert not validator.is_valid(body)
        else:
            assert validator.is_valid(body)


class TestAsyncApi:
    """``asyncapi``."""

    def test_whole(self):
        """It is AsyncAPI 3.0, its references lead somewhere, and every event is in it."""
        document = asyncapi()
        assert document["asyncapi"] == "3.0.0"
        for reference in references(document):
            at(document, reference)
        operations = document["operations"]
        assert {f"receive.{event}" for event in (*CLIENT_EVENTS, "message")} | {
            f"send.{event}" for event in SERVER_EVENTS
        } == set(operations)
        assert {it["action"] for it in operations.values()} == {"send", "receive"}
        for schema in document["components"]["schemas"].values():
            jsonschema_rs.meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema})


class TestTypeScript:
    """``typescript``."""

    def test_the_demo_has_it(self):
        """The file that the demo's client is compiled with, by `tsc --strict`, is the one that is printed now."""
        committed = (ROOT / "client_demo" / "src" / "events.ts").read_text()
        assert committed == typescript(), "rtserver schema typescript > client_demo/src/events.ts"

    def test_all_events(self):
        """Every event is in its interface, and every reason in the list."""
        text = typescript()
        to_server = text[text.index("interface ClientToServerEvents") :]
        for event in (*CLIENT_EVENTS, "message", *SERVER_EVENTS):
            assert f"\n  {event}: (" in to_server
        for reason in REASONS:
            assert f'"{reason.reason}"' in text


class TestConfiguration:
    """``config``."""

    def test_the_shipped_file(self, validator: Any):
        """config.yaml, which has every key, is what the schema describes."""
        config = yaml.safe_load((ROOT / "config.yaml").read_text())
        assert [error.message for error in validator.iter_errors(config)] == []

    @pytest.mark.parametrize(
        "text",
        [
            "{}",
            "server:",
            "server: {port: '${PORT:-8000}'}",
            "auth: {mode: optional, jwt: {secret_file: key, algorithms: HS256}}",
            "api: {keys: one}",
            "rooms: [{match: 'a-*', join: claim, history: {size: 5, ttl: 24h}}]",
            "webhooks: {targets: [{name: a, url: 'http://x', secrets: [whsec_YQ==], batch: {max_wait: 50ms}}]}",
            "limits: {message_size: 64KiB, rate: null}",
        ],
    )
    def test_good(self, validator: Any, text: str):
        """What the server takes, the schema takes."""
        assert [error.message for error in validator.iter_errors(yaml.safe_load(text))] == []

    @pytest.mark.parametrize(
        "text",
        [
            "sevrer: {}",
            "server: {prot: 1}",
            "server: {port: eight}",
            "auth: {mode: perhaps}",
            "webhooks: {targets: [{url: 'http://x', retries: 3}]}",
            "limits: {message_size: big}",
        ],
    )
    def test_bad(self, validator: Any, text: str):
        """A misspelt key and a wrong value are told while they are written."""
        assert not validator.is_valid(yaml.safe_load(text))

    def test_told(self):
        """Keys come with what they mean, for the editor to show."""
        server = configuration()["$defs"]["Server"]["properties"]
        assert all(key.get("description") for name, key in server.items() if "$ref" not in key), server


class TestCommand:
    """``rtserver schema``."""

    @pytest.mark.parametrize("document", ["openapi", "asyncapi", "config"])
    def test_json(self, document: str):
        """It prints JSON."""
        done = CliRunner().invoke(main, ["schema", document])
        assert done.exit_code == 0
        assert isinstance(json.loads(done.output), dict)

    def test_typescript(self):
        """It prints the file as it is committed."""
        done = CliRunner().invoke(main, ["schema", "typescript"])
        assert done.output == typescript()

    def test_unknown(self):
        """What else there is, is said."""
        done = CliRunner().invoke(main, ["schema", "graphql"])
        assert done.exit_code == 2
        assert "openapi" in done.output
