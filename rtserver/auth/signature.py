"""The headers by which a backend knows that it is us who asks: Standard Webhooks 1.0.0. Pure."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable, Sequence

Sign = Callable[[str, float, bytes], dict[str, str]]


def signer(secrets: Sequence[str]) -> Sign:
    """Return what makes the headers of a message with an id, a time and a body; every secret signs."""
    keys = [base64.b64decode(secret.removeprefix("whsec_")) for secret in secrets]

    def headers(message_id: str, at: float, body: bytes) -> dict[str, str]:
        seconds = str(int(at))
        signed = b"%b.%b.%b" % (message_id.encode(), seconds.encode(), body)
        digests = [base64.b64encode(hmac.digest(key, signed, "sha256")).decode() for key in keys]
        found = {"webhook-id": message_id, "webhook-timestamp": seconds}
        return found | ({"webhook-signature": " ".join(f"v1,{one}" for one in digests)} if digests else {})

    return headers
