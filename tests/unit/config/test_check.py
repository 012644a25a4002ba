"""Values that have to go together, and what this version does not do."""

from pathlib import Path
from typing import Any

import pytest

from rtserver.config.check import is_loopback, not_in_effect, problems
from rtserver.config.load import ConfigError, load
from rtserver.config.schema import Config

SECRET = "0123456789abcdef0123456789abcdef"
PUBLIC = "-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----\n"


def told(data: dict[str, Any]) -> list[str]:
    """What is said about `data`; nothing when it is right."""
    try:
        load(data, env={})
    except ConfigError as error:
        return [str(problem) for problem in error.problems]
    return []


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("[::1]", True), ("localhost", True),
     ("0.0.0.0", False), ("::", False), ("192.168.0.1", False), ("example.com", False), ("localhost.evil.com", False)],
)  # fmt: skip
def test_mode_none_stays_at_home(host: str, loopback: bool) -> None:
    """Without authentication only a loopback address is served, unless the operator says otherwise."""
    assert is_loopback(host) is loopback
    data: dict[str, Any] = {"server": {"host": host}}
    assert (told(data) == []) is loopback
    assert told(data | {"auth": {"open_to_network": True}}) == []
    assert told(data | {"auth": {"mode": "required", "jwt": {"secret": SECRET}}}) == []


@pytest.mark.parametrize("mode", ["optional", "required"])
@pytest.mark.parametrize(
    ("jwt", "places"),
    [
        ({}, ["auth.jwt.secret"]),
        ({"secret": SECRET}, []),
        ({"algorithms": ["HS256", "HS512"], "secret": SECRET}, []),
        ({"secret": SECRET, "public_key": PUBLIC}, ["auth.jwt.public_key"]),
        ({"secret": PUBLIC}, ["auth.jwt.secret"]),
        ({"algorithms": ["HS256", "RS256"], "secret": SECRET}, ["auth.jwt.algorithms"]),
        ({"algorithms": ["HS256", "RS256"], "public_key": PUBLIC}, ["auth.jwt.algorithms"]),
        ({"algorithms": ["RS256"], "public_key": PUBLIC}, []),
        ({"algorithms": ["RS256"]}, ["auth.jwt.public_key"]),
        ({"algorithms": ["ES256"], "public_key": "keys/issuer.pem"}, ["auth.jwt.public_key"]),
        (
            {"algorithms": ["ES256"], "public_key": PUBLIC.replace("PUBLIC", "PRIVATE")},
            ["auth.jwt.public_key"],
        ),
        ({"algorithms": ["EdDSA"], "secret": SECRET, "public_key": PUBLIC}, ["auth.jwt.secret"]),
    ],
)
def test_one_usable_key(mode: str, jwt: dict[str, Any], places: list[str]) -> None:
    """Tokens are verified with exactly one key, of the kind that the algorithms take."""
    problems = told({"auth": {"mode": mode, "jwt": jwt}})
    assert [problem.partition(":")[0] for problem in problems] == places


@pytest.mark.parametrize(
    ("jwt", "places"),
    [
        ({"algorithms": ["RS256", "ES256"]}, []),
        ({"algorithms": ["HS256"], "secret": SECRET}, ["auth.jwt.jwks_url"]),
        ({"algorithms": ["RS256"], "public_key": PUBLIC}, ["auth.jwt.public_key"]),
        ({"algorithms": ["RS256"], "secret": SECRET}, ["auth.jwt.secret"]),
    ],
)
def test_published_keys(jwt: dict[str, Any], places: list[str]) -> None:
    """An issuer's key set goes with public-key algorithms only, and instead of a key of one's own."""
    found = told({"auth": {"mode": "required", "jwt": {**jwt, "jwks_url": "https://issuer.example/jwks"}}})
    assert [problem.partition(":")[0] for problem in found] == places


def test_certificate_and_key_come_together(tmp_path: Path) -> None:
    """TLS needs both files, and both have to be there."""
    file = tmp_path / "a.pem"
    file.touch()
    there, gone = str(file), str(tmp_path / "b.pem")
    assert told({"server": {"tls": {"cert": there, "key": there}}}) == []
    assert told({"server": {"tls": {"cert": there}}}) == [
        "server.tls.key: is required; cert and key come together"
    ]
    assert told({"server": {"tls": {"cert": gone, "key": gone}}}) == [
        f"server.tls.cert: {gone} is not a file",
        f"server.tls.key: {gone} is not a file",
    ]


def test_sources_are_named_once_and_read_one_thing() -> None:
    """Names of sources are not repeated, and a PostgreSQL source has a channel or a table."""
    source = {"name": "p", "dsn": "postgresql://db/x"}
    data = {
        "ingest": {"postgres": [source | {"channel": "c"}, source, source | {"channel": "c", "table": "t"}]}
    }
    assert told(data) == [
        "ingest.postgres[1].name: 'p' is already the name of ingest.postgres[0]",
        "ingest.postgres[2].name: 'p' is already the name of ingest.postgres[0]",
        "ingest.postgres[1]: must have exactly one of channel and table",
        "ingest.postgres[2]: must have exactly one of channel and table",
    ]


def test_the_defaults_are_right_and_in_effect() -> None:
    """An operator who set nothing is told nothing."""
    assert problems(Config()) == []
    assert not_in_effect(Config()) == []


def test_settings_without_effect_are_named() -> None:
    """What is set but does nothing in this version is named by its path, once each."""
    config = load(
        {
            "broker": {"url": "redis://r"},
            "recovery": {"window": "1m", "grace": "2s"},
        },
        env={},
    )
    assert [sentence.partition(":")[0] for sentence in not_in_effect(config)] == ["broker.url"]


@pytest.mark.parametrize(
    ("data", "path"),
    [
        ({"store": {"url": "postgresql://db/x?sslmode=verify_full"}}, "store.url"),
        ({"store": {"url": "sqlite://rtserver.db"}}, "store.url"),
        (
            {"webhooks": {"targets": [{"name": "a", "url": "http://a"}, {"name": "a", "url": "http://b"}]}},
            "webhooks.targets[1].name",
        ),
    ],
)
def test_stores_and_targets_that_cannot_be_used(data: dict[str, Any], path: str) -> None:
    """A store that this version cannot open, and a second target of the same name, are problems."""
    with pytest.raises(ConfigError) as caught:
        load(data, env={})
    assert [problem.path for problem in caught.value.problems] == [path]


def test_a_key_for_metrics_that_nobody_has() -> None:
    """Metrics behind a key need one, or nobody could ever read them."""
    assert any(said.startswith("metrics.require_key") for said in told({"metrics": {"require_key": True}}))
    assert told({"metrics": {"require_key": True}, "api": {"keys": ["the-key"]}}) == []
    assert told({"metrics": {"require_key": True, "enabled": False}}) == []


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ada:hush@db/x",
        "postgres://db:5432/x?sslmode=verify-full",
        "postgresql://a,b:6432,[::1]:5433/x?target_session_attrs=read-write&connect_timeout=3",
        "postgresql:///x?host=/run/postgresql",
        "postgresql://",
        "postgresql://db/x?sslrootcert=system&sslmode=verify-full&channel_binding=prefer",
    ],
)
def test_urls_of_postgresql(url: str) -> None:
    """What libpq's users write is taken."""
    assert not problems(load({"store": {"url": url}}))


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgresql://ada:hush@db/x?sslmode=verify_full", "did you mean verify-full?"),
        ("postgresql://ada:hush@db/x?sslmode=yes", "sslmode must be disable"),
        ("postgresql://ada:hush@db/x?sslrootcert=/nowhere/ca.pem", "/nowhere/ca.pem is not a file"),
        ("postgresql://ada:hush@db/x?connect_timeout=soon", "connect_timeout must be a number"),
        ("postgresql://ada:hush@db/x?channel_binding=require", "channel_binding=require is not available"),
        ("postgresql://ada:hush@db:port/x", "a port that is no number"),
        ("postgresql://ada:hush:x@db@db:hush/x", "a port that is no number"),
        ("postgresql://ada:hush@db/x?sslmode", "is no URL"),
        ("postgresql://[ada:hush@db/x", "is no URL"),
    ],
)
def test_urls_that_are_none(url: str, says: str) -> None:
    """What cannot be meant is said, without the password."""
    with pytest.raises(ConfigError) as caught:
        create = load({"store": {"url": url}})
        raise ConfigError(problems(create))
    (problem,) = caught.value.problems
    assert problem.path == "store.url"
    assert says in str(problem)
    assert "hush" not in str(problem)


def test_without_its_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has PostgreSQL in the configuration, and not its driver, is told what to install."""
    monkeypatch.setattr("rtserver.config.check_postgres.find_spec", lambda name: None)
    with pytest.raises(ConfigError) as caught:
        load({"store": {"url": "postgresql://db/x"}})
    (problem,) = caught.value.problems
    assert str(problem).startswith("store.url: needs the Python package asyncpg")
    assert 'pip install "rtserver[postgres]"' in str(problem)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("missing/rtserver.db", "missing does not exist; make it first"),
        ("file/rtserver.db", "file is not a directory"),
        ("directory", "directory is a directory; name a file in it"),
    ],
)
def test_a_place_where_no_database_can_be(tmp_path: Path, name: str, words: str) -> None:
    """A store in a directory that is missing is a problem that says so."""
    (tmp_path / "file").touch()
    (tmp_path / "directory").mkdir()
    (said,) = told({"store": {"url": f"sqlite:///{tmp_path}/{name}"}})
    assert said.startswith("store.url: ")
    assert words in said


@pytest.mark.parametrize(
    "url", ["sqlite:///{}/rtserver.db", "sqlite:///:memory:", "sqlite:///x.db", "memory://"]
)
def test_places_for_a_database(tmp_path: Path, url: str) -> None:
    """A file that is not there yet is made at the start, and is no problem."""
    assert told({"store": {"url": url.format(tmp_path)}}) == []


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("example.com/hooks", "starts with http:// or https://"),
        ("ftp://host/", "starts with http:// or https://"),
        ("http://host:99999/", "port from 1 to 65535"),
        ("http://host:0/", "port from 1 to 65535"),
        ("http://u:p@x:abc/", "port from 1 to 65535"),
        ("http://x y/", "spaces"),
        ("http://", "a host"),
        ("http://:80/", "a host"),
        ("http://[::1/", "brackets"),
    ],
)
def test_urls_of_targets(url: str, words: str) -> None:
    """A target's URL that leads nowhere is a problem that says what is wrong with it, and does not repeat it."""
    (said,) = told({"webhooks": {"targets": [{"name": "a", "url": url}]}})
    assert said.startswith("webhooks.targets[0].url: must ")
    assert words in said
    assert "u:p" not in said


@pytest.mark.parametrize(
    ("settings", "place", "most"),
    [
        ({"batch": {"max_wait": "10d"}}, "batch.max_wait", "1m"),
        ({"timeout": "100d"}, "timeout", "10m"),
        ({"retry": {"schedule": ["1s", "31d"]}}, "retry.schedule[1]", "30d"),
    ],
)
def test_absurd_durations(settings: dict[str, Any], place: str, most: str) -> None:
    """A duration of a target that no receiver can live with is a problem that says how long it may be."""
    (said,) = told({"webhooks": {"targets": [{"name": "a", "url": "http://a", **settings}]}})
    assert said == f"webhooks.targets[0].{place}: must be at most {most}"
