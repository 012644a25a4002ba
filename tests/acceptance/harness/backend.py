"""A backend that is asked who may come in, join and publish."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook

SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"


class Backend:
    """`rules` holds what decides about each kind of question; `asked` what was asked."""

    def __init__(self) -> None:
        self.rules: dict[str, Callable[[dict[str, Any]], Any]] = {}
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.status = 200
        backend = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                question = Webhook(SECRET).verify(body, {k.lower(): v for k, v in self.headers.items()})
                kind, data = question["type"], question["data"]
                backend.asked.append((kind, data))
                answer = json.dumps(backend.rules.get(kind, lambda _: {"allow": True})(data)).encode()
                self.send_response(backend.status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *args: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def of(self, kind: str) -> list[dict[str, Any]]:
        """What was asked of one kind."""
        return [data for asked, data in self.asked if asked == kind]

    def close(self) -> None:
        """Go."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)
