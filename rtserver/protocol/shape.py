"""`Shape`, what every answer and every event of the server is described by.

Nothing is made from these models where messages pass; they say what is sent, for machines to read, and tests hold what
is really sent against them.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, WithJsonSchema

LEFT_OUT: Any = None
"""The default of a field that is left out instead of being null."""

Timestamp = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
"""ISO 8601 in UTC, with Z."""


def _describe(schema: dict[str, Any]) -> None:
    # Readers have to bear with fields that a later version adds; only our own tests are that strict.
    schema.pop("additionalProperties", None)
    for field in schema.get("properties", {}).values():
        if field.get("default", ...) is None:
            del field["default"]


class Shape(BaseModel):
    """Exactly these fields, of exactly these types."""

    model_config = ConfigDict(
        extra="forbid", strict=True, use_attribute_docstrings=True, json_schema_extra=_describe
    )
