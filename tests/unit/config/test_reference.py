"""config.yaml at the root is the reference of every key, with its default."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from rtserver.config.check import NOT_IN_EFFECT
from rtserver.config.load import load
from rtserver.config.schema import Config, KafkaSource, PostgresSource, Target
from rtserver.config.shape import as_model

REFERENCE = Path(__file__).parents[3] / "config.yaml"


def missing(model: type[BaseModel], data: Mapping[str, Any], above: str = "") -> Iterator[str]:
    """Paths of the keys of `model` that `data` does not have."""
    for name, field in model.model_fields.items():
        below = as_model(field.annotation)
        if name not in data:
            yield f"{above}{name}"
        elif below is not None and data[name] is not None:
            yield from missing(below, data[name], f"{above}{name}.")


def example(first: str) -> dict[str, Any]:
    """The commented item of a list that starts with `- name: FIRST`."""
    lines = REFERENCE.read_text(encoding="utf-8").splitlines()
    start = lines.index(f"#    - name: {first}")
    block = [lines[start][1:]]
    for line in lines[start + 1 :]:
        if not line.startswith("#      "):
            break
        block.append(line[1:])
    (item,) = yaml.safe_load("\n".join(block))
    assert isinstance(item, dict)
    return item


def comment(lines: list[str], at: int) -> str:
    """The comment of a line: above it, and in it."""
    above = at
    while lines[above - 1].lstrip().startswith("#"):
        above -= 1
    return " ".join(line.lstrip(" #") for line in lines[above : at + 1])


def test_it_is_exactly_the_defaults() -> None:
    """A server run with the reference file is a server run without one."""
    assert load(REFERENCE, env={}) == Config()


def test_it_has_every_key() -> None:
    """No key of the schema is left out of the reference, down to the policies of rooms."""
    data = yaml.safe_load(REFERENCE.read_text(encoding="utf-8"))
    assert list(missing(Config, data)) == []
    assert list(missing(type(Config().rooms[0]), data["rooms"][0])) == []


@pytest.mark.parametrize("path", [path for path, _ in NOT_IN_EFFECT])
def test_it_marks_what_is_not_in_effect(path: str) -> None:
    """Who plans with the reference sees there which sections and keys do nothing in this version."""
    lines = REFERENCE.read_text(encoding="utf-8").splitlines()
    section, _, key = path.partition(".")
    places = [lines.index(f"{section}:")]
    if key:
        places.append(next(at for at in range(places[0], len(lines)) if lines[at].startswith(f"  {key}:")))
    said = "".join(f"{comment(lines, at)}\n" for at in places)
    assert "not in effect in this version" in said


def test_its_examples_have_every_key() -> None:
    """The commented examples of list items are complete."""
    assert list(missing(Target, example("audit"))) == []
    assert list(missing(KafkaSource, example("orders"))) == []
    assert list(missing(PostgresSource, example("outbox"))) == []


def test_its_examples_show_the_defaults() -> None:
    """An example with every default written out is the same as one with only the required keys."""
    targets = [example("audit"), {"name": "b", "url": "https://example.com/hooks"}]
    written, short = load({"webhooks": {"targets": targets}}, env={}).webhooks.targets
    assert written.model_dump(exclude={"name"}) == short.model_dump(exclude={"name"})
    orders = example("orders")
    brief = {key: orders[key] for key in ("bootstrap_servers", "topics")} | {"name": "b"}
    one, two = load({"ingest": {"kafka": [orders, brief]}}, env={}).ingest.kafka
    assert one.model_dump(exclude={"name"}) == two.model_dump(exclude={"name"})
