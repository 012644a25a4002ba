"""Signatures by Standard Webhooks 1.0.0, "Verifying webhook authenticity": HMAC-SHA256 over id, time and body. Pure."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable

PREFIX = "whsec_"


class Signer:
    """Signs with every secret, so that a receiver that knows only the old or the new one can verify."""

    __slots__ = ("_keys",)

    def __init__(self, secrets: Iterable[str]) -> None:
        """Raise `ValueError` for a secret that is not base64 after its prefix ``whsec_``."""
        self._keys = [base64.b64decode(secret.removeprefix(PREFIX), validate=True) for secret in secrets]

    def headers(self, message_id: str, at: float, body: bytes) -> dict[str, str]:
        """Return the headers of an attempt at Unix time *at*; without a secret there is no signature."""
        seconds = str(int(at))
        headers = {"webhook-id": message_id, "webhook-timestamp": seconds}
        if self._keys:
            signed = b"%b.%b.%b" % (message_id.encode(), seconds.encode(), body)
            headers["webhook-signature"] = " ".join(_signature(key, signed) for key in self._keys)
        return headers


def _signature(key: bytes, signed: bytes) -> str:
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
