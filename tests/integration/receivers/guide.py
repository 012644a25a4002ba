"""docs/webhooks.md, taken apart."""

from __future__ import annotations

import json
import re
import textwrap
from typing import Any

from tests.integration.receivers.processes import ROOT

GUIDE = (ROOT / "docs" / "webhooks.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The guide's blocks of code in that language."""
    found = re.findall(rf"^ *```{language}\n(.*?)^ *```", GUIDE, re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(block) for block in found]


def examples() -> dict[str, Any]:
    """The guide's examples of events and of a batch, by type."""
    parsed = [json.loads(block) for block in blocks("json")]
    return {example["type"]: example for example in parsed if "type" in example}
