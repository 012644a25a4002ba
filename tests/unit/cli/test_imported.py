"""`serve --app`: what is told when the user's module cannot be imported."""

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from rtserver.cli.main import main


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory for modules, in which the command is given."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return tmp_path


def serve(here: Path, name: str, text: str, *flags: str) -> Result:
    """Run `rtserver serve --app NAME:app` with a module of this text."""
    (here / f"{name}.py").write_text(text)
    return CliRunner().invoke(main, [*flags, "serve", "--app", f"{name}:app"])


@pytest.mark.parametrize(
    ("name", "text", "last"),
    [
        ("broken_sum", "def f():\n    return 1 / 0\n\nf()\n", "ZeroDivisionError: division by zero"),
        ("broken_value", "\n\n\nint('x')\n", "ValueError: invalid literal for int() with base 10: 'x'"),
        ("broken_import", "\n\n\nimport not_there_at_all\n", "No module named 'not_there_at_all'"),
    ],
)
def test_an_error_of_the_module(here: Path, name: str, text: str, last: str) -> None:
    """An error raised by the module is told with its traceback from the module on, and is exit code 1."""
    result = serve(here, name, text)
    lines = result.stderr.splitlines()
    assert (result.exit_code, result.stdout) == (1, "")
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[1] == f'  File "{here / name}.py", line 4, in <module>'
    assert lines[-2].endswith(last)
    assert lines[-1] == f"Error: --app: the module '{name}' could not be imported"
    assert "rtserver/" not in result.stderr


def test_a_syntax_error(here: Path) -> None:
    """A module that is no Python is told with the line, without frames of the server."""
    result = serve(here, "broken_syntax", "x = 1\nx = = 2\n")
    assert result.exit_code == 1
    assert f'  File "{here / "broken_syntax"}.py", line 2\n' in result.stderr
    assert result.stderr.endswith("Error: --app: the module 'broken_syntax' could not be imported\n")
    assert "rtserver/" not in result.stderr


def test_the_whole_traceback(here: Path) -> None:
    """With --traceback the error is raised as it is."""
    assert isinstance(serve(here, "broken_sum2", "1 / 0\n", "--traceback").exception, ZeroDivisionError)


def test_what_is_no_error_of_the_module(here: Path) -> None:
    """A module that is not there or has no application is a wrong command line, and needs no traceback."""
    result = serve(here, "without_app", "app = 1\n")
    assert result.exit_code == 2
    assert "without_app:app is not an application" in result.stderr
    result = CliRunner().invoke(main, ["serve", "--app", "nowhere_at_all:app"])
    assert result.exit_code == 2
    assert "there is no module 'nowhere_at_all' here" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_wrong_configuration_in_the_module(here: Path) -> None:
    """Problems of a configuration are listed as everywhere else."""
    text = "import rtserver\napp = rtserver.create_app({'server': {'prot': 1}})\n"
    result = serve(here, "misconfigured", text)
    assert (result.exit_code, result.stderr) == (2, "server.prot: unknown key; did you mean 'port'?\n")
