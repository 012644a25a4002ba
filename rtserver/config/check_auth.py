"""Whether `auth` names one usable key for its algorithms.

A public key taken for a shared secret would let anybody who knows it, which is everybody, sign tokens. So
the two families of algorithms are never mixed, and a key of the other family is refused, not ignored.
"""

from collections.abc import Iterator

from rtserver.config.problem import Problem
from rtserver.config.schema import Auth, Jwt


def jwt_problems(auth: Auth) -> Iterator[Problem]:
    """Yield what keeps `auth.jwt` from verifying tokens; nothing in mode none, which looks at none."""
    jwt = auth.jwt
    if auth.mode == "none":
        return
    families = {algorithm.startswith("HS") for algorithm in jwt.algorithms}
    if len(families) > 1:
        yield Problem("auth.jwt.algorithms", "must not mix HS algorithms with others")
    elif jwt.symmetric:
        yield from _shared(jwt)
    else:
        yield from _public(jwt)


def _shared(jwt: Jwt) -> Iterator[Problem]:
    for key in ("public_key", "jwks_url"):
        if getattr(jwt, key) is not None:
            yield Problem(f"auth.jwt.{key}", "does not go with HS algorithms", "they take auth.jwt.secret")
    if jwt.secret is None:
        yield Problem("auth.jwt.secret", "is required for HS algorithms unless auth.mode is none")
    elif "-----BEGIN" in jwt.secret.get_secret_value():
        yield Problem("auth.jwt.secret", "is a key in PEM form", "HS algorithms take a random text")


def _public(jwt: Jwt) -> Iterator[Problem]:
    if jwt.secret is not None:
        yield Problem(
            "auth.jwt.secret", "goes only with HS algorithms", "the others take public_key or jwks_url"
        )
    if jwt.public_key is None and jwt.jwks_url is None:
        yield Problem("auth.jwt.public_key", "is required unless auth.mode is none", "or auth.jwt.jwks_url")
    if jwt.public_key is not None and jwt.jwks_url is not None:
        yield Problem("auth.jwt.public_key", "cannot be given together with jwks_url")
    if jwt.public_key is not None and "PRIVATE KEY" in jwt.public_key:
        yield Problem("auth.jwt.public_key", "is a private key", "give the public half; keep this one secret")
    elif jwt.public_key is not None and "-----BEGIN" not in jwt.public_key:
        yield Problem(
            "auth.jwt.public_key", "must be in PEM form", "use public_key_file for the path of a file"
        )
