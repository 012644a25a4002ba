"""The `_file` twins."""

from pathlib import Path

import pytest

from rtserver.config.load import ConfigError, load
from rtserver.config.schema import Config
from rtserver.config.shape import as_model, child, is_list, twins


def problems(data: object) -> list[str]:
    """What is said about `data`."""
    with pytest.raises(ConfigError) as caught:
        load(data, env={})  # type: ignore[arg-type]
    return [str(problem) for problem in caught.value.problems]


def test_a_secret_is_read_without_its_line_end(tmp_path: Path) -> None:
    """The newline that editors add is not part of the secret; spaces are."""
    file = tmp_path / "jwt"
    file.write_bytes(b" s3cret \r\n")
    secret = load({"auth": {"jwt": {"secret_file": str(file)}}}, env={}).auth.jwt.secret
    assert secret is not None
    assert secret.get_secret_value() == " s3cret "


def test_a_list_is_read_line_by_line(tmp_path: Path) -> None:
    """Each line that is not blank is one item, also inside of a list of targets."""
    file = tmp_path / "keys"
    file.write_text("one\n\n  two\n")
    config = load({"api": {"keys_file": str(file)}}, env={})
    assert [key.get_secret_value() for key in config.api.keys] == ["one", "two"]
    file.write_text("whsec_c2VjcmV0\n")
    target = {"name": "a", "url": "http://a", "secrets_file": str(file)}
    config = load({"webhooks": {"targets": [target]}}, env={})
    assert len(config.webhooks.targets[0].secrets) == 1


def test_both_at_once_are_refused(tmp_path: Path) -> None:
    """A secret and its file together are a problem, because one of them would be ignored."""
    file = tmp_path / "dsn"
    file.write_text("redis://elsewhere")
    assert problems({"broker": {"url": "redis://here", "url_file": str(file)}}) == [
        "broker.url_file: cannot be given together with url"
    ]


def test_an_unreadable_file_is_one_problem() -> None:
    """A file that is not there is told by its path, without a second complaint about the missing secret."""
    data = {"auth": {"mode": "required", "jwt": {"secret_file": "/nowhere/jwt"}}}
    assert problems(data) == ["auth.jwt.secret_file: /nowhere/jwt cannot be read: No such file or directory"]


def test_an_unreadable_file_for_a_required_key_is_one_problem() -> None:
    """A required key whose file is not there is not reported as missing as well."""
    source = {"name": "p", "dsn_file": "/nowhere/dsn", "table": "t"}
    assert problems({"ingest": {"postgres": [source]}}) == [
        "ingest.postgres[0].dsn_file: /nowhere/dsn cannot be read: No such file or directory"
    ]


def test_every_secret_has_a_twin() -> None:
    """Wherever the schema holds a secret, it holds the key for its file too."""
    missing: list[str] = []

    def walk(annotation: object, place: str) -> None:
        model = as_model(annotation)
        if model is None:
            if is_list(annotation):
                walk(child(annotation, 0), f"{place}[]")
            return
        paired = {key for key, _ in twins(model)}
        for name, field in model.model_fields.items():
            if "SecretStr" in repr(field.annotation) and name not in paired:
                missing.append(f"{place}.{name}")
            walk(field.annotation, f"{place}.{name}")

    walk(Config, "")
    assert missing == []
