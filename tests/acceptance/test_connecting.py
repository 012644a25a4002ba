"""Connecting, and what a client is told about itself (CONTRACT section 3)."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from .harness import raw
from .harness.node_client import Node, RefusedError
from .harness.server import Server, Servers
from .harness.shapes import (
    SECRET,
    check_ack,
    check_connect_error,
    check_event,
    check_timestamp,
    token,
    unique,
)


async def test_welcome_tells_everything(server: Server, node: Node, transports: str):
    """Who connects gets `welcome` with exactly the fields of the contract, on every transport."""
    who = unique("ada")
    client = await node.connect(server.url, transports=transports, auth={"client_id": who, "name": "Ada"})
    welcome = check_event("welcome", await client.next("welcome"))
    assert welcome["client_id"] == who
    assert welcome["sid"] == client.sid
    assert welcome["name"] == "Ada"
    assert welcome["verified"] is False
    assert welcome["message"] == "Welcome, Ada"
    assert welcome["expires_at"] is None
    assert welcome["client_number"] >= welcome["total_connections"] >= 1
    await client.none("welcome", "error")


async def test_client_id_from_the_query(server: Server, node: Node, transports: str):
    """`?client_id=` does the same as `auth.client_id`, and without a name the client_id is the name."""
    who = unique("grace")
    client = await node.connect(server.url, transports=transports, query={"client_id": who})
    welcome = await client.next("welcome")
    assert (welcome["client_id"], welcome["name"]) == (who, who)
    assert welcome["message"] == f"Welcome, {who}"


async def test_guests_get_a_name_each(server: Server, node: Node):
    """Who does not say a client_id is guest-xxxxxxxx, another one each time."""
    ids = set()
    for _ in range(3):
        client = await node.connect(server.url)
        welcome = await client.next("welcome")
        assert re.fullmatch(r"guest-[0-9a-z]{8}", welcome["client_id"]), welcome
        assert welcome["verified"] is False
        ids.add(welcome["client_id"])
    assert len(ids) == 3


async def test_numbers_of_connections(serve, node: Node):
    """`client_number` counts up for the life of the node, `total_connections` are those that live."""
    server = serve()
    seen = []
    clients = []
    for who in ("a", "b", "a"):
        client = await node.connect(server.url, auth={"client_id": who})
        clients.append(client)
        welcome = await client.next("welcome")
        seen.append((welcome["client_number"], welcome["total_connections"]))
    assert seen == [(1, 1), (2, 2), (3, 3)]
    clients[0].disconnect()
    await clients[0].until_disconnected()
    await clients[1].sync()
    late = await (await node.connect(server.url, auth={"client_id": "c"})).next("welcome")
    assert late["client_number"] == 4
    assert late["total_connections"] == 3


async def test_client_ids_are_normalised(server: Server, node: Node):
    """A decomposed client_id and its composed twin are one and the same (NFC)."""
    who = unique("Zoe\u0308")
    client = await node.connect(server.url, auth={"client_id": who, "name": "Zoe\u0308"})
    welcome = await client.next("welcome")
    assert welcome["client_id"] == who.replace("e\u0308", "\u00eb")
    assert welcome["name"] == "Zo\u00eb"


@pytest.mark.parametrize("field", ["client_id", "name"])
@pytest.mark.parametrize(
    "value",
    ["x" * 129, "a\nb", "a\u0000b", "\u202eabc", "a\u2066b", "\u007f", 42, ["a"], {"a": 1}, True],
    ids=repr,
)
async def test_bad_names_are_refused(server: Server, node: Node, field: str, value: object):
    """A client_id or name that is no name is refused with bad_request, and says which field it was."""
    refused = await node.open(server.url, auth={field: value}).until_refused()
    check_connect_error(refused.message, refused.data, "bad_request", reconnect=False)
    assert field in refused.data["message"]


@pytest.mark.parametrize("value", ["x" * 129, "a\nb", "a\u0000b", "\u202eabc"], ids=repr)
async def test_bad_names_in_the_query(server: Server, node: Node, transports: str, value: str):
    """The query is checked as `auth` is."""
    refused = await node.open(server.url, transports=transports, query={"client_id": value}).until_refused()
    check_connect_error(refused.message, refused.data, "bad_request", reconnect=False)
    assert "client_id" in refused.data["message"]


async def test_the_longest_name(server: Server, node: Node):
    """128 characters are a client_id, whatever they take in bytes."""
    who = ("\N{GRINNING FACE}" * 128)[: 128 - len(tail := unique("t"))] + tail
    client = await node.connect(server.url, auth={"client_id": who, "name": "\u00e9" * 128})
    welcome = await client.next("welcome")
    assert welcome["client_id"] == who
    assert welcome["name"] == "\u00e9" * 128


async def test_auth_may_carry_more(server: Server, node: Node):
    """Other keys in `auth` are for the application's own hook, and do not hinder."""
    client = await node.connect(
        server.url, auth={"client_id": unique("x"), "colour": "blue", "n": [1, {"a": 2}]}
    )
    await client.next("welcome")


@pytest.mark.parametrize("payload", ['"text"', "[1]", "true", "{", '{"client_id":'])
async def test_auth_that_is_no_object(server: Server, payload: str):
    """A CONNECT whose payload is no object never connects."""
    async with raw.engine(server.url) as bare:
        await bare.send("40" + payload)
        await bare.until_closed()
        assert not [frame for frame in bare.seen if str(frame).startswith(("40", "42"))]


async def test_two_namespaces_of_one_connection(server: Server, node: Node):
    """A namespace that nobody made is refused, and the main one lives on."""
    async with raw.client(server.url, unique("a")) as bare:
        answer = await bare.open_namespace({}, "/nowhere")
        assert answer.startswith("44/nowhere,"), answer
        assert (await bare.call("ping", {}))["pong"] is True


class TestAnnouncements:
    async def test_connections(self, serve, node: Node):
        """With announce.connections everybody hears who comes and who goes, and how many are there."""
        server = serve({"announce": {"connections": True}})
        witness = await node.connect(server.url, auth={"client_id": "witness"})
        await witness.sync()
        witness.unread("client_connected")
        guest = await node.connect(server.url, auth={"client_id": "bob", "name": "Bob"})
        came = check_event("client_connected", await witness.next("client_connected"))
        assert (came["client_id"], came["name"], came["total_connections"]) == ("bob", "Bob", 2)
        assert "Bob" in came["message"]
        guest.disconnect()
        went = check_event("client_disconnected", await witness.next("client_disconnected"))
        assert (went["client_id"], went["name"], went["total_connections"]) == ("bob", "Bob", 1)
        assert "Bob" in went["message"]
        await witness.none("client_connected", "client_disconnected")

    async def test_silent_by_default(self, serve, node: Node):
        """Without the setting nobody hears of connections."""
        server = serve()
        witness = await node.connect(server.url)
        guest = await node.connect(server.url)
        guest.disconnect()
        await guest.until_disconnected()
        await witness.none("client_connected", "client_disconnected")

    async def test_welcome_and_joins_off(self, serve, node: Node):
        """announce.welcome and announce.joins false: neither `welcome` nor `user_joined` nor `user_left` come."""
        server = serve({"announce": {"welcome": False, "joins": False}})
        witness = await node.member(server.url, "lobby", "witness")
        other = await node.member(server.url, "lobby", "other")
        check_ack("leave", await other.emit("leave", {"room": "lobby"}))
        await other.none("welcome")
        await witness.none("welcome", "user_joined", "user_left")


@pytest.fixture(scope="module")
def required(module_servers: Servers) -> Server:
    """A server that wants a token of everybody."""
    return module_servers.serve(
        {"auth": {"mode": "required", "jwt": {"secret": SECRET, "algorithms": ["HS256"]}}}
    )


@pytest.fixture(scope="module")
def optional(module_servers: Servers) -> Server:
    """A server that takes guests, too."""
    return module_servers.serve(
        {"auth": {"mode": "optional", "jwt": {"secret": SECRET, "algorithms": ["HS256"]}}}
    )


class TestTokens:
    async def test_a_good_one(self, required: Server, node: Node, transports: str):
        """A good token makes its `sub` the client_id, verified, whatever else the client claims to be."""
        exp = datetime.now(UTC).timestamp() + 600
        client = await node.connect(
            required.url,
            transports=transports,
            auth={"token": token("ada", name="Ada L."), "client_id": "somebody"},
        )
        welcome = check_event("welcome", await client.next("welcome"))
        assert welcome["client_id"] == "ada"
        assert welcome["name"] == "Ada L."
        assert welcome["verified"] is True
        assert welcome["message"] == "Welcome, Ada L."
        assert welcome["expires_at"].endswith("Z")
        assert abs(datetime.fromisoformat(welcome["expires_at"]).timestamp() - exp) < 5
        member = check_ack("join", await client.emit("join", {"room": unique("room")}))["members"][0]
        assert (member["client_id"], member["verified"]) == ("ada", True)

    async def test_in_the_query(self, required: Server, node: Node):
        """`?token=` does the same as `auth.token`."""
        client = await node.connect(required.url, query={"token": token("bob")})
        welcome = await client.next("welcome")
        assert (welcome["client_id"], welcome["verified"]) == ("bob", True)

    @pytest.mark.parametrize(
        "auth",
        [
            None,
            {},
            {"client_id": "ada"},
            {"token": ""},
            {"token": "garbage"},
            {"token": "a.b.c"},
            {"token": 42},
            {"token": {"sub": "ada"}},
            {"token": token("ada", secret="another-secret-of-more-than-thirty-two-bytes-in-all")},
            {"token": token("ada", algorithm="HS384")},
            {"token": token("guest:ada")},
            {"token": token("x" * 129)},
            {"token": token(None)},
            {"token": token("ada")[:-3]},
        ],
        ids=lambda auth: re.sub(r"(ey.{20}).*", r"\1", str(auth)),
    )
    async def test_a_bad_one(self, required: Server, node: Node, auth: dict | None):
        """No token, or one that does not hold, is refused as unauthorized."""
        refused = await node.open(required.url, auth=auth).until_refused()
        check_connect_error(refused.message, refused.data, "unauthorized", reconnect=False)

    async def test_unsigned(self, required: Server, node: Node):
        """Only configured algorithms count: `none` is nobody's signature."""
        unsigned = token("ada", secret="", algorithm="none")
        refused = await node.open(required.url, auth={"token": unsigned}).until_refused()
        check_connect_error(refused.message, refused.data, "unauthorized", reconnect=False)

    async def test_an_expired_one(self, required: Server, node: Node, transports: str):
        """An expired token is refused as token_expired."""
        client = node.open(required.url, transports=transports, auth={"token": token("ada", ttl=-3600)})
        refused = await client.until_refused()
        check_connect_error(refused.message, refused.data, "token_expired")

    async def test_nothing_before_the_token(self, required: Server, node: Node):
        """Who was refused receives nothing and can do nothing."""
        speaker = await node.connect(required.url, auth={"token": token("ada")})
        async with raw.engine(required.url) as bare:
            answer = await bare.open_namespace({"token": "garbage"})
            assert answer.startswith("44{"), answer
            check_ack("chat", await speaker.emit("chat", {"message": "to everybody"}))
            await bare.event("chat", {"message": "from nobody"}, ack=1)
            await speaker.next("chat")
            await speaker.none("chat")
            assert not [frame for frame in bare.seen if str(frame).startswith(("42", "43"))]

    async def test_optional_guest(self, optional: Server, node: Node):
        """In mode optional a client without a token is guest:…, and cannot choose to be a user."""
        client = await node.connect(optional.url, auth={"client_id": "ada"})
        welcome = check_event("welcome", await client.next("welcome"))
        assert welcome["client_id"].startswith("guest:"), welcome
        assert welcome["verified"] is False
        assert welcome["expires_at"] is None

    async def test_optional_user(self, optional: Server, node: Node):
        """In mode optional a good token verifies and a bad one is refused."""
        client = await node.connect(optional.url, auth={"token": token("ada")})
        welcome = await client.next("welcome")
        assert (welcome["client_id"], welcome["verified"]) == ("ada", True)
        check_timestamp(welcome["timestamp"])
        with pytest.raises(RefusedError) as refused:
            await node.connect(optional.url, auth={"token": "garbage"})
        check_connect_error(refused.value.message, refused.value.data, "unauthorized")

    async def test_the_secret_stays_secret(self, required: Server):
        """The log never shows the secret."""
        assert SECRET not in required.logs()
