"""An issuer of tokens: it publishes its keys over HTTP, may change them, and may be down."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm


class Issuer:
    """Signs with ES256. `keys` are those that it publishes, `asked` how often somebody wanted them."""

    def __init__(self) -> None:
        self.private: dict[str, Any] = {}
        self.keys: list[dict[str, Any]] = []
        self.asked = 0
        self.status = 200
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked += 1
                body = json.dumps({"keys": issuer.keys}).encode()
                self.send_response(issuer.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/jwks.json"

    def publish(self, *kids: str) -> None:
        """From now on these are its keys."""
        for kid in kids:
            self.private.setdefault(kid, ec.generate_private_key(ec.SECP256R1()))
        self.keys = [
            {**ECAlgorithm.to_jwk(self.private[kid].public_key(), as_dict=True), "kid": kid} for kid in kids
        ]

    def token(self, kid: str, sub: str = "ada") -> str:
        """A token signed with a key, which need not be published."""
        key = self.private.setdefault(kid, ec.generate_private_key(ec.SECP256R1()))
        now = datetime.now(UTC)
        claims = {"sub": sub, "iat": now, "exp": now + timedelta(minutes=10)}
        return jwt.encode(claims, key, algorithm="ES256", headers={"kid": kid})

    def close(self) -> None:
        """Go."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)
