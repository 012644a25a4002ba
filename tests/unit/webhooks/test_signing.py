"""Signatures, beside the reference package of Standard Webhooks."""

from __future__ import annotations

import base64
import binascii
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from rtserver.webhooks.signing import Signer

NOW = 1_700_000_000.9
KEYS = st.binary(min_size=1, max_size=64)


def secret(key: bytes) -> str:
    """A secret as the configuration has it."""
    return "whsec_" + base64.b64encode(key).decode()


def test_the_example_of_the_specification() -> None:
    """The specification's own example has the signature that it gives."""
    signer = Signer(["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])
    headers = signer.headers("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


@given(st.lists(KEYS, min_size=1, max_size=4), st.text(min_size=1), st.uuids())
def test_as_the_reference_signs(keys: list[bytes], text: str, event: object) -> None:
    """For any secrets, id and body there is one signature per secret, in their order, and each is the reference's."""
    body = text.encode("utf-8", "replace")
    headers = Signer(map(secret, keys)).headers(str(event), NOW, body)
    assert headers["webhook-timestamp"] == "1700000000"
    when = datetime.fromtimestamp(int(NOW), UTC)
    expected = [Webhook(secret(key)).sign(str(event), when, body.decode()) for key in keys]
    assert headers["webhook-signature"].split(" ") == expected


@pytest.mark.parametrize("knows", [0, 1, 2])
def test_rotation(knows: int) -> None:
    """While secrets are rotated, a receiver that knows any one of them accepts what is signed with all."""
    keys = [secret(bytes([number]) * 24) for number in range(3)]
    body = '{"message":"grün \U0001f642\u2028"}'.encode()
    headers = Signer(keys).headers("event-1", time.time(), body)
    assert Webhook(keys[knows]).verify(body, headers) == {"message": "grün \U0001f642\u2028"}


def test_a_stranger() -> None:
    """A receiver that knows none of the secrets accepts nothing, and nobody one that was changed on its way."""
    headers = Signer([secret(b"a" * 24)]).headers("event-1", time.time(), b"{}")
    with pytest.raises(WebhookVerificationError):
        Webhook(secret(b"b" * 24)).verify(b"{}", headers)
    for changed in ({"webhook-id": "event-2"}, {"webhook-timestamp": str(int(time.time()) + 1)}):
        with pytest.raises(WebhookVerificationError):
            Webhook(secret(b"a" * 24)).verify(b"{}", {**headers, **changed})


def test_no_secret() -> None:
    """Without a secret there are id and timestamp, and no signature."""
    assert Signer([]).headers("event-1", NOW, b"{}") == {
        "webhook-id": "event-1",
        "webhook-timestamp": "1700000000",
    }


def test_without_the_prefix() -> None:
    """The prefix is no part of the key: with it or without, the signature is the same."""
    key = base64.b64encode(b"k" * 24).decode()
    with_it, without = (Signer([one]).headers("e", NOW, b"{}") for one in ("whsec_" + key, key))
    assert with_it == without


@pytest.mark.parametrize("bad", ["whsec_!!!", "whsec_YQ", "whsec_YQ=", "whsec_Y Q==", "whsec_ü", "päss"])
def test_no_base64(bad: str) -> None:
    """A secret that is no base64 is a ValueError, at once and not when something is to be sent."""
    with pytest.raises((ValueError, binascii.Error)):
        Signer([bad])


def test_every_attempt_its_own_time() -> None:
    """A later attempt has the same id, another timestamp and another signature."""
    signer = Signer([secret(b"k" * 24)])
    first, second = (signer.headers("event-1", at, b"{}") for at in (NOW, NOW + 60))
    assert first["webhook-id"] == second["webhook-id"]
    assert first["webhook-timestamp"] != second["webhook-timestamp"]
    assert first["webhook-signature"] != second["webhook-signature"]
