"""`Section`, what every part of the configuration is: frozen, strict about keys, silent about values."""

from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator


class Section(BaseModel):
    """A mapping with a fixed set of keys. An unknown key is an error; a missing one has its default."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _empty_is_default(cls, data: Any) -> Any:
        # `server:` with every key below it commented out is null in YAML; the operator means "as usual".
        return {} if data is None else data
