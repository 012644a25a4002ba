"""Names for parametrized tests: every worker has to come to the same ones, in the same order."""

import re
from typing import Any


def named(value: Any) -> str:
    """Return its repr, without addresses of memory."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))
