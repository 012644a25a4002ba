"""What people have tried with tokens elsewhere: none of it makes anybody somebody else."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives import serialization
from jwt import PyJWS

from rtserver.auth.keyset import KeySet, UnknownKeyError, read_keys
from rtserver.auth.tokens import MAX_TOKEN, TokenVerifier
from rtserver.config.schema import Jwt
from rtserver.protocol.errors import UNAUTHORIZED, RtError
from tests.unit.auth.keys import GOOD, NOW, document, jwk, private_key, signed

SECRET = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
SHARED = TokenVerifier(Jwt(secret=SECRET))  # type: ignore[arg-type]
RSA_PEM = (
    private_key("RS256")
    .public_key()
    .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
)
PUBLIC = TokenVerifier(Jwt(algorithms=("RS256",), public_key=RSA_PEM.decode()))


class Published:
    """The keys of an issuer, fetched already."""

    def __init__(self, *keys: dict[str, Any]) -> None:
        self.keys: KeySet = read_keys(document(*keys), ("RS256", "ES256"))

    def find(self, algorithm: str, kid: str | None) -> Any:
        """Return the key, or tell that there is none."""
        key = self.keys.find(algorithm, kid)
        if key is None:
            raise UnknownKeyError(lambda: asyncio.sleep(0))
        return key


ISSUER = TokenVerifier(
    Jwt(algorithms=("RS256", "ES256"), jwks_url="https://issuer.example/"), Published(jwk("RS256", "a"))
)
ALL = pytest.mark.parametrize("verifier", [SHARED, PUBLIC, ISSUER], ids=["shared", "public", "published"])


def part(data: Any) -> str:
    """One segment."""
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def by_secret(header: Any, claims: Any = GOOD, secret: bytes = SECRET.encode()) -> str:
    """A token with exactly this header, signed with HS256."""
    message = f"{part(header)}.{part(claims)}"
    return f"{message}.{part(hmac.new(secret, message.encode(), hashlib.sha256).digest())}"


def check_refused(verifier: TokenVerifier, token: str) -> None:
    """The token is unauthorized, and the reason given repeats nothing of it."""
    with pytest.raises(RtError) as caught:
        verifier.verify(token, NOW)
    assert caught.value.reason is UNAUTHORIZED
    assert token[-20:] not in caught.value.message


def test_the_tools_work() -> None:
    """What is tried here is refused for the trick, not for a mistake in the token."""
    assert SHARED.verify(by_secret({"alg": "HS256"}), NOW).user == "ada"
    assert PUBLIC.verify(signed("RS256"), NOW).user == "ada"
    assert ISSUER.verify(signed("RS256", "a"), NOW).user == "ada"


@ALL
@pytest.mark.parametrize(
    "algorithm",
    ["none", "None", "NONE", "nOnE", "", None, 0, True, [], ["HS256"], {}, "HS256 ", "hs256", "HS1", "dir"],
)
@pytest.mark.parametrize("signature", ["", ".", "AA"])
def test_no_algorithm(verifier: TokenVerifier, algorithm: Any, signature: str) -> None:
    """A token that says it needs no signature, or names none that is configured, is not believed."""
    check_refused(verifier, f"{part({'alg': algorithm, 'typ': 'JWT'})}.{part(GOOD)}.{signature}")
    check_refused(verifier, f"{part({'typ': 'JWT'})}.{part(GOOD)}.{signature}")
    check_refused(verifier, by_secret({"alg": algorithm}))


@pytest.mark.parametrize("verifier", [PUBLIC, ISSUER], ids=["public", "published"])
@pytest.mark.parametrize("algorithm", ["HS256", "RS256"])
def test_a_public_key_is_no_secret(verifier: TokenVerifier, algorithm: str) -> None:
    """A token that is signed by HMAC with the public key, which everybody knows, is refused."""
    for secret in (RSA_PEM, RSA_PEM.strip(), json.dumps(jwk("RS256", "a")).encode(), b""):
        check_refused(verifier, by_secret({"alg": algorithm, "kid": "a"}, secret=secret))


@pytest.mark.parametrize("verifier", [SHARED, PUBLIC, ISSUER], ids=["shared", "public", "published"])
def test_another_key(verifier: TokenVerifier) -> None:
    """Signatures by other keys, of other kinds, cut, doubled, or of another token, are none."""
    check_refused(verifier, signed("RS256", "a", number=1))
    check_refused(verifier, signed("ES256", "a"))
    good = signed("RS256", "a") if verifier is not SHARED else by_secret({"alg": "HS256"})
    head, body, signature = good.split(".")
    forged = part(GOOD | {"sub": "root"})
    for token in (
        f"{head}.{body}", f"{head}.{body}.", f"{head}.{body}.{signature[:-8]}", f"{head}.{forged}.{signature}",
        f"{good}.{signature}", f"{head}.{body}.{signature}{signature}", f"{head}.{body}.{body}.{signature}",
        f" {good}", f"{head}.{body}\n.{signature}", f"{head}..{signature}", f".{body}.{signature}",
    ):  # fmt: skip
        check_refused(verifier, token)


KIDS = [
    "../../../../dev/null", "/etc/passwd", "file:///dev/null", "https://evil.example/jwks", "a' OR '1'='1",
    "a\"; DROP TABLE keys; --", "a\x00", "${jndi:ldap://evil}", "", "A", "a ", "*", "a" * 4000, "__proto__",
]  # fmt: skip


@pytest.mark.parametrize("kid", KIDS, ids=lambda kid: repr(kid[:12]))
def test_key_names_are_only_compared(kid: str) -> None:
    """A key's name is looked up as it is among those published; it is no path, URL or query, and finds nothing else."""
    check_refused(ISSUER, signed("RS256", kid))
    check_refused(ISSUER, signed("RS256", kid, number=1))
    # With one configured key names mean nothing: the signature decides.
    assert SHARED.verify(by_secret({"alg": "HS256", "kid": kid}), NOW).user == "ada"
    check_refused(SHARED, by_secret({"alg": "HS256", "kid": kid}, secret=b""))


@ALL
@pytest.mark.parametrize("kid", [5, True, None, ["a"], {"a": 1}, 1.5])
def test_key_names_that_are_none(verifier: TokenVerifier, kid: Any) -> None:
    """A name that is no text is refused, by every verifier alike."""
    check_refused(verifier, by_secret({"alg": "HS256", "kid": kid}))
    head = part({"alg": "RS256", "kid": kid})
    check_refused(verifier, f"{head}.{part(GOOD)}.{part(b'x' * 256)}")


@ALL
def test_keys_that_a_token_brings(verifier: TokenVerifier) -> None:
    """A token cannot bring its own key, or say where one is."""
    mine = jwk("RS256", "a", number=7)
    for extra in (
        {"jwk": mine}, {"jku": "https://evil.example/jwks"}, {"x5u": "https://evil.example/"}, {"x5c": ["MIIB"]},
    ):  # fmt: skip
        for kid in ("a", "mine"):
            headers = {"kid": kid, **extra}
            payload = json.dumps(GOOD).encode()
            check_refused(verifier, PyJWS().encode(payload, private_key("RS256", 7), "RS256", headers))


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "HS256", "crit": ["exp"]},
        {"alg": "HS256", "crit": ["b64"], "b64": False},
        {"alg": "HS256", "b64": False},
        {"alg": "HS256", "crit": []},
        {"alg": "HS256", "crit": "exp"},
        ["HS256"],
        "HS256",
    ],
    ids=str,
)
def test_headers_that_change_the_rules(header: Any) -> None:
    """A header that asks for rules we do not know makes the token void, however it is signed (RFC 7515, 4.1.11)."""
    check_refused(SHARED, by_secret(header))


def test_duplicate_headers() -> None:
    """Of an algorithm that is named twice no reading lets an unsigned token in."""
    for head in (b'{"alg":"HS256","alg":"none"}', b'{"alg":"none","alg":"HS256"}'):
        check_refused(SHARED, f"{part(head)}.{part(GOOD)}.")


def test_duplicate_claims() -> None:
    """Of a claim that is there twice the last counts (RFC 7519, section 4), in every check alike."""

    def read(payload: str) -> str:
        return SHARED.verify(by_secret({"alg": "HS256"}, payload.encode()), NOW).user

    assert read(f'{{"sub":"eve","sub":"ada","exp":{NOW + 60}}}') == "ada"
    for payload in (
        f'{{"sub":"ada","sub":"guest:1","exp":{NOW + 60}}}',
        f'{{"sub":"ada","sub":null,"exp":{NOW + 60}}}',
        f'{{"sub":"ada","exp":{NOW + 60},"exp":"never"}}',
        f'{{"sub":"ada","exp":{NOW + 60},"exp":null}}',
        f'{{"sub":"ada","exp":{NOW + 60},"nbf":0,"nbf":{NOW + 60}}}',
    ):
        check_refused(SHARED, by_secret({"alg": "HS256"}, payload.encode()))


@ALL
def test_nested_tokens(verifier: TokenVerifier) -> None:
    """A token in a token, and an encrypted one, is none of ours: nothing is unpacked."""
    inner = signed("RS256", "a")
    check_refused(verifier, by_secret({"alg": "HS256", "cty": "JWT"}, inner.encode()))
    check_refused(verifier, by_secret({"alg": "HS256", "cty": "JWT"}, json.dumps(inner).encode()))
    check_refused(verifier, "eyJhbGciOiJkaXIiLCJlbmMiOiJBMTI4R0NNIn0..aXY.dGV4dA.dGFn")
    check_refused(verifier, inner + "." + inner)


@ALL
def test_oversized(verifier: TokenVerifier) -> None:
    """What is too long is not looked at, however it is made up."""
    for token in (
        "a" * (MAX_TOKEN + 1),
        "." * (MAX_TOKEN + 1),
        by_secret({"alg": "HS256"}, GOOD | {"x": "y" * MAX_TOKEN}),
    ):
        check_refused(verifier, token)


def test_deep_payloads() -> None:
    """A payload that is nothing but brackets is refused like any other that is no object."""
    check_refused(SHARED, by_secret({"alg": "HS256"}, b"[" * 3000 + b"]" * 3000))
    deep = f'{{"sub":"ada","exp":{NOW + 60},"meta":{{"a":{"[" * 1200}{"]" * 1200}}}}}'.encode()
    check_refused(SHARED, by_secret({"alg": "HS256"}, deep))


@pytest.mark.parametrize(
    "claims",
    [
        {"nbf": NOW + 1}, {"nbf": NOW + 10**9}, {"nbf": "0"}, {"nbf": True}, {"exp": NOW}, {"exp": str(NOW + 60)},
        {"exp": [NOW + 60]}, {"exp": {"$gt": 0}}, {"exp": -1}, {"iat": "now"}, {"iat": [NOW]}, {"sub": ["ada"]},
        {"sub": {"$ne": ""}}, {"sub": 0}, {"sub": True}, {"sub": "guest:ada"}, {"sub": "guest:"}, {"sub": "a\u200bda"},
        {"sub": "ad\u0000a"}, {"sub": "\u202eada"}, {"rooms": "*"}, {"rooms": {"0": "*"}}, {"publish": [["*"]]},
        {"roles": "admin"}, {"jti": {"$ne": ""}}, {"aud": "other"}, {"aud": []},
    ],
    ids=str,
)  # fmt: skip
def test_claims_that_mean_something_else(claims: dict[str, Any]) -> None:
    """Times to come, times that are none, and values of another kind make nobody."""
    token = by_secret({"alg": "HS256"}, GOOD | claims)
    with pytest.raises(RtError) as caught:
        SHARED.verify(token, NOW)
    expired = claims in ({"exp": NOW}, {"exp": -1})
    assert caught.value.reason.reason == ("token_expired" if expired else "unauthorized")


def test_issued_in_the_future() -> None:
    """A token of an issuer whose clock is ahead is good: only `nbf` says when it begins to be (RFC 7519, 4.1.6)."""
    assert SHARED.verify(by_secret({"alg": "HS256"}, GOOD | {"iat": NOW + 3600}), NOW).issued_at == NOW + 3600


def test_numbers_that_are_no_numbers() -> None:
    """Expiries that no clock reaches, or that are no JSON, do not make a token eternal."""
    for number in ("1e999", "NaN", "Infinity", "-Infinity", "1e17", str(10**30)):
        payload = f'{{"sub":"ada","exp":{number}}}'.encode()
        check_refused(SHARED, by_secret({"alg": "HS256"}, payload))
    assert orjson.loads(b"1e17") > 2**53
