"""The keys of an issuer: which are usable, and for what."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import RSAAlgorithm

from rtserver.auth.keyset import MAX_KEYS, KeySet, read_keys
from tests.unit.auth.keys import document, jwk, private_key

ALL = ("RS256", "ES256", "ES384", "EdDSA")


@pytest.mark.parametrize("algorithm", ALL)
def test_a_key_of_each_kind(algorithm: str) -> None:
    """RSA, elliptic curve and Edwards keys are found by algorithm and name."""
    keys = read_keys(document(jwk(algorithm, "a"), jwk(algorithm, "b", 1)), ALL)
    assert keys.find(algorithm, "a") is not None
    assert keys.find(algorithm, "b") != keys.find(algorithm, "a")
    assert keys.find(algorithm, "c") is None
    assert keys.find("HS256", "a") is None


def test_without_a_name() -> None:
    """A token that names no key is for the only one there is; among several none is guessed."""
    assert read_keys(document(jwk("ES256", "a")), ALL).find("ES256", None) is not None
    assert read_keys(document(jwk("ES256")), ALL).find("ES256", None) is not None
    assert read_keys(document(jwk("ES256", "a"), jwk("ES256", "b", 1)), ALL).find("ES256", None) is None
    assert read_keys(document(jwk("ES256", "a"), jwk("RS256", "b")), ALL).find("ES256", None) is not None


@pytest.mark.parametrize(
    "key",
    [
        {"kty": "oct", "k": "c2VjcmV0", "kid": "a"},
        {"kty": "oct", "k": "c2VjcmV0", "kid": "a", "alg": "RS256"},
        jwk("ES384", "a", alg="ES256"),
        jwk("RS256", "a", use="enc"),
        jwk("RS256", "a", alg="RS512"),
        jwk("RS256", "a", key_ops=["encrypt"]),
        jwk("RS256", "a", key_ops="verify"),
        jwk("RS256", "a", kty="EC"),
        jwk("ES256", "a", crv="P-384"),
        jwk("ES256", "a", x="AAAA"),
        jwk("EdDSA", "a", crv="X25519"),
        {"kty": "RSA", "kid": "a"},
        {"kty": "RSA", "n": 5, "e": [], "kid": "a"},
        {"kty": "EC", "crv": "P-256", "x": "!!", "y": "??", "kid": "a"},
        {**RSAAlgorithm.to_jwk(private_key("RS256"), as_dict=True), "kid": "a"},
        {**RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, 1024).public_key(), as_dict=True), "kid": "a"},
    ],
    ids=lambda key: str({name: value for name, value in key.items() if len(str(value)) < 9}),
)
def test_a_key_that_does_not_fit(key: dict[str, Any]) -> None:
    """Shared secrets, other uses and curves, weak, broken and private keys are passed over; good ones beside stay."""
    keys = read_keys(document(key, jwk("ES256", "good")), ("RS256", "ES256"))
    assert len(keys) == 1
    assert keys.find("ES256", "good") is not None


def test_only_configured_algorithms() -> None:
    """A key is of use only for algorithms that the configuration names."""
    keys = read_keys(document(jwk("RS256", "a"), jwk("ES256", "b")), ("ES256",))
    assert keys.find("RS256", "a") is None
    assert keys.find("ES256", "b") is not None


def test_the_first_of_a_name_counts() -> None:
    """Two keys of one name are the issuer's mistake; which one is taken does not depend on chance."""
    twice = read_keys(document(jwk("ES256", "a"), jwk("ES256", "a", 1)), ALL)
    once = read_keys(document(jwk("ES256", "a")), ALL)
    assert twice.find("ES256", "a").public_numbers() == once.find("ES256", "a").public_numbers()


@pytest.mark.parametrize(
    "found",
    [b"", b"[]", b"{", b"null", b'"x"', b"{}", b'{"keys": {}}', b'{"keys": [1]}', b'{"keys": []}', b"\xff",
     document({"kty": "oct", "k": "c2VjcmV0"}), b'{"keys": ' + b"[" * 5000, document(*[jwk("ES256")] * (MAX_KEYS + 1))],
    ids=lambda found: repr(found[:20]),
)  # fmt: skip
def test_what_is_no_key_set(found: bytes) -> None:
    """A document without one usable key, or with far too many, is refused as a whole."""
    with pytest.raises(ValueError):  # noqa: PT011
        read_keys(found, ALL)


def test_no_keys() -> None:
    """Before anything was fetched no key is known."""
    assert KeySet().find("RS256", None) is None
    assert len(KeySet()) == 0


FIELDS = st.sampled_from(["kty", "crv", "x", "y", "n", "e", "d", "kid", "alg", "use", "key_ops", "k"])
VALUES = (
    st.sampled_from(["RSA", "EC", "OKP", "oct", "P-256", "Ed25519", "AQAB", "sig", "RS256"])
    | st.text(max_size=5)
    | st.integers()
    | st.none()
    | st.lists(st.text(max_size=3), max_size=2)
)


@given(st.lists(st.dictionaries(FIELDS, VALUES), max_size=4))
def test_any_keys(keys: list[dict[str, Any]]) -> None:
    """Whatever an issuer publishes is a key set, or a ValueError."""
    good = jwk("ES256", "good")
    assert read_keys(document(*keys, good), ALL).find("ES256", "good") is not None
