"""Models as JSON Schema (draft 2020-12, which OpenAPI 3.1 and AsyncAPI 3.0 take as it is)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from rtserver.protocol.names import MAX_LENGTH

REF = "#/components/schemas/"

NAME: dict[str, Any] = {
    "type": "string",
    "minLength": 1,
    "maxLength": MAX_LENGTH,
    "format": "rtserver-name",
    "description": "Compared in Unicode's normal form NFC; no control, bidi or invisible characters.",
}


class Plain(GenerateJsonSchema):
    """Without titles that only repeat a field's name."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """See `GenerateJsonSchema`."""
        return False


def components(models: Iterable[type[BaseModel]], ref: str = REF) -> dict[str, Any]:
    """Return the schemas of the models, and of all they refer to, by name; references begin with *ref*."""
    wanted = [(model, "validation") for model in dict.fromkeys(models)]
    _, schema = models_json_schema(
        wanted,  # type: ignore[arg-type]  # the literal's type is lost in a list
        ref_template=ref + "{model}",
        schema_generator=Plain,
    )
    found: dict[str, Any] = schema.get("$defs", {})
    return {name: as_markdown(_optional(found[name])) for name in sorted(found)}


def reference(model: type[BaseModel]) -> dict[str, str]:
    """Return the reference to a model among the components."""
    return {"$ref": REF + model.__name__}


def parameters(model: type[BaseModel]) -> list[dict[str, Any]]:
    """Return a model's fields as parameters of a URL's query, where nothing is null."""
    schema = as_markdown(model.model_json_schema(schema_generator=Plain))
    required = schema.get("required", ())
    return [
        {"name": name, "in": "query", "required": name in required, **_parameter(field)}
        for name, field in schema.get("properties", {}).items()
    ]


def _parameter(field: dict[str, Any]) -> dict[str, Any]:
    field = {**field}
    choices = field.pop("anyOf", None)
    if choices is not None:
        field |= next(choice for choice in choices if choice != {"type": "null"})
    if field.get("default", ...) is None:
        del field["default"]
    told = {"description": field.pop("description")} if "description" in field else {}
    return {**told, "schema": field}


def _optional(value: Any) -> Any:
    """Return the schema without null as a default: a field that may be left out says so by not being required."""
    if isinstance(value, list):
        return [_optional(part) for part in value]
    if not isinstance(value, dict):
        return value
    return {key: _optional(part) for key, part in value.items() if not (key == "default" and part is None)}


def as_markdown(value: Any) -> Any:
    """Return the schema with its descriptions in Markdown instead of reStructuredText, and each in one line."""
    if isinstance(value, list):
        return [as_markdown(part) for part in value]
    if not isinstance(value, dict):
        return value
    return {
        key: " ".join(part.replace("``", "`").split())
        if key == "description" and isinstance(part, str)
        else as_markdown(part)
        for key, part in value.items()
    }
