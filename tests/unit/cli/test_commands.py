"""The commands: what they print, where, and with which exit code."""

import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import jwt as pyjwt
import pytest
from click.testing import CliRunner, Result

from rtserver import __version__, create_app
from rtserver.app import App
from rtserver.cli.main import COMMANDS, main
from rtserver.config.schema import Config

SECRET = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory to run in, without overrides from outside."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("RTSERVER__")]:
        monkeypatch.delenv(name)
    return tmp_path


def run(*args: str, **env: str) -> Result:
    """Run `rtserver ARGS`."""
    return CliRunner().invoke(main, args, env=env)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Calls of the server, which is not started; each returns exit code 0."""
    calls: list[tuple[Any, ...]] = []

    def serve(app: App, config: Config | None = None) -> int:
        calls.append((app.config, config))
        return 0

    def load_app(path: str) -> App:
        assert path == "a:b"
        return create_app({"server": {"port": 7, "name": "embedded"}})

    module = ModuleType("rtserver.server")
    module.serve = serve  # type: ignore[attr-defined]
    module.load_app = load_app  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "rtserver.server", module)
    return calls


def test_version_and_help() -> None:
    """--version and --help answer, and every command can be loaded and has a sentence."""
    assert run("--version").output == f"rtserver, version {__version__}\n"
    listed = run("--help").output
    for name in COMMANDS:
        assert f"  {name} " in listed
        assert run(name, "--help").exit_code == 0


@pytest.mark.parametrize("args", [("bogus",), ("serve", "--port", "99999"), ("serve", "--bogus"), ("token",)])
def test_a_wrong_command_line(args: tuple[str, ...]) -> None:
    """A command line that makes no sense is exit code 2, with the reason on stderr."""
    result = run(*args)
    assert result.exit_code == 2
    assert "Error: " in result.stderr
    assert result.stdout == ""


class TestCheckConfig:
    def test_a_good_file(self, here: Path) -> None:
        """A file without problems is called ok, by the name it was given with."""
        (here / "config.yaml").write_text("server: {port: 1}\n")
        result = run("check-config")
        assert (result.exit_code, result.stdout, result.stderr) == (0, "config.yaml: ok\n", "")

    def test_a_bad_file(self, here: Path) -> None:
        """Every problem is one line, and the exit code is 2."""
        (here / "c.yaml").write_text("server: {prot: 1}\nwebhooks: {targets: [{name: a, url: x}]}\n")
        result = run("check-config", "--config", "c.yaml")
        assert result.exit_code == 2
        assert result.stdout.splitlines() == [
            "server.prot: unknown key; did you mean 'port'?",
            "webhooks.targets[0].url: must be a URL that starts with http:// or https://",
        ]

    def test_a_named_file_that_is_not_there(self, here: Path) -> None:
        """There is nothing to check in a file that was asked for and is not there."""
        result = run("check-config", "--config", "config.yaml")
        assert (result.exit_code, result.stdout) == (
            2,
            "config.yaml: cannot be read: No such file or directory\n",
        )

    def test_no_file(self, here: Path) -> None:
        """Without a file the defaults are checked, which is what serve uses, with what the environment says."""
        result = run("check-config")
        assert (result.exit_code, result.output) == (
            0,
            "there is no config.yaml here, defaults are used: ok\n",
        )
        result = run("check-config", RTSERVER__SEVER__PORT="1")
        assert (result.exit_code, result.stdout) == (
            2,
            "sever: unknown key (from RTSERVER__SEVER__PORT); did you mean 'server'?\n",
        )

    def test_a_key_of_the_wrong_kind(self, here: Path) -> None:
        """A public key that no token can be verified with is found without starting the server."""
        pem = "-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----\n"
        (here / "k.pem").write_text(pem)
        jwt = "{algorithms: [ES256], public_key_file: k.pem}"
        (here / "config.yaml").write_text(f"auth: {{mode: required, jwt: {jwt}}}\n")
        assert run("check-config").stdout == "auth.jwt.public_key: is not a key for ES256\n"

    def test_warnings(self, here: Path) -> None:
        """What has no effect in this version is said on stderr, and is no failure."""
        (here / "config.yaml").write_text("broker: {url: 'redis://r'}\n")
        result = run("check-config")
        assert result.exit_code == 0
        assert result.stderr == "warning: broker.url: is accepted, but has no effect in this version\n"

    def test_variables_that_are_ignored(self, here: Path) -> None:
        """A variable that looks like an override is said to be none, unless the file refers to it."""
        text = "warning: the environment variable RTSERVER_SERVER_PORT is ignored; overrides are written"
        for content in (None, "server: {name: n}\n"):
            if content:
                (here / "config.yaml").write_text(content)
            result = run("check-config", RTSERVER_SERVER_PORT="1")
            assert (result.exit_code, result.stderr) == (0, f"{text} RTSERVER__SERVER__PORT\n")
        (here / "config.yaml").write_text("server: {port: '${RTSERVER_SERVER_PORT}'}\n")
        assert run("check-config", RTSERVER_SERVER_PORT="1").stderr == ""


class TestServe:
    def test_without_a_file_everything_is_default(self, here: Path, served: list[Any]) -> None:
        """Without config.yaml and without --config the server runs on defaults."""
        result = run("serve")
        assert (result.exit_code, result.output) == (0, "")
        assert served == [(Config(), None)]

    def test_a_named_file_has_to_be_there(self, here: Path, served: list[Any]) -> None:
        """A file that was asked for and is not there is exit code 2."""
        result = run("serve", "--config", "config.yaml")
        assert (result.exit_code, result.stderr) == (
            2,
            "config.yaml: cannot be read: No such file or directory\n",
        )
        assert served == []

    def test_the_command_line_overrides(self, here: Path, served: list[Any]) -> None:
        """--host and --port override the file and the environment."""
        (here / "config.yaml").write_text("server: {port: 1, name: n}\n")
        result = run("serve", "--host", "::1", "--port", "3", RTSERVER__SERVER__PORT="2")
        assert result.exit_code == 0
        ((config, _),) = served
        assert (config.server.host, config.server.port, config.server.name) == ("::1", 3, "n")

    def test_an_application_brings_its_configuration(self, here: Path, served: list[Any]) -> None:
        """With --app the application's own configuration holds, except for host and port of the command line."""
        (here / "config.yaml").write_text("server: {port: 1, name: n}\n")
        result = run("serve", "--app", "a:b", "--host", "::1")
        assert result.exit_code == 0
        ((own, changed),) = served
        assert (own.server.host, own.server.port, own.server.name) == ("127.0.0.1", 7, "embedded")
        assert (changed.server.host, changed.server.port, changed.server.name) == ("::1", 7, "embedded")

    def test_problems(self, here: Path, served: list[Any]) -> None:
        """Every problem is listed on stderr before anything is served."""
        (here / "config.yaml").write_text("server: {prot: 1}\n")
        result = run("serve", "--host", "0.0.0.0")
        assert result.exit_code == 2
        assert [line.partition(":")[0] for line in result.stderr.splitlines()] == ["server.prot", "auth.mode"]
        assert served == []

    def test_workers(self, here: Path, served: list[Any]) -> None:
        """More than one process is refused, not ignored."""
        result = run("serve", "--workers", "2")
        assert result.exit_code == 2
        assert "not available in this version" in result.stderr
        assert "more than 1 is not available in this version" in " ".join(
            run("serve", "--help").output.split()
        )
        assert served == []

    def test_its_exit_code_is_the_servers(self, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """What the server returns is the exit code; what it raises is one line and exit code 1."""
        module = ModuleType("rtserver.server")
        monkeypatch.setitem(sys.modules, "rtserver.server", module)
        module.serve = lambda *_: 1  # type: ignore[attr-defined]
        assert run("serve").exit_code == 1

        def fail(*_: Any) -> int:
            raise OSError(98, "address in use\nreally")

        module.serve = fail  # type: ignore[attr-defined]
        result = run("serve")
        assert (result.exit_code, result.stderr) == (1, "Error: OSError: [Errno 98] address in use really\n")
        assert isinstance(run("--traceback", "serve").exception, OSError)


class TestToken:
    def test_claims(self, here: Path) -> None:
        """The token holds what the options say, never expires early, and is signed with the configured secret."""
        (here / "config.yaml").write_text(f"auth: {{jwt: {{secret: {SECRET}}}}}\n")
        args = [
            "--user",
            "ada",
            "--name",
            "Ada",
            "--room",
            "a-*",
            "--room",
            "b",
            "--publish",
            "b",
            "--ttl",
            "5m",
        ]
        result = run("token", *args)
        assert result.exit_code == 0
        claims = pyjwt.decode(result.stdout.strip(), SECRET, algorithms=["HS256"])
        assert claims["exp"] - claims["iat"] in (300, 301)
        assert {key: claims[key] for key in ("sub", "name", "rooms", "publish")} == {
            "sub": "ada",
            "name": "Ada",
            "rooms": ["a-*", "b"],
            "publish": ["b"],
        }

    def test_what_is_not_asked_for_is_not_claimed(self, here: Path) -> None:
        """Without options the token has a user, its times and an id."""
        result = run("token", "--user", "ada", RTSERVER__AUTH__JWT__SECRET=SECRET)
        claims = pyjwt.decode(result.stdout.strip(), SECRET, algorithms=["HS256"])
        assert sorted(claims) == ["exp", "iat", "jti", "sub"]
        assert claims["exp"] - claims["iat"] in (3600, 3601)

    def test_no_secret(self, here: Path) -> None:
        """Without a secret the one line on stderr names the key to set."""
        result = run("token", "--user", "ada")
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr.startswith("auth.jwt.secret: is required to sign tokens")
        assert result.stderr.count("\n") == 1

    @pytest.mark.parametrize(
        "args",
        [("--user", "guest:1"), ("--user", ""), ("--user", "a" * 129), ("--user", "a", "--name", "\u202e"),
         ("--user", "a", "--ttl", "0s"), ("--user", "a", "--ttl", "soon")],
    )  # fmt: skip
    def test_tokens_nobody_would_take(self, here: Path, args: tuple[str, ...]) -> None:
        """A token that the server would refuse is not made."""
        result = run("token", *args, RTSERVER__AUTH__JWT__SECRET=SECRET)
        assert (result.exit_code, result.stdout) == (2, "")
        assert "Invalid value" in result.stderr
