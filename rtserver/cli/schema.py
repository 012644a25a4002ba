"""`rtserver schema`: the contracts for machines."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import import_module
from typing import Any

import click

# Imported when asked for: none of them needs the others' models.
_DOCUMENTS = {
    "openapi": "rtserver.schemas.openapi:openapi",
    "asyncapi": "rtserver.schemas.asyncapi:asyncapi",
    "typescript": "rtserver.schemas.typescript:typescript",
    "config": "rtserver.schemas.configuration:configuration",
}


@click.command()
@click.argument("document", type=click.Choice(list(_DOCUMENTS)))
def schema(document: str) -> None:
    """Print a contract: the HTTP API and the webhooks, the events, the events as TypeScript, or config.yaml."""
    module, _, name = _DOCUMENTS[document].partition(":")
    make: Callable[[], Any] = getattr(import_module(module), name)
    made = make()
    text = made.rstrip("\n") if isinstance(made, str) else json.dumps(made, indent=2, ensure_ascii=False)
    click.echo(text)
