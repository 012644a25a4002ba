"""What is wrong with values that are right one by one, and what this version does not do yet.

Each check names the places it looks at and is left out when one of them is already known to be broken: a
check on the default that stands in for a mistake would report something the operator never wrote.
"""

import ipaddress
from collections.abc import Callable, Collection, Iterable, Iterator

from rtserver.config.check_auth import jwt_problems
from rtserver.config.check_ingest import ingest_problems
from rtserver.config.check_postgres import postgres_problems
from rtserver.config.check_sqlite import sqlite_problems
from rtserver.config.problem import Problem, below
from rtserver.config.schema import Config

Check = Callable[[Config], Iterable[Problem]]


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach `host`, a name or an address."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _open_to_network(config: Config) -> Iterator[Problem]:
    if config.auth.mode == "none" and not config.auth.open_to_network and not is_loopback(config.server.host):
        yield Problem(
            "auth.mode",
            f"none lets anybody who can reach {config.server.host} in, under any name",
            "set auth.mode to required, or auth.open_to_network to true",
        )


def _tls(config: Config) -> Iterator[Problem]:
    tls = config.server.tls
    if (tls.cert is None) != (tls.key is None):
        missing = "cert" if tls.cert is None else "key"
        yield Problem(f"server.tls.{missing}", "is required", "cert and key come together")
    for name, path in (("cert", tls.cert), ("key", tls.key)):
        if path is not None and not path.is_file():
            yield Problem(f"server.tls.{name}", f"{path} is not a file")


def _store(config: Config) -> Iterator[Problem]:
    if config.store.url.startswith(("postgresql:", "postgres:")):
        yield from postgres_problems("store.url", config.store.url)
    elif config.store.url.startswith("sqlite:") and not config.store.url.startswith("sqlite:///"):
        yield Problem("store.url", "needs three slashes before the file", "for example sqlite:///rtserver.db")
    else:
        yield from sqlite_problems("store.url", config.store.url)


def _metrics(config: Config) -> Iterator[Problem]:
    if config.metrics.enabled and config.metrics.require_key and not config.api.keys:
        yield Problem("metrics.require_key", "nobody has a key while api.keys is empty", "set api.keys")


CHECKS: tuple[tuple[tuple[str, ...], Check], ...] = (
    (("auth.mode", "auth.open_to_network", "server.host"), _open_to_network),
    (("server.tls",), _tls),
    (("store.url",), _store),
    (("metrics", "api.keys"), _metrics),
    (("auth.mode", "auth.jwt"), lambda config: jwt_problems(config.auth)),
    (("ingest",), lambda config: ingest_problems(config.ingest)),
)
"""Each check with the places it looks at."""


def problems(config: Config, broken: Collection[str] = ()) -> list[Problem]:
    """List what is wrong with values of `config` taken together.

    `broken` are the paths of problems already known; what depends on them is not checked.
    """
    return [
        problem
        for places, check in CHECKS
        if not any(below(place, path) or below(path, place) for place in places for path in broken)
        for problem in check(config)
    ]


_DEFAULT = Config()

NOT_IN_EFFECT: tuple[tuple[str, Callable[[Config], bool]], ...] = (
    ("broker.url", lambda config: config.broker.url != _DEFAULT.broker.url),
)
"""Settings without effect yet, with the test for whether one is set. A line goes when its feature lands."""


def not_in_effect(config: Config) -> list[str]:
    """One sentence for each setting of `config` that this version accepts but does not act on."""
    return [
        f"{path}: is accepted, but has no effect in this version"
        for path, is_set in NOT_IN_EFFECT
        if is_set(config)
    ]
