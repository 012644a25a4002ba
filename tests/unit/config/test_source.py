"""YAML text and its complaints."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtserver.config.problem import ConfigError, Problem
from rtserver.config.source import parse_text, parse_value, read_file


def complaints(text: str) -> list[str]:
    """What is said about `text`."""
    with pytest.raises(ConfigError) as caught:
        parse_text(text, "f.yaml", [])
    return [str(problem) for problem in caught.value.problems]


def test_empty_text_is_no_settings() -> None:
    """A file with nothing in it, or only comments, is an empty mapping."""
    assert (
        parse_text("", "f", [])
        == parse_text("# all defaults\n", "f", [])
        == parse_text("---\n", "f", [])
        == {}
    )


def test_scalars_are_those_of_yaml_1_2() -> None:
    """Times, octals, dates and words of agreement stay what was written."""
    text = "[1:30, 010, 2024-13-99, yes, off, 5, -2.5, true, null, 1e3, .5, 0x1f]"
    assert parse_text(f"a: {text}", "f", [])["a"] == [
        "1:30", "010", "2024-13-99", "yes", "off", 5, -2.5, True, None, "1e3", ".5", "0x1f",
    ]  # fmt: skip


def test_merge_keys_and_aliases_work() -> None:
    """A mapping can be reused with an anchor and a merge key."""
    assert parse_text("a: &x {k: 1}\nb: {<<: *x, l: 2}", "f", [])["b"] == {"k": 1, "l": 2}


def test_a_syntax_error_says_where() -> None:
    """One problem names the file, the line and the column."""
    assert complaints("server:\n  port: [1\nx: y\n") == [
        "f.yaml: line 3, column 2: expected ',' or ']', but got ':'"
    ]


@pytest.mark.parametrize("text", ["- a\n- b\n", "just text", "42"])
def test_a_file_that_is_no_mapping(text: str) -> None:
    """A list or a scalar in the place of sections is one problem."""
    assert complaints(text) == ["f.yaml: line 1, column 1: must hold sections such as `server:`"]


def test_every_repeated_key_is_told() -> None:
    """A key that is there twice is a problem with its path and both lines, at any depth; its last value holds."""
    text = "server:\n  port: 1\n  port: 2\nwebhooks:\n  targets:\n  - url: a\n    url: b\nserver: {}\n"
    repeated: list[Problem] = []
    assert parse_text(text, "f", repeated) == {"server": {}, "webhooks": {"targets": [{"url": "b"}]}}
    assert [str(problem) for problem in repeated] == [
        "server.port: is there twice, in lines 2 and 3",
        "webhooks.targets[0].url: is there twice, in lines 6 and 7",
        "server: is there twice, in lines 1 and 8",
    ]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("&a [*a]", "an alias inside what it stands for"),
        ("a: *nowhere", "undefined alias"),
        ("a: !!python/name:os.system x", "could not determine a constructor"),
        ("a: 1\n---\nb: 2", "another document"),
        ("[" * 5000, "nested too deeply"),
        ("a: \x01", "a character that YAML does not allow"),
        ("a: !!timestamp 2024-99-99", "a value that YAML cannot read"),
        ("{[1]: 2}", "unhashable key"),
    ],
)
def test_odd_yaml_is_one_plain_problem(text: str, part: str) -> None:
    """What YAML allows or breaks in odd ways is one line, without a traceback."""
    (complaint,) = complaints(text)
    assert part in complaint
    assert "\n" not in complaint


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """A file that cannot be read is one problem that names it."""
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read: No such file"):
        read_file(tmp_path / "none.yaml", [])
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        read_file(tmp_path, [])


def test_a_file_in_another_encoding(tmp_path: Path) -> None:
    """Bytes that are not UTF-8 are one problem; a byte order mark is none."""
    file = tmp_path / "c.yaml"
    file.write_bytes(b"server: {name: \xff}")
    with pytest.raises(ConfigError, match="is not UTF-8 text"):
        read_file(file, [])
    file.write_bytes(b"\xef\xbb\xbfserver: {port: 1}")
    assert read_file(file, []) == {"server": {"port": 1}}


@given(st.text())
def test_any_text_is_data_or_config_error(text: str) -> None:
    """No text makes anything but a mapping or ConfigError."""
    with suppress(ConfigError):
        assert isinstance(parse_text(text, "f", []), dict)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("8000", "8000"), ("0123", "0123"), ("", None), ("null", None), ("[a, 1]", ["a", 1]), ("{a: 1}", {"a": 1}),
        ('"8000"', "8000"), ("a: b", "a: b"), ("[broken", "[broken"), ("x #y", "x #y"),
    ],
)  # fmt: skip
def test_values_of_variables(text: str, value: object) -> None:
    """A variable holds a list or mapping in brackets, null, or text that is kept as it is."""
    assert parse_value(text) == value
