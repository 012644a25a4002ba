"""What an answer is made of."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from rtserver.protocol.plain import plain_json


class Json(Response):
    """An answer in JSON."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Write it."""
        return plain_json(content)
