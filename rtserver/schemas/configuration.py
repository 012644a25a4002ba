"""The configuration as JSON Schema, for editors that complete and check ``config.yaml`` while it is written."""

from __future__ import annotations

from typing import Any

from rtserver.config.schema import Config
from rtserver.schemas.models import Plain, as_markdown

# Any value may come from the environment. What it is then, is seen when the file is loaded.
_VARIABLE = {"type": "string", "pattern": r"\$\{"}


def configuration() -> dict[str, Any]:
    """Return the schema."""
    schema = as_markdown(Config.model_json_schema(schema_generator=Plain))
    schema["$defs"] = {name: _section(section) for name, section in schema["$defs"].items()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **_section(schema),
        "title": "rtserver configuration",
    }


def _section(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a section, which may also be empty: everything below the key commented out is null in YAML."""
    if "properties" not in schema:
        return schema
    fields = {name: _field(field) for name, field in schema["properties"].items()}
    return {**schema, "type": ["object", "null"], "properties": fields}


def _field(schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        return schema
    kept: dict[str, Any] = {key: schema[key] for key in ("description", "default") if key in schema}
    inner = {key: value for key, value in schema.items() if key not in ("description", "default", "title")}
    choices = inner["anyOf"] if inner.keys() == {"anyOf"} else [inner]
    return {**kept, "anyOf": [*choices, *_shorthand(choices), _VARIABLE]}


def _shorthand(choices: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what else is taken: one string for a list of strings, a string of any case for a word."""
    found: list[dict[str, Any]] = []
    for choice in choices:
        if choice.get("type") == "array":
            found.append({"type": "null"})
            items = choice.get("items", {})
            if items.get("type") == "string":
                found.append(items)
    return found
