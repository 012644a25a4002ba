"""Names that must not be there twice, told from raw data, so that other mistakes do not hide them."""

from collections.abc import Iterator, Mapping
from typing import Any

from rtserver.config.problem import Problem, dotted

_PLACES = (("webhooks", "targets"), ("ingest", "kafka"), ("ingest", "postgres"))


def repeated_names(data: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield a problem for each item of a list in `data` (shaped like the file) that repeats a `name`."""
    for section, key in _PLACES:
        below = data.get(section)
        items = below.get(key) if isinstance(below, Mapping) else None
        seen: dict[str, int] = {}
        for index, item in enumerate(items if isinstance(items, list | tuple) else ()):
            name = item.get("name") if isinstance(item, Mapping) else None
            if not isinstance(name, str):
                continue
            if name in seen:
                place = dotted((section, key, index, "name"))
                yield Problem(place, f"'{name}' is already the name of {dotted((section, key, seen[name]))}")
            seen.setdefault(name, index)
