"""What `/metrics` shows, and what changed in it."""

from __future__ import annotations

from collections.abc import Mapping

import httpx
from prometheus_client.parser import text_string_to_metric_families

Series = dict[tuple[str, str], float]
"""Values by the series' name, without `rtserver_`, and its label's value, empty for none."""


async def scraped(url: str, key: str | None = None) -> Series:
    """The series of ours."""
    headers = {"Authorization": f"Bearer {key}"} if key is not None else {}
    async with httpx.AsyncClient(trust_env=False, headers=headers) as http:
        answer = await http.get(f"{url}/metrics")
    assert answer.status_code == 200, answer.text
    return {
        (
            sample.name.removeprefix("rtserver_"),
            "/".join(value for _, value in sorted(sample.labels.items())),
        ): (sample.value)
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
        if sample.name.startswith("rtserver_")
    }


def changes(before: Mapping[tuple[str, str], float], after: Mapping[tuple[str, str], float]) -> Series:
    """By how much each series is another than before; those that are the same are left out."""
    return {
        key: after.get(key, 0) - before.get(key, 0)
        for key in {**before, **after}
        if after.get(key) != before.get(key)
    }
