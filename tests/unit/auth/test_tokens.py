"""Tokens: which are taken, which are refused, and as what."""

import base64
import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import jwt as pyjwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from rtserver.auth.tokens import MAX_TOKEN, Identity, TokenVerifier, sign
from rtserver.config.problem import ConfigError
from rtserver.config.schema import Jwt
from rtserver.protocol.errors import TOKEN_EXPIRED, UNAUTHORIZED, Reason, RtError

NOW = 1_000_000.0
SECRET = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
VERIFIER = TokenVerifier(Jwt(secret=SECRET))
GOOD: dict[str, Any] = {"sub": "ada", "exp": NOW + 60}


def signed(claims: dict[str, Any], key: Any = SECRET, algorithm: str = "HS256") -> str:
    """A token with exactly these claims."""
    return pyjwt.PyJWS().encode(json.dumps(claims).encode(), key, algorithm)


def refusal(token: Any, verifier: TokenVerifier = VERIFIER, now: float = NOW) -> Reason:
    """The reason for which `token` is refused."""
    with pytest.raises(RtError) as caught:
        verifier.verify(token, now)
    assert not isinstance(token, str) or len(token) < 8 or token not in caught.value.message
    return caught.value.reason


def verifier(**settings: Any) -> TokenVerifier:
    """A verifier with the shared secret and these settings."""
    return TokenVerifier(Jwt(**({"secret": SECRET} | settings)))


def test_every_claim_arrives() -> None:
    """A good token becomes the identity it describes."""
    claims = GOOD | {
        "name": "Ada", "rooms": ["a-*"], "publish": [], "roles": ["admin"], "meta": {"k": [1]}, "iat": NOW, "jti": "1",
    }  # fmt: skip
    assert VERIFIER.verify(signed(claims), NOW) == Identity(
        user="ada",
        name="Ada",
        rooms=("a-*",),
        publish=(),
        roles=("admin",),
        meta={"k": [1]},
        expires_at=NOW + 60,
        issued_at=NOW,
        jti="1",
    )


def test_absent_and_null_claims_are_the_same() -> None:
    """A claim that is null counts as not there, and no patterns are not the same as an empty list of them."""
    identity = VERIFIER.verify(signed(GOOD | {"name": None, "rooms": None, "meta": None}), NOW)
    assert (identity.name, identity.rooms, identity.publish, identity.meta) == (None, None, None, {})


def test_expiry_is_at_the_second() -> None:
    """A token is good before its `exp` plus leeway, and `token_expired` from then on."""
    token = signed(GOOD)
    assert VERIFIER.verify(token, NOW + 59.9).expires_at == NOW + 60
    assert refusal(token, now=NOW + 60) is TOKEN_EXPIRED
    assert verifier(leeway="5s").verify(token, NOW + 64.9)
    assert refusal(token, verifier(leeway="5s"), now=NOW + 65) is TOKEN_EXPIRED


def test_a_token_bad_for_another_reason_is_never_called_expired() -> None:
    """Only a token that was good once is told that it has expired."""
    late = NOW + 1000
    assert refusal(signed(GOOD, "another secret, also quite long...."), now=late) is UNAUTHORIZED
    assert refusal(signed(GOOD | {"aud": "x"}), now=late) is UNAUTHORIZED
    assert refusal(signed(GOOD | {"sub": "guest:1"}), now=late) is UNAUTHORIZED


def test_a_token_without_expiry() -> None:
    """Tokens that never expire are refused unless require_exp is off."""
    token = signed({"sub": "ada"})
    assert refusal(token) is UNAUTHORIZED
    assert verifier(require_exp=False).verify(token, NOW).expires_at is None


def test_not_yet_valid() -> None:
    """A token is refused before its `nbf` minus leeway, and `iat` in the future does not matter."""
    token = signed(GOOD | {"nbf": NOW + 10, "iat": NOW + 10})
    assert refusal(token) is UNAUTHORIZED
    assert VERIFIER.verify(token, NOW + 10)
    assert verifier(leeway="10s").verify(token, NOW)


@pytest.mark.parametrize(
    ("audience", "claim", "good"),
    [
        ([], None, True), ([], "a", False), (["a"], None, False), (["a"], "a", True), (["a", "b"], "b", True),
        (["a"], ["x", "a"], True), (["a"], ["x"], False), (["a"], "ab", False),
        (["a"], {"a": 1}, False), (["a"], 1, False),
    ],
)  # fmt: skip
def test_audience(audience: list[str], claim: Any, good: bool) -> None:
    """A token for others is refused, also when no audience is configured."""
    check = verifier(audience=audience)
    token = signed(GOOD if claim is None else GOOD | {"aud": claim})
    assert check.verify(token, NOW).user == "ada" if good else refusal(token, check) is UNAUTHORIZED


@pytest.mark.parametrize(("claim", "good"), [("me", True), ("you", False), (None, False), (["me"], False)])
def test_issuer(claim: Any, good: bool) -> None:
    """With an issuer configured only its tokens are taken."""
    check = verifier(issuer=["me"])
    token = signed(GOOD | {"iss": claim})
    assert check.verify(token, NOW).user == "ada" if good else refusal(token, check) is UNAUTHORIZED


@pytest.mark.parametrize(
    "claims",
    [
        {"sub": None}, {"sub": ""}, {"sub": "  "}, {"sub": 1}, {"sub": ["a"]}, {"sub": "a" * 129}, {"sub": "a\n"},
        {"sub": "a\u202eb"}, {"sub": "\ud800"}, {"sub": "guest:a"}, {"name": 1}, {"name": ""}, {"name": "a\x00"},
        {"rooms": "*"}, {"rooms": {"a": 1}}, {"rooms": [1]}, {"publish": ["a", None]}, {"roles": "admin"},
        {"roles": [["admin"]]}, {"meta": []}, {"meta": "x"}, {"jti": 1}, {"exp": "1"}, {"exp": True}, {"exp": [1]},
        {"exp": 10**400}, {"exp": float("inf")}, {"exp": float("nan")}, {"nbf": "x"}, {"iat": {}}, {"iat": False},
    ],
)  # fmt: skip
def test_claims_of_the_wrong_kind(claims: dict[str, Any]) -> None:
    """A claim that is not what it should be is unauthorized, never an error."""
    assert refusal(signed(GOOD | claims)) is UNAUTHORIZED


def test_names_are_compared_in_one_form() -> None:
    """User, name and patterns come out in NFC, as room names do."""
    identity = VERIFIER.verify(signed(GOOD | {"sub": "Zoe\u0308", "rooms": ["e\u0301*"]}), NOW)
    assert (identity.user, identity.rooms) == ("Zo\u00eb", ("\u00e9*",))


@pytest.mark.parametrize(
    "token",
    ["", "x", "a.b.c", "..", "\ud800.a.b", "é.é.é", None, 5, b"abc", ["a"], "a" * (MAX_TOKEN + 1),
     "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0."],
)  # fmt: skip
def test_what_is_no_token(token: Any) -> None:
    """Anything that is not a token is unauthorized, whatever its type."""
    assert refusal(token) is UNAUTHORIZED


@pytest.mark.parametrize("payload", [b"", b"[]", b"1", b"null", b"{", b"\xff", b'{"a":' * 1000])
def test_a_signed_payload_that_is_no_object(payload: bytes) -> None:
    """A good signature does not make a payload of another shape acceptable."""
    assert refusal(pyjwt.PyJWS().encode(payload, SECRET, "HS256")) is UNAUTHORIZED


def test_too_long_a_token_is_not_looked_at() -> None:
    """A token over 8 KB is refused even when its signature is good."""
    assert VERIFIER.verify(signed(GOOD | {"meta": {"x": "a" * 5000}}), NOW)
    assert refusal(signed(GOOD | {"meta": {"x": "a" * 7000}})) is UNAUTHORIZED


@given(st.text() | st.binary() | st.integers())
def test_anything_at_all_is_refused(token: Any) -> None:
    """Nothing but RtError comes of what is not a token."""
    assert refusal(token) is UNAUTHORIZED


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(), below, max_size=3),
)
CLAIMS = st.sampled_from(
    ["sub", "name", "rooms", "publish", "roles", "meta", "exp", "iat", "nbf", "jti", "aud", "iss"]
)


@given(st.dictionaries(CLAIMS, JSON))
def test_any_claims_make_an_identity_or_a_refusal(claims: dict[str, Any]) -> None:
    """Whatever a signed token claims, it is an identity or RtError."""
    with suppress(RtError):
        assert isinstance(verifier(audience=["a"], issuer=["b"]).verify(signed(GOOD | claims), NOW), Identity)


KEYS: dict[str, Callable[[], Any]] = {
    "RS256": lambda: rsa.generate_private_key(65537, 2048),
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
}


def public(key: Any) -> str:
    """PEM text of the public half of `key`."""
    return str(
        key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )


def private(key: Any) -> str:
    """PEM text of `key` itself."""
    return str(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()
    )


@pytest.mark.parametrize("algorithm", KEYS)
def test_public_keys(algorithm: str) -> None:
    """A token signed with the private half of the configured key is taken, of another key refused."""
    key, other = KEYS[algorithm](), KEYS[algorithm]()
    check = TokenVerifier(Jwt(algorithms=(algorithm,), public_key=public(key)))  # type: ignore[arg-type]
    assert check.verify(signed(GOOD, key, algorithm), NOW).user == "ada"
    assert refusal(signed(GOOD, other, algorithm), check) is UNAUTHORIZED


def test_a_public_key_is_never_a_shared_secret() -> None:
    """A token signed by HMAC with the public key as the secret is refused."""
    key = KEYS["RS256"]()
    check = TokenVerifier(Jwt(algorithms=("RS256",), public_key=public(key)))

    def part(data: dict[str, Any]) -> bytes:
        return base64.urlsafe_b64encode(json.dumps(data).encode()).rstrip(b"=")

    message = part({"alg": "HS256", "typ": "JWT"}) + b"." + part(GOOD)
    algorithm = pyjwt.algorithms.HMACAlgorithm(pyjwt.algorithms.HMACAlgorithm.SHA256)
    signature = base64.urlsafe_b64encode(algorithm.sign(message, public(key).encode())).rstrip(b"=")
    assert refusal((message + b"." + signature).decode(), check) is UNAUTHORIZED


def test_only_configured_algorithms() -> None:
    """A token by another algorithm is refused even when the secret is right."""
    token = signed(GOOD, algorithm="HS512")
    assert refusal(token) is UNAUTHORIZED
    assert verifier(algorithms=["HS256", "HS512"]).verify(token, NOW).user == "ada"


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({}, "auth.jwt.secret: is required to verify tokens"),
        ({"algorithms": ["ES256"]}, "auth.jwt.public_key: is required to verify tokens"),
        ({"algorithms": ["ES256"], "public_key": "nonsense"}, "auth.jwt.public_key: is not a key for ES256"),
        ({"algorithms": ["ES256", "RS256"], "public_key": public(KEYS["ES256"]())},
         "auth.jwt.public_key: is not a key for RS256"),
        ({"algorithms": ["ES384"], "public_key": public(KEYS["ES256"]())},
         "auth.jwt.public_key: is not a key for ES384"),
        ({"algorithms": ["EdDSA"], "public_key": private(KEYS["EdDSA"]())}, "auth.jwt.public_key: is a private key"),
        ({"secret": public(KEYS["ES256"]())}, "auth.jwt.secret: is not a key for HS256"),
    ],
)  # fmt: skip
def test_a_key_that_does_not_fit(settings: dict[str, Any], problem: str) -> None:
    """A key that cannot verify with the configured algorithms is a problem of the configuration, at the start."""
    with pytest.raises(ConfigError) as caught:
        TokenVerifier(Jwt(**settings))
    assert [str(found) for found in caught.value.problems] == [problem]


def test_a_short_rsa_key_is_refused() -> None:
    """An RSA key under 2048 bits, which RFC 7518 forbids, is a problem of the configuration."""
    weak = public(rsa.generate_private_key(65537, 1024))
    with pytest.raises(ConfigError, match=r"auth\.jwt\.public_key: .*2048"):
        TokenVerifier(Jwt(algorithms=("RS256",), public_key=weak))


def test_a_short_secret_works_without_noise() -> None:
    """A short secret, which the operator was advised against, signs and verifies without a warning."""
    config = Jwt(secret="x")  # type: ignore[arg-type]
    assert TokenVerifier(config).verify(sign(GOOD, config, NOW), NOW).issued_at == NOW


def test_signed_tokens_verify() -> None:
    """What sign makes, a verifier with the same settings takes, issuer and audience included."""
    config = Jwt(secret=SECRET, audience=("a", "b"), issuer=("i",), algorithms=("HS512",))  # type: ignore[arg-type]
    token = sign(GOOD | {"rooms": ["x"]}, config, NOW)
    assert TokenVerifier(config).verify(token, NOW).rooms == ("x",)


def test_signing_needs_a_secret() -> None:
    """Without a shared secret nothing is signed, and the problem says which key is missing."""
    with pytest.raises(ConfigError, match=r"auth\.jwt\.secret: is required to sign tokens"):
        sign(GOOD, Jwt(), NOW)
    with pytest.raises(ConfigError, match=r"auth\.jwt\.algorithms: must be HS algorithms"):
        sign(GOOD, Jwt(secret=SECRET, algorithms=("RS256",)), NOW)  # type: ignore[arg-type]
