"""What schemathesis loads before it runs: how names look, which JSON Schema cannot say."""

from __future__ import annotations

import schemathesis
from hypothesis import strategies as st

from rtserver.protocol.names import normal_name


def _is_name(text: str) -> bool:
    try:
        return normal_name(text) == text
    except ValueError:
        return False


schemathesis.openapi.format("rtserver-name", st.text(min_size=1, max_size=20).filter(_is_name))
