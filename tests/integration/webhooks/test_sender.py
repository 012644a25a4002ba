"""One attempt against a real server: whatever that does, there is an answer, and in time."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import gc
import socket
import ssl
import time
import warnings
from collections.abc import AsyncIterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from standardwebhooks import Webhook

from rtserver import __version__
from rtserver.webhooks.retry import Answer as Result
from rtserver.webhooks.sender import Sender
from rtserver.webhooks.targets import Target
from tests.integration.webhooks.receiver import LIMIT, OK, Answer, Receiver, receiving

SECRETS = ("whsec_Zmlyc3Qtc2VjcmV0LW9mLXRoZS10ZXN0cw==", "whsec_c2Vjb25kLXNlY3JldC1vZi10aGUtdGVzdHM=")
BODY = '{"type":"message-broadcast","data":{"message":"grün \U0001f642"}}'.encode()


@contextlib.asynccontextmanager
async def sending(url: str, **more: Any) -> AsyncIterator[Sender]:
    """A sender to that address."""
    sender = Sender(Target("audit", url, **{"timeout": 20.0, **more}))
    yield sender
    await sender.close()


async def attempt(sender: Sender) -> Result:
    """One attempt, which must not take for ever."""
    async with asyncio.timeout(LIMIT):
        return await sender.attempt("event-1", BODY)


class TestRequests:
    """What the target gets."""

    async def test_headers(self, receiver: Receiver) -> None:
        """A POST of the body as it is, as JSON, with who sends it and the three headers, signed with every secret."""
        async with sending(receiver.url, secrets=SECRETS) as sender:
            assert await attempt(sender) == Result(204)
        (request,) = receiver.requests
        assert request.line == "POST /hooks HTTP/1.1"
        assert request.body == BODY
        assert request.headers["content-type"] == "application/json"
        assert request.headers["user-agent"] == f"rtserver/{__version__}"
        assert request.id == "event-1"
        assert abs(int(request.headers["webhook-timestamp"]) - time.time()) < 60
        for secret in SECRETS:
            Webhook(secret).verify(request.body, request.headers)

    async def test_own_headers(self, receiver: Receiver) -> None:
        """Headers of the configuration are added, and stand in place of ours but for the three of the contract."""
        own = {"X-Env": "prod", "User-Agent": "us", "Content-Type": "application/cloudevents+json"}
        own |= {"Webhook-Id": "forged", "WEBHOOK-SIGNATURE": "v1,forged"}
        async with sending(receiver.url, secrets=SECRETS, headers=own) as sender:
            await attempt(sender)
        (request,) = receiver.requests
        assert request.headers["x-env"] == "prod"
        assert request.headers["user-agent"] == "us"
        assert request.headers["content-type"] == "application/cloudevents+json"
        assert request.id == "event-1"
        Webhook(SECRETS[0]).verify(request.body, request.headers)

    async def test_without_a_secret(self, receiver: Receiver) -> None:
        """Without a secret there is no signature."""
        async with sending(receiver.url) as sender:
            await attempt(sender)
        assert "webhook-signature" not in receiver.requests[0].headers
        assert receiver.requests[0].id == "event-1"

    async def test_kept_alive(self, receiver: Receiver) -> None:
        """Attempts one after the other go over one connection, also when answers have bodies."""
        receiver.answer = lambda request: Answer(200, body=b"thanks" * 100)
        async with sending(receiver.url) as sender:
            for _ in range(10):
                assert (await attempt(sender)).status == 200
        assert receiver.connections == 1

    async def test_at_the_same_time(self, receiver: Receiver) -> None:
        """No more connections are made than the target may get requests at a time."""
        async with sending(receiver.url, concurrency=3) as sender:
            found = await asyncio.gather(*(attempt(sender) for _ in range(12)))
        assert {one.status for one in found} == {204}
        assert receiver.connections <= 3

    async def test_a_connection_that_went_away(self, receiver: Receiver) -> None:
        """When the target closes a kept connection, the next attempt makes another one."""
        receiver.answer = lambda request: Answer(204, close=True)
        async with sending(receiver.url) as sender:
            assert (await attempt(sender)).status == 204
            assert (await attempt(sender)).status == 204
        assert receiver.connections == 2

    @pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])
    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
    async def test_no_proxy_to_this_machine(
        self, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, name: str, host: str
    ) -> None:
        """A proxy in the environment is not asked for a target on this machine."""
        monkeypatch.setenv(name, "http://127.0.0.1:9")
        async with sending(receiver.url.replace("127.0.0.1", host)) as sender:
            assert await attempt(sender) == Result(204)

    async def test_a_proxy_for_the_others(self, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
        """A proxy in the environment is asked for a target elsewhere."""
        for name in ("http_proxy", "HTTP_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{receiver.port}")
        async with sending("http://hooks.example.com/there") as sender:
            assert await attempt(sender) == Result(204)
        assert receiver.requests[0].line == "POST http://hooks.example.com/there HTTP/1.1"


class TestAnswers:
    """What the target answers."""

    @pytest.mark.parametrize("status", [200, 201, 202, 204, 400, 404, 410, 429, 500, 503, 599])
    async def test_statuses(self, receiver: Receiver, status: int) -> None:
        """The status is told as it is."""
        receiver.answer = lambda request: Answer(status)
        async with sending(receiver.url) as sender:
            assert await attempt(sender) == Result(status)

    @pytest.mark.parametrize(("value", "seconds"), [("7", 7.0), ("soon", None), ("", None), ("0", 0.0)])
    async def test_retry_after(self, receiver: Receiver, value: str, seconds: float | None) -> None:
        """Retry-After is told in seconds, when it says any."""
        receiver.answer = lambda request: Answer(503, {"Retry-After": value})
        async with sending(receiver.url) as sender:
            assert await attempt(sender) == Result(503, seconds)

    async def test_retry_after_a_date(self, receiver: Receiver) -> None:
        """A Retry-After that is a date is told as the seconds until then."""
        at = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=600)
        receiver.answer = lambda request: Answer(
            429, {"Retry-After": at.strftime("%a, %d %b %Y %H:%M:%S GMT")}
        )
        async with sending(receiver.url) as sender:
            answer = await attempt(sender)
        assert answer.retry_after is not None
        assert 500 < answer.retry_after <= 600

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    async def test_redirects(self, receiver: Receiver, status: int) -> None:
        """A redirect is an answer, and is not followed."""
        receiver.answer = lambda request: Answer(status, {"Location": receiver.url + "/elsewhere"})
        async with sending(receiver.url) as sender:
            assert (await attempt(sender)).status == status
        assert len(receiver.requests) == 1

    async def test_a_large_body(self, receiver: Receiver) -> None:
        """Of an answer of 10 MB only the beginning is read; the attempt succeeded, and the next one does too."""
        whole = 10_000_000
        receiver.answer = lambda request: Answer(200, body=b"x" * whole)
        async with sending(receiver.url) as sender:
            for _ in range(3):
                assert await attempt(sender) == Result(200)
        assert len(receiver.requests) == 3

    async def test_a_compressed_bomb(self, receiver: Receiver) -> None:
        """An answer that says it is compressed, and is not, is the status it has."""
        receiver.answer = lambda request: Answer(200, {"content-encoding": "gzip"}, b"no gzip at all")
        async with sending(receiver.url) as sender:
            assert await attempt(sender) == Result(200)

    @pytest.mark.parametrize("limit", [0.4, 20.0])
    async def test_a_trickling_body(self, receiver: Receiver, limit: float) -> None:
        """The status is the answer: a body that never ends changes nothing, and is not waited for."""

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
            while True:
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.02)

        receiver.serve = serve
        async with sending(receiver.url, timeout=limit) as sender:
            assert await attempt(sender) == Result(200)

    async def test_a_body_that_is_cut(self, receiver: Receiver) -> None:
        """An answer whose body is cut off is still the status it began with."""
        receiver.answer = lambda request: Answer(
            raw=b"HTTP/1.1 202 OK\r\ncontent-length: 100\r\n\r\nshort", close=True
        )
        async with sending(receiver.url) as sender:
            assert await attempt(sender) == Result(202)

    async def test_first_a_hundred(self, receiver: Receiver) -> None:
        """An interim answer is not the answer."""
        receiver.answer = lambda request: Answer(
            raw=b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 204 X\r\n\r\n"
        )
        async with sending(receiver.url) as sender:
            assert await attempt(sender) == Result(204)


class TestFaults:
    """When there is no answer."""

    async def failed(self, sender: Sender) -> str:
        """The error of an attempt that fails."""
        answer = await attempt(sender)
        assert (answer.status, answer.retry_after) == (None, None)
        assert answer.error
        assert "\n" not in answer.error
        assert len(answer.error) <= 300
        return answer.error

    async def test_refused(self) -> None:
        """A port where nobody listens is an error, not an exception."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            async with sending(f"http://127.0.0.1:{free.getsockname()[1]}/") as sender:
                await self.failed(sender)

    async def test_no_such_host(self) -> None:
        """A host that does not exist is an error."""
        async with sending("http://nowhere.invalid/") as sender:
            await self.failed(sender)

    async def test_hangs(self, receiver: Receiver) -> None:
        """A target that says nothing is given up after its timeout."""

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()

        receiver.serve = serve
        async with sending(receiver.url, timeout=0.2) as sender:
            assert await self.failed(sender) == "no answer within 0.2 s"

    async def test_trickling_headers(self, receiver: Receiver) -> None:
        """A target whose headers never end is given up after its timeout too."""

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\n")
            while True:
                writer.write(b"x: y\r\n")
                await writer.drain()
                await asyncio.sleep(0.02)

        receiver.serve = serve
        async with sending(receiver.url, timeout=0.3) as sender:
            assert await self.failed(sender) == "no answer within 0.3 s"

    @pytest.mark.parametrize(
        "raw",
        [
            b"",
            b"HTTP/1.1 200",
            b"hello\r\n\r\n",
            b"HTTP/1.1 abc OK\r\n\r\n",
            b"SSH-2.0-OpenSSH_9.2\r\n",
            b"HTTP/1.1 200 OK\r\nx: " + b"y" * 1_000_000 + b"\r\n\r\n",
            b"\x00\xff\xfe\r\n\r\n",
        ],
        ids=["nothing", "cut", "text", "status", "ssh", "long header", "bytes"],
    )
    async def test_no_http(self, receiver: Receiver, raw: bytes) -> None:
        """What is no answer of HTTP is an error, and the next attempt may succeed."""
        receiver.answer = lambda request: Answer(raw=raw, close=True)
        async with sending(receiver.url) as sender:
            await self.failed(sender)
            receiver.answer = lambda request: OK
            assert await attempt(sender) == Result(204)

    async def test_reset(self, receiver: Receiver) -> None:
        """A connection that is reset is an error, and the next attempt may succeed."""

        def answer(request: Any) -> Answer:
            receiver.reset()
            return OK

        receiver.answer = answer
        async with sending(receiver.url) as sender:
            await self.failed(sender)
            receiver.answer = lambda request: OK
            assert await attempt(sender) == Result(204)

    async def test_cancelled(self, receiver: Receiver) -> None:
        """An attempt that is cancelled is cancelled, and harms none after it."""
        hanging = asyncio.Event()

        async def answer(request: Any) -> Answer:
            await hanging.wait()
            return OK

        receiver.answer = answer
        async with sending(receiver.url, concurrency=1) as sender:
            under_way = asyncio.ensure_future(attempt(sender))
            await receiver.asked(1)
            under_way.cancel()
            with pytest.raises(asyncio.CancelledError):
                await under_way
            hanging.set()
            assert await attempt(sender) == Result(204)

    async def test_closed_unused(self) -> None:
        """A sender that never sent can be closed."""
        async with sending("http://127.0.0.1:9/"):
            pass


class TestTls:
    """Certificates."""

    async def test_unknown(self, tmp_path: Path) -> None:
        """A certificate that nobody vouches for is an error, and nothing was sent."""
        async with receiving(server_context(tmp_path)) as receiver, sending(receiver.url) as sender:
            answer = await attempt(sender)
            assert answer.status is None
            assert answer.error is not None
            assert "certificate" in answer.error.lower()
            assert receiver.requests == []

    async def test_known(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A certificate of an authority that the operator added is accepted."""
        context = server_context(tmp_path)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
        async with receiving(context) as receiver, sending(receiver.url) as sender:
            assert await attempt(sender) == Result(204)

    async def test_plain_where_tls_is_meant(self, receiver: Receiver) -> None:
        """A server that does not speak TLS is an error."""
        async with sending(receiver.url.replace("http:", "https:"), timeout=2) as sender:
            answer = await attempt(sender)
        assert answer.status is None
        # asyncio's start_tls forgets a connection whose handshake fails, and complains of it later on.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            await asyncio.sleep(0)
            gc.collect()


def server_context(directory: Path) -> ssl.SSLContext:
    """A server's side of TLS, with a certificate that signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (directory / "certificate.pem").write_bytes(pem)
    (directory / "key.pem").write_bytes(private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "certificate.pem", directory / "key.pem")
    return context
