"""Overrides by variables and by the command line."""

from typing import Any

import pytest

from rtserver.config.environment import ignored
from rtserver.config.load import ConfigError, load


def test_file_then_environment_then_command_line() -> None:
    """A variable overrides the file, and the command line overrides both."""
    data = {"server": {"port": 1, "name": "file", "host": "127.0.0.2"}}
    env = {"RTSERVER__SERVER__PORT": "2", "RTSERVER__SERVER__NAME": "env", "OTHER": "x", "RTSERVER_X": "y"}
    server = load(data, env=env, overrides={"server": {"port": 3}}).server
    assert (server.port, server.name, server.host) == (3, "env", "127.0.0.2")


@pytest.mark.parametrize(
    ("name", "value", "path", "expected"),
    [
        ("AUTH__JWT__SECRET_FILE", "", "auth.jwt.secret_file", None),
        ("SERVER__NAME", "0123", "server.name", "0123"),
        ("ANNOUNCE__JOINS", "false", "announce.joins", False),
        ("ENGINE__TRANSPORTS", "[websocket]", "engine.transports", ("websocket",)),
        ("ENGINE__TRANSPORTS", "websocket", "engine.transports", ("websocket",)),
        ("LIMITS__RATE", "null", "limits.rate", None),
        ("LIMITS__RATE__MESSAGES", "5", "limits.rate.burst", 5),
        ("LIMITS__MESSAGE_SIZE", "1KiB", "limits.message_size", 1024),
        ("RECOVERY__GRACE", "250ms", "recovery.grace", 0.25),
    ],
)
def test_values(name: str, value: str, path: str, expected: Any) -> None:
    """Every kind of value can be given by a variable."""
    found: Any = load(None, env={f"RTSERVER__{name}": value})
    for step in path.split("."):
        found = getattr(found, step)
    assert found == expected


def test_items_of_lists() -> None:
    """A number reaches an item of a list, the number after the last adds one."""
    data = {"rooms": [{"match": "a"}]}
    env = {"RTSERVER__ROOMS__0__JOIN": "nobody", "RTSERVER__ROOMS__1__MATCH": "b"}
    rooms = load(data, env=env).rooms
    assert [(policy.match, policy.join) for policy in rooms] == [("a", "nobody"), ("b", "anyone")]


def test_a_list_can_be_made_from_nothing() -> None:
    """Items can be given by variables alone."""
    env = {"RTSERVER__WEBHOOKS__TARGETS__0__NAME": "a", "RTSERVER__WEBHOOKS__TARGETS__0__URL": "http://a"}
    assert load(None, env=env).webhooks.targets[0].url == "http://a"


def test_mistakes_name_the_variable() -> None:
    """A problem that comes from a variable says which one; a name that leads nowhere is a problem too."""
    env = {
        "RTSERVER__SERVER__PROT": "1",
        "RTSERVER__SERVER__PORT": "x",
        "RTSERVER____": "",
        "RTSERVER__ROOMS__7": "a",
    }
    env |= {"RTSERVER__DEMO__ENABLED__NOW": "true", "RTSERVER__DEMO__ENABLED": "true"}
    with pytest.raises(ConfigError) as caught:
        load(None, env=env)
    assert sorted(str(problem) for problem in caught.value.problems) == [
        "server.port: must be a whole number (from RTSERVER__SERVER__PORT)",
        "server.prot: unknown key (from RTSERVER__SERVER__PROT); did you mean 'port'?",
        "the environment variable RTSERVER__DEMO__ENABLED__NOW names no place in the configuration",
        "the environment variable RTSERVER__ROOMS__7 names no place in the configuration",
        "the environment variable RTSERVER____ names no place in the configuration",
    ]


def test_unknown_sections_name_the_variable() -> None:
    """A misspelt key above the last one, or inside of a mapping in brackets, is told with its variable."""
    env = {"RTSERVER__SEVER__PORT": "1", "RTSERVER__LIMITS__RATE": "{messages: 1, brust: 2}"}
    with pytest.raises(ConfigError) as caught:
        load({"demo": {"enabeld": True}}, env=env)
    assert [str(problem) for problem in caught.value.problems] == [
        "sever: unknown key (from RTSERVER__SEVER__PORT); did you mean 'server'?",
        "limits.rate.brust: unknown key (from RTSERVER__LIMITS__RATE); did you mean 'burst'?",
        "demo.enabeld: unknown key; did you mean 'enabled'?",
    ]


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("RTSERVER_SERVER_PORT", "RTSERVER__SERVER__PORT"),
        ("RTSERVER_SERVER__PORT", "RTSERVER__SERVER__PORT"),
        ("rtserver_auth_open_to_network", "RTSERVER__AUTH__OPEN_TO_NETWORK"),
        ("RTSERVER_AUTH_JWT_SECRET_FILE", "RTSERVER__AUTH__JWT__SECRET_FILE"),
        ("RTSERVER_SERVER_PROT", "RTSERVER__SECTION__KEY"),
        ("RTSERVER_SERVER_PORT_X", "RTSERVER__SECTION__KEY"),
    ],
)
def test_what_looks_like_an_override(name: str, right: str) -> None:
    """A variable with too few underscores is told with the right name, unless the file refers to it."""
    expected = f"the environment variable {name} is ignored; overrides are written {right}"
    assert list(ignored({name: "1"}, "port: ${OTHER}")) == [expected]
    assert list(ignored({name: "1"}, f"port: ${{{name}}}")) == []
    assert list(ignored({name: "1"}, f"port: ${{{name}:-8000}}")) == []
    assert list(ignored({name: "1"}, f"port: ${{{name}_2}}")) == [expected]


def test_what_looks_like_no_override() -> None:
    """Overrides, and variables of other things that are called rtserver, are left alone."""
    env = {
        "RTSERVER__SERVER__PORT": "1",
        "RTSERVER_PORT_8000_TCP": "x",
        "RTSERVER_HOME": "/",
        "SERVER_PORT": "1",
    }
    assert list(ignored(env | {"RTSERVER_": "", "RTSERVER": ""}, "")) == []
