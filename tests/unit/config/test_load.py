"""From file, environment and command line to a configuration, or to all problems at once."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtserver.config.load import ConfigError, load
from rtserver.config.schema import Config, Rate, RoomPolicy


def problems(data: Any, **env: str) -> list[str]:
    """What is said about `data`."""
    with pytest.raises(ConfigError) as caught:
        load(data, env=env)
    assert str(caught.value) == "\n".join(str(problem) for problem in caught.value.problems)
    return [str(problem) for problem in caught.value.problems]


def test_nothing_is_all_defaults(tmp_path: Path) -> None:
    """No source, an empty mapping, an empty file and sections with nothing in them all mean the defaults."""
    file = tmp_path / "c.yaml"
    file.write_text("server:\n# port: 1\nengine:\n  send_buffer:\nrooms:\n")
    (tmp_path / "empty.yaml").write_text("")
    sources: list[Any] = [None, {}, file, str(tmp_path / "empty.yaml")]
    for source in sources:
        assert load(source, env={}) == Config()


def test_defaults_of_the_contract() -> None:
    """The defaults that the contract names are these."""
    config = Config()
    assert (config.server.host, config.server.port) == ("127.0.0.1", 8000)
    assert (config.server.drain.delay, config.server.drain.spread, config.server.drain.timeout) == (0, 5, 10)
    assert config.engine.path == "/socket.io/"
    assert (config.auth.mode, config.auth.refresh_grace) == ("none", 30)
    assert config.rooms == (RoomPolicy(match="*", join="anyone", publish="members"),)
    assert (config.recovery.grace, config.recovery.window) == (5, 120)
    assert (config.store.url, config.broker.url, config.broker.lease) == (
        "sqlite:///rtserver.db",
        "memory://",
        10,
    )
    assert config.limits.rate == Rate(messages=100, per=1.0, burst=200)


def test_repeated_keys_hide_nothing(tmp_path: Path) -> None:
    """A key that is there twice is told beside what is wrong with its last value, and with all others."""
    file = tmp_path / "c.yaml"
    file.write_text("server: {port: x}\nserver: {port: y, host: 0.0.0.0}\nlogging: {level: loud}\n")
    told = problems(file, RTSERVER__SERVER="{port: z, host: 0.0.0.0}")
    assert [problem.partition(";")[0] for problem in told] == [
        "server: is there twice, in lines 1 and 2",
        "server.port: must be a whole number (from RTSERVER__SERVER)",
        "auth.mode: none lets anybody who can reach 0.0.0.0 in, under any name",
        "logging.level: must be 'debug', 'info', 'warning' or 'error'",
    ]


def test_all_problems_at_once() -> None:
    """Mistakes of every kind, in one section or in many, are told together, in the order of the sections."""
    data = {
        "logging": {"level": "loud"},
        "port": 1,
        "server": {"prot": 1, "host": "0.0.0.0", "port": 70000},
        "webhooks": {
            "targets": [
                {"name": "a", "url": "https://a"},
                {"name": "a", "url": "ftp://a", "secret": "x", "events": ["client-*", "rom-joined"]},
                {"url": "https://c", "secrets": ["whsec_!"]},
            ]
        },
        "limits": {"rate": {"per": "1s"}, "message_size": "10 stones", "events": {"typing": {"messages": 0}}},
        "store": {"url": "mysql://x"},
        "cors": {"allowed_origins": ["https://a.example/path"]},
    }
    assert problems(data) == [
        "port: unknown key; did you mean 'server.port'?",
        "server.port: must be less than or equal to 65535",
        "server.prot: unknown key; did you mean 'port'?",
        (
            'cors.allowed_origins[0]: must be "*" or an origin such as https://example.com or https://*.example.com'
            " (no path)"
        ),
        (
            "auth.mode: none lets anybody who can reach 0.0.0.0 in, under any name; set auth.mode to required,"
            " or auth.open_to_network to true"
        ),
        "limits.message_size: must be a size such as 500, 64KB (64000 bytes) or 64KiB (65536 bytes)",
        "limits.rate.messages: is required",
        "limits.events.typing.messages: must be greater than or equal to 1",
        "webhooks.targets[1].name: 'a' is already the name of webhooks.targets[0]",
        "webhooks.targets[1].url: must be a URL that starts with http:// or https://",
        "webhooks.targets[1].events[1]: matches no webhook event; did you mean 'room-joined'?",
        "webhooks.targets[1].secret: unknown key; did you mean 'secrets'?",
        "webhooks.targets[2].name: is required",
        "webhooks.targets[2].secrets[0]: must be whsec_ followed by base64",
        "store.url: must be sqlite:///FILE, postgresql://… or memory://",
        "logging.level: must be 'debug', 'info', 'warning' or 'error'",
    ]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({"server": 5}, "server: must be a mapping of keys to values"),
        ({"server": {"port": True}}, "server.port: must be a number"),
        ({"server": {"name": 5}}, "server.name: must be a string; put it in quotes"),
        ({"server": {"trusted_proxies": ["10.0.0.1/8"]}},
         "server.trusted_proxies[0]: must be an IP address or a network such as 10.0.0.0/8"),
        ({"engine": {"transports": []}}, "engine.transports: must not be empty"),
        ({"engine": {"path": "socket.io"}}, "engine.path: must be a path such as /socket.io/"),
        ({"engine": {"ping_interval": 0}}, "engine.ping_interval: must be greater than 0"),
        ({"announce": {"joins": "perhaps"}}, "announce.joins: must be true or false"),
        ({"rooms": {"match": "*"}}, "rooms: must be a list"),
        ({"rooms": [{"join": "anyone"}]}, "rooms[0].match: is required"),
        ({"auth": {"jwt": {"algorithms": ["none"]}}},
         ("auth.jwt.algorithms[0]: must be 'HS256', 'HS384', 'HS512', 'RS256', 'RS384', 'RS512', 'ES256', 'ES384',"
         " 'ES512' or 'EdDSA'")),
        ({"broker": {"url": "kafka://x"}}, "broker.url: must be memory://, redis://… or rediss://…"),
        ({"nonsense": {}}, "nonsense: unknown key"),
        ({"webhooks": {"targets": [{"name": "a", "url": "http://a", "headers": {"Webhook-Id": "x"}}]}},
         "webhooks.targets[0].headers.Webhook-Id: is set by rtserver and cannot be changed"),
    ],
)  # fmt: skip
def test_messages(data: dict[str, Any], problem: str) -> None:
    """Each mistake has one sentence that says what would be right."""
    assert problems(data) == [problem]


def test_an_unset_variable_is_the_only_complaint_about_its_value() -> None:
    """What an unset reference leaves behind is not complained about again, nor are checks built on it."""
    assert problems({"auth": {"mode": "${MODE}"}, "server": {"host": "0.0.0.0"}}) == [
        "auth.mode: the environment variable MODE is not set; set it, or write ${MODE:-default}"
    ]


def test_secrets_are_never_shown() -> None:
    """No secret, password or key appears in the repr of a configuration or in a problem."""
    data: dict[str, Any] = {
        "auth": {"jwt": {"secret": "hidden-1"}},
        "api": {"keys": ["hidden-2"]},
        "store": {"url": "sqlite:///hidden-3.db"},
        "broker": {"url": "redis://:hidden-4@r"},
        "webhooks": {
            "targets": [
                {
                    "name": "a",
                    "url": "http://a",
                    "secrets": ["whsec_aGlkZGVu"],
                    "headers": {"X-Key": "hidden-5"},
                }
            ]
        },
        "ingest": {"postgres": [{"name": "p", "dsn": "postgresql://u:hidden-6@db/x", "channel": "c"}]},
    }
    shown = repr(load(data, env={}))
    assert "hidden" not in shown
    assert "aGlkZGVu" not in shown
    data["auth"]["jwt"]["algorithms"] = "hidden-0"
    data["store"]["url"] = "mysql://hidden-7"
    data["webhooks"]["targets"][0] |= {"secrets": ["hidden-8"], "headers": {"X-Key": "hidden-9\n"}}
    data["api"]["keys"] = [["hidden-10"], " "]
    told = problems(data)
    assert len(told) == 6
    assert "hidden" not in str(told)


def test_a_configuration_cannot_be_changed() -> None:
    """A loaded configuration is frozen at every level that has keys."""
    config = load(None, env={})
    with pytest.raises(ValueError, match="frozen"):
        config.server.port = 1


def test_what_is_written_short_is_read_in_full() -> None:
    """One string stands for a list of one, and origins, paths and rates come out in one form."""
    data = {
        "cors": {"allowed_origins": "HTTPS://App.Example.com:443"},
        "engine": {"path": "/rt"},
        "limits": {"events": {"typing": {"messages": 3}}},
        "ingest": {"kafka": [{"name": "k", "bootstrap_servers": "a:1, b:2", "topics": "t"}]},
    }
    config = load(data, env={})
    assert config.cors.allowed_origins == ("https://app.example.com",)
    assert config.engine.path == "/rt/"
    assert config.limits.events["typing"] == Rate(messages=3, per=1, burst=3)
    assert config.ingest.kafka[0].bootstrap_servers == ("a:1", "b:2")
    assert config.ingest.kafka[0].topics == ("t",)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates() | st.binary()
VALUES = st.recursive(
    SCALARS,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text() | st.integers(), below, max_size=3),
)
PLACES = st.sampled_from(
    [f"{name}.{key}" for name, section in Config() for key in getattr(type(section), "model_fields", ())]
)


@given(st.dictionaries(st.sampled_from([*Config.model_fields, "other"]), VALUES))
def test_any_data_is_a_configuration_or_config_error(data: dict[str, Any]) -> None:
    """Whatever a file holds in its sections, loading makes a configuration or ConfigError."""
    with suppress(ConfigError):
        assert isinstance(load(data, env={}), Config)


@given(PLACES, VALUES)
def test_any_value_at_any_key_is_a_configuration_or_config_error(place: str, value: Any) -> None:
    """Whatever stands at a key of a section, loading makes a configuration or ConfigError."""
    section, key = place.split(".")
    with suppress(ConfigError):
        assert isinstance(load({section: {key: value}}, env={}), Config)


@given(PLACES, st.text())
def test_any_variable_is_a_configuration_or_config_error(place: str, value: str) -> None:
    """Whatever text a variable holds, loading makes a configuration or ConfigError."""
    name = "RTSERVER__" + place.upper().replace(".", "__")
    with suppress(ConfigError):
        assert isinstance(load(None, env={name: value}), Config)
