"""Receives webhooks: verifies them and prints one line per event. To copy; it needs nothing but Python.

WEBHOOK_SECRET=whsec_… python receive.py 9000
"""

import base64
import contextlib
import hmac
import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SECRET = os.environ.get("WEBHOOK_SECRET", "").removeprefix("whsec_")
KEY = base64.b64decode(SECRET) or sys.exit("error: WEBHOOK_SECRET is not set")


def verified(headers, body):
    """Whether one of the signatures is right, made within five minutes of now over exactly these bytes."""
    event_id, sent = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    signature = hmac.digest(KEY, f"{event_id}.{sent}.".encode() + body, "sha256")
    right, given = b"v1," + base64.b64encode(signature), headers.get("webhook-signature", "").encode()
    fresh = sent.isdecimal() and abs(time.time() - float(sent)) <= 300
    return fresh and any(hmac.compare_digest(right, one) for one in given.split())


class Receiver(BaseHTTPRequestHandler):
    """Answers 204 when the work is done: what is answered otherwise, or not at all, comes again."""

    timeout = 10  # seconds that a sender may be silent

    def do_POST(self):
        """One event, or a batch of them."""
        length = self.headers.get("Content-Length", "")
        body = self.rfile.read(int(length)) if length.isdecimal() and len(length) < 9 else b""
        if not verified(self.headers, body):
            self.send_error(401)
            return
        post = json.loads(body)
        single = {**post, "id": self.headers["webhook-id"]}
        for event in post["data"]["events"] if post["type"] == "batch" else [single]:
            line = f"{event['timestamp']} {event['type']} {event['id']} {json.dumps(event['data'])}\n"
            sys.stdout.write(line)  # in one piece: every request has a thread of its own
            sys.stdout.flush()
        self.send_response(204)
        self.end_headers()

    def log_request(self, *_):
        """Nothing: what was refused is logged without this."""

    def handle(self):
        """A sender that is cut off is no reason for a traceback."""
        with contextlib.suppress(ConnectionError):
            super().handle()


with contextlib.suppress(KeyboardInterrupt):
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver).serve_forever()
