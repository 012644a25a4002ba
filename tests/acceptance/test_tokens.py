"""Tokens of live connections, and keys that their issuer publishes (CONTRACT section 3)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from .harness import raw
from .harness.issuer import Issuer
from .harness.node_client import Node
from .harness.server import Server, Servers
from .harness.shapes import (
    SECRET,
    check_ack,
    check_connect_error,
    check_event,
    check_refusal,
    token,
    unique,
)
from .test_embedding import start

JWT = {"secret": SECRET, "algorithms": ["HS256"]}


@pytest.fixture(scope="module")
def required(module_servers: Servers) -> Server:
    """A server that wants tokens and asks for new ones two seconds ahead."""
    rooms = [{"match": "team-*", "join": "claim"}, {"match": "*"}]
    return module_servers.serve(
        {"auth": {"mode": "required", "jwt": JWT, "refresh_grace": "2s"}, "rooms": rooms}
    )


class TestExpiry:
    async def test_expiring_then_gone(self, required: Server, node: Node, transports: str):
        """A client is asked ahead of time, then told token_expired and disconnected, so that it tries to come back."""
        client = await node.connect(
            required.url,
            transports=transports,
            auth={"token": token("ada", ttl=4)},
            reconnection=True,
            reconnectionDelay=50,
        )
        welcome = await client.next("welcome")
        warning = check_event("token_expiring", await client.next("token_expiring"))
        assert warning["expires_at"] == welcome["expires_at"]
        await client.sync()
        farewell = check_event("disconnecting_by_server", await client.next("disconnecting_by_server"))
        assert (farewell["reason"], farewell["reconnect"]) == ("token_expired", True)
        refused = await client.until_refused()
        check_connect_error(refused.message, refused.data, "token_expired", reconnect=True)
        assert client.connects == 1

    async def test_refreshed(self, required: Server, node: Node, transports: str):
        """With a new token of the same user the client stays: same sid, same rooms, and no farewell."""
        client = await node.connect(
            required.url, transports=transports, auth={"token": token("ada", ttl=4, rooms=["team-1"])}
        )
        witness = await node.connect(required.url, auth={"token": token("bob", rooms=["team-*"])})
        for who in (client, witness):
            check_ack("join", await who.emit("join", {"room": "team-1"}))
        await client.next("token_expiring")
        ack = check_ack(
            "refresh_token", await client.emit("refresh_token", {"token": token(rooms=["team-*"])})
        )
        left = datetime.fromisoformat(ack["expires_at"]).timestamp() - datetime.now(UTC).timestamp()
        assert 500 < left <= 600
        check_ack("join", await client.emit("join", {"room": "team-2"}))
        # Its old token's time has come when another's, which is younger, has gone.
        younger = await node.connect(required.url, auth={"token": token("eve", ttl=3)})
        await younger.until_disconnected()
        await client.none("disconnecting_by_server", "token_expiring")
        assert client.connects == 1
        await witness.none("user_left")

    @pytest.mark.parametrize(
        ("given", "reason"),
        [
            (token("bob"), "forbidden"),
            ("garbage", "unauthorized"),
            (token("ada", secret="another-secret-of-more-than-thirty-two-bytes-in-all"), "unauthorized"),
            (token("ada", ttl=-60), "token_expired"),
            (None, "bad_request"),
            (5, "bad_request"),
        ],
        ids=["another user's", "garbage", "forged", "expired", "null", "number"],
    )
    async def test_a_bad_new_token(self, required: Server, node: Node, given: object, reason: str):
        """A token that is not good, or another user's, is refused, and the client stays who it was."""
        client = await node.connect(required.url, auth={"token": token("ada")})
        check_refusal(await client.emit("refresh_token", {"token": given}), reason)
        who = check_ack("join", await client.emit("join", {"room": unique("r")}))["members"][0]
        assert who["client_id"] == "ada"

    async def test_rights_that_the_new_token_lacks(self, required: Server, node: Node):
        """Rooms that only the old token opened are left at once: nothing is heard from there any more."""
        ada = await node.connect(required.url, auth={"token": token("ada", rooms=["team-*"])})
        bob = await node.connect(required.url, auth={"token": token("bob", rooms=["team-*"])})
        room = unique("team")
        for who in (ada, bob):
            check_ack("join", await who.emit("join", {"room": room}))
        assert (await ada.emit("refresh_token", {"token": token("ada")}))["left"] == [room]
        assert check_event("user_left", await bob.next("user_left"))["client_id"] == "ada"
        check_ack("chat", await bob.emit("chat", {"room": room, "message": "secret"}))
        await ada.none("chat")

    async def test_a_token_as_short_as_the_grace(self, required: Server, node: Node):
        """A token that lives hardly longer than the grace is asked for half-way, not again and again."""
        short = token("ada", ttl=2)
        client = await node.connect(required.url, auth={"token": short})
        for _ in range(3):
            await client.next("token_expiring")
            await client.emit("refresh_token", {"token": short})
        await client.until_disconnected()
        assert len(client.unread("token_expiring")) < 20


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    """Publishes one key."""
    issuer = Issuer()
    issuer.publish("first")
    yield issuer
    issuer.close()


class TestJwks:
    """`auth.jwt.jwks_url`."""

    @pytest.fixture
    def server(self, serve, issuer: Issuer) -> Server:
        """A server that takes the issuer's tokens."""
        jwt = {"algorithms": ["ES256"], "jwks_url": issuer.url}
        return serve({"auth": {"mode": "required", "jwt": jwt}})

    async def test_rotation(self, server: Server, issuer: Issuer, node: Node, transports: str):
        """Tokens by published keys are taken, also by a key newer than the server, and the issuer is asked rarely."""
        for _ in range(5):
            client = await node.connect(
                server.url, transports=transports, auth={"token": issuer.token("first")}
            )
            assert (await client.next("welcome"))["client_id"] == "ada"
        assert issuer.asked == 1
        issuer.publish("first", "second")
        client = await node.connect(server.url, transports=transports, auth={"token": issuer.token("second")})
        await client.next("welcome")
        assert issuer.asked == 2

    async def test_unknown_keys_hold_up_nobody(self, server: Server, issuer: Issuer, node: Node):
        """Strangers' keys are refused, cost the issuer a request or two at most, and let others pass meanwhile."""
        await node.connect(server.url, auth={"token": issuer.token("first")})
        strangers = [
            node.open(server.url, auth={"token": issuer.token(f"../../../etc/passwd-{number}")})
            for number in range(30)
        ]
        good = await node.connect(server.url, auth={"token": issuer.token("first")})
        await good.sync()
        for stranger in strangers:
            refused = await stranger.until_refused()
            check_connect_error(refused.message, refused.data, "unauthorized", reconnect=False)
        assert issuer.asked <= 4

    async def test_refresh_with_a_new_key(self, server: Server, issuer: Issuer, node: Node):
        """A new token may be signed with a key that is newer than the connection."""
        client = await node.connect(server.url, auth={"token": issuer.token("first")})
        issuer.publish("second")
        check_ack("refresh_token", await client.emit("refresh_token", {"token": issuer.token("second")}))

    async def test_the_issuer_is_down(self, server: Server, issuer: Issuer, node: Node):
        """Known keys go on working while the issuer fails; what cannot be checked now may come back later."""
        await node.connect(server.url, auth={"token": issuer.token("first")})
        issuer.status = 500
        refused = await node.open(server.url, auth={"token": issuer.token("second")}).until_refused()
        check_connect_error(refused.message, refused.data, "server_error", reconnect=True)
        await node.connect(server.url, auth={"token": issuer.token("first")})
        issuer.status = 200
        issuer.publish("second")
        await node.connect(server.url, auth={"token": issuer.token("second")})

    async def test_an_issuer_that_was_never_there(self, serve, node: Node):
        """A server starts without its issuer, and lets nobody in."""
        jwt = {"algorithms": ["ES256"], "jwks_url": "http://127.0.0.1:9/jwks.json"}
        server = serve({"auth": {"mode": "required", "jwt": jwt}})
        other = Issuer()
        try:
            refused = await node.open(server.url, auth={"token": other.token("first")}).until_refused()
            check_connect_error(refused.message, refused.data, "server_error", reconnect=True)
        finally:
            other.close()

    async def test_twice_while_it_waits(self, server: Server, issuer: Issuer):
        """A second CONNECT while the first waits for a key closes the connection, and leaves nobody behind."""
        async with raw.engine(server.url) as bare:
            await bare.open_namespace({"token": issuer.token("first")}, "/")
            issuer.publish("first", "second")
        async with raw.engine(server.url) as bare:
            asked = '40{"token":"' + issuer.token("second") + '"}'
            await bare.send(asked)
            await bare.send(asked)
            await bare.until_closed()
            assert len([frame for frame in bare.seen if str(frame).startswith("40")]) <= 1


class TestSilence:
    async def test_tokens_reach_no_log(self, serve, node: Node):
        """Tokens, good and bad, in the payload, the URL or a renewal, are in no line of the log."""
        server = serve({"auth": {"mode": "optional", "jwt": JWT}, "logging": {"level": "debug"}})
        good, late, bad = token("ada"), token("ada", ttl=-60), token("ada")[:-4] + "AAAA"
        client = await node.connect(server.url, auth={"token": good})
        for number, given in enumerate((good, late, bad)):
            for more in ({"auth": {"token": given}}, {"query": {"token": given}}):
                opened = node.open(server.url, transports=["polling"], **more)
                await opened.until(
                    lambda o=opened: o.connected or o.connect_error is not None, f"answer {number}"
                )
            await client.emit("refresh_token", {"token": given})
        client.send("refresh_token", {"token": bad, "x": bad})
        await client.next("error")
        logs = server.logs()
        assert "client refused" in logs
        for secret in (SECRET, *(given.rpartition(".")[2] for given in (good, late, bad))):
            assert secret not in logs


class TestEmbedded:
    """With code of an application: `app.node.revoke`, and namespaces of its own."""

    @pytest.fixture(scope="class")
    @staticmethod
    def app(module_servers: Servers) -> Server:
        """An application whose clients may call the node's verbs."""
        return start(module_servers, "serve", {"auth": {"mode": "required", "jwt": JWT}})

    async def test_revoked(self, app: Server, node: Node, transports: str):
        """A user's live clients are told token_revoked and disconnected for good, and its tokens are refused."""
        who, given = unique("eve"), {}
        given["token"] = token(who)
        eve = await node.connect(app.url, transports=transports, auth=given, reconnection=True)
        ada = await node.connect(app.url, auth={"token": token("ada")})
        answer = await ada.emit("verb", {"name": "revoke", "kwargs": {"user": who}})
        assert answer == {"done": "revoke", "result": "1"}
        farewell = check_event("disconnecting_by_server", await eve.next("disconnecting_by_server"))
        assert (farewell["reason"], farewell["reconnect"]) == ("token_revoked", False)
        assert await eve.until_disconnected() == "io server disconnect"
        refused = await node.open(app.url, transports=transports, auth=given).until_refused()
        check_connect_error(refused.message, refused.data, "token_revoked", reconnect=False)
        check_refusal(await ada.emit("refresh_token", given), "token_revoked")
        assert ada.connects == 1

    async def test_another_namespace(self, app: Server, node: Node):
        """A client of an application's namespace does not outlive its token either."""
        client = await node.connect(app.url, namespace="/own", auth={"token": token(unique("eve"), ttl=2)})
        await client.next("token_expiring")
        farewell = await client.next("disconnecting_by_server")
        assert farewell["reason"] == "token_expired"
        assert await client.until_disconnected() == "transport close"
