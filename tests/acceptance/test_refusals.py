"""Who is refused has received nothing, joined nothing, and left nothing behind: on the wire, and in `/metrics`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from .harness import raw
from .harness.backend import SECRET as HOOK_SECRET
from .harness.backend import Backend
from .harness.metrics import changes, scraped
from .harness.node_client import Node, NodeClient, until
from .harness.server import Server, Servers
from .harness.shapes import SECRET, check_connect_error, token, unique
from .test_revocation import KEY, revoke
from .test_strangers import UPGRADE

ROOM = "lobby"
JWT = {"secret": SECRET, "algorithms": ["HS256"]}
ANNOUNCED = ("user_joined", "user_left", "client_connected", "client_disconnected")
LOUD = {"connections": True}
GUARDED: dict[str, Any] = {"auth": {"mode": "required", "jwt": JWT}, "api": {"keys": [KEY]}, "announce": LOUD}


@pytest.fixture(scope="module")
def guarded(module_servers: Servers) -> Server:
    """A server that wants tokens."""
    return module_servers.serve(GUARDED)


@pytest.fixture
def backend() -> Iterator[Backend]:
    """Refuses everybody but the witness."""
    backend = Backend()
    backend.rules["connect"] = lambda data: {
        "allow": data["client_id"] == "witness",
        "reason": "members only",
    }
    yield backend
    backend.close()


class Watch:
    """Compares what is there before and after a refusal, with a witness who hears everything."""

    def __init__(self, server: Server, witness: NodeClient) -> None:
        self.server = server
        self.witness = witness
        self.before: dict[tuple[str, str], float] = {}

    @classmethod
    async def begin(cls, server: Server, node: Node, **auth: Any) -> Watch:
        """With a witness in the room, who said something that a newcomer could find."""
        witness = await node.connect(server.url, auth=auth or {"client_id": "witness"})
        assert (await witness.emit("join", {"room": ROOM}))["ok"]
        assert (await witness.emit("broadcast", {"room": ROOM, "message": "for members"}))["ok"]
        watch = cls(server, witness)
        await watch.settle()
        return watch

    async def settle(self) -> None:
        """Wait until there is nobody on the server but the witness."""

        async def sessions() -> dict[tuple[str, str], float]:
            return await scraped(self.server.url)

        await until(sessions, lambda now: now["sessions", ""] == now["members", ""] == 1)
        await self.witness.sync()
        self.announced()
        self.before = await scraped(self.server.url)

    def announced(self) -> list[Any]:
        """What the witness was told of who came and went since it was asked last."""
        return [told for event in ANNOUNCED for told in self.witness.unread(event)]

    async def check(self, reason: str, refusals: int = 1) -> None:
        """Nothing is there that was not there before, and the refusal was counted, under its reason alone."""
        assert (await self.witness.emit("broadcast", {"message": "for everybody"}))["ok"]

        async def now() -> dict[tuple[str, str], float]:
            return changes(self.before, await scraped(self.server.url))

        # The line of who was refused lingers for a moment, so that it hears why.
        changed = await until(now, lambda found: not found.get(("sessions", ""), 0))
        ours = {
            ("events_total", "broadcast"): 1,
            ("messages_total", "broadcast"): 1,
            ("deliveries_total", ""): 1,
        }
        assert changed == {**ours, ("refused_total", reason): refusals}
        await self.witness.sync()
        assert self.announced() == []
        presence = await self.witness.emit("presence", {"room": ROOM})
        assert presence["count"] == 1


async def check_wire(url: str, auth: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Connect by hand, and go on as if nothing were; return the refusal, which is all that is ever heard."""
    async with raw.engine(url, **more) as line:
        answer = await line.open_namespace(auth)
        assert answer.startswith("44{"), answer
        await asyncio.sleep(0)
        heard = len(line.seen)
        await line.until_closed()
        assert [frame for frame in line.seen[heard:] if frame not in ("1", "41")] == []
        # What came before it is the opening alone.
        assert len(line.seen) == heard == 2, line.seen
        return json.loads(answer[2:])


TOKENS: dict[str, tuple[Callable[[], Any], str]] = {
    "none": (lambda: None, "unauthorized"),
    "garbage": (lambda: "garbage", "unauthorized"),
    "not a string": (lambda: {"$ne": 1}, "unauthorized"),
    "forged": (lambda: token("eve", secret="x" * 64), "unauthorized"),
    "for later": (lambda: token("eve", nbf=4_000_000_000), "unauthorized"),
    "expired": (lambda: token("eve", ttl=-60), "token_expired"),
    "a guest's name": (lambda: token("guest:eve"), "unauthorized"),
    "a name that deceives": (lambda: token("e\u202eve"), "unauthorized"),
}


class TestTokens:
    """By `auth.jwt`."""

    @pytest.mark.parametrize("kind", TOKENS)
    async def test_bad_tokens(self, guarded: Server, node: Node, kind: str):
        """Whatever is wrong with a token, its bearer hears the refusal and nothing else, and was never there."""
        make, reason = TOKENS[kind]
        watch = await Watch.begin(guarded, node, token=token(unique("witness")))
        error = await check_wire(guarded.url, {"token": make()})
        check_connect_error(error["message"], error["data"], reason)
        await watch.check(reason)

    @pytest.mark.parametrize("kind", ["garbage", "expired"])
    async def test_real_clients(self, guarded: Server, node: Node, transports: str, kind: str):
        """The same for socket.io-client over every transport, which has nothing but its connect_error."""
        make, reason = TOKENS[kind]
        watch = await Watch.begin(guarded, node, token=token(unique("witness")))
        client = node.open(guarded.url, transports=transports, auth={"token": make()})
        refused = await client.until_refused()
        check_connect_error(refused.message, refused.data, reason)
        await watch.check(reason)
        assert client.events == []

    async def test_in_the_query(self, guarded: Server, node: Node):
        """A token in the query is refused as one in the payload is."""
        watch = await Watch.begin(guarded, node, token=token(unique("witness")))
        error = await check_wire(guarded.url, {}, query={"token": "garbage"})
        check_connect_error(error["message"], error["data"], "unauthorized")
        await watch.check("unauthorized")

    async def test_revoked(self, guarded: Server, node: Node):
        """A token that was called back is refused so."""
        watch = await Watch.begin(guarded, node, token=token(unique("witness")))
        user = unique("eve")
        assert (await revoke(guarded, user=user)).status_code == 200
        error = await check_wire(guarded.url, {"token": token(user)})
        check_connect_error(error["message"], error["data"], "token_revoked")
        await watch.check("token_revoked")


class TestLimits:
    """By `limits.connections`."""

    @pytest.mark.parametrize(
        ("limit", "auth"),
        [
            ("total", {"client_id": "eve"}),
            ("per_user", {"client_id": "witness"}),
            ("per_ip", {"client_id": "eve"}),
        ],
    )
    async def test_counts(self, serve, node: Node, limit: str, auth: dict[str, str]):
        """One connection too many, in total, of a user, or from an address; it takes no place when there is one."""
        server = serve({"limits": {"connections": {limit: 1}}, "announce": LOUD})
        watch = await Watch.begin(server, node)
        error = await check_wire(server.url, auth)
        check_connect_error(error["message"], error["data"], "too_many_connections")
        await watch.check("too_many_connections")
        watch.witness.disconnect()
        await until(lambda: scraped(server.url), lambda now: now["connections", ""] == 0)
        await node.connect(server.url, auth=auth)

    @pytest.mark.parametrize("transport", ["polling", "websocket"])
    async def test_accept_rate(self, serve, node: Node, transport: str):
        """One that comes too soon after another has no session even."""
        server = serve({"limits": {"connections": {"accept_rate": 0.01}}, "announce": LOUD})
        watch = await Watch.begin(server, node)
        assert await status(server.url, transport) == 503
        await watch.check("accept_rate")


async def status(url: str, transport: str, **headers: str) -> int:
    """The HTTP status of a handshake that is refused."""
    if transport == "polling":
        async with raw.http(url) as web:
            params = {"EIO": "4", "transport": "polling"}
            return (await web.get(raw.PATH, params=params, headers=headers)).status_code
    with pytest.raises(InvalidStatus) as caught:
        async with raw.engine(url, headers=headers):
            pass
    return caught.value.response.status_code


class TestHandshake:
    """Before there is a session."""

    @pytest.mark.parametrize("transport", ["polling", "websocket"])
    async def test_origin(self, server: Server, node: Node, transport: str, serve):
        """A page of a foreign origin."""
        own = serve({"announce": LOUD})
        watch = await Watch.begin(own, node)
        assert await status(own.url, transport, Origin="https://evil.example") == 403
        await watch.check("origin")

    @pytest.mark.parametrize("transport", ["polling", "websocket"])
    async def test_host(self, serve, node: Node, transport: str):
        """A request under a foreign name."""
        own = serve({"announce": LOUD})
        watch = await Watch.begin(own, node)
        if transport == "polling":
            assert await status(own.url, transport, Host="evil.example") == 403
        else:
            reader, writer = await asyncio.open_connection("127.0.0.1", own.port)
            head = "".join(
                f"{name}: {value}\r\n" for name, value in {"Host": "evil.example", **UPGRADE}.items()
            )
            writer.write(f"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n{head}\r\n".encode())
            assert (await reader.readline()).split()[1] == b"403"
            writer.close()
        await watch.check("host")

    @pytest.mark.parametrize("query", [{"EIO": "3"}, {"transport": "smoke"}, {"transport": ""}])
    async def test_no_handshake(self, serve, node: Node, query: dict[str, str]):
        """One that speaks another protocol."""
        own = serve({"announce": LOUD})
        watch = await Watch.begin(own, node)
        async with raw.http(own.url) as web:
            answer = await web.get(raw.PATH, params={"EIO": "4", "transport": "polling", **query})
        assert answer.status_code == 400
        await watch.check("bad_handshake")

    async def test_silence(self, serve, node: Node):
        """One that never says who it is."""
        own = serve({"announce": LOUD, "engine": {"connect_timeout": "300ms"}})
        watch = await Watch.begin(own, node)
        async with raw.engine(own.url) as line:
            assert await line.until_closed() == 4017
            assert len(line.seen) == 1
        await watch.check("handshake_timeout")


class TestConnect:
    """With a session, by what it says."""

    async def test_hook(self, serve, node: Node, backend: Backend):
        """Whom the backend does not want."""
        hooks = {"connect": f"{backend.url}/connect", "secrets": [HOOK_SECRET]}
        own = serve({"auth": {"mode": "optional", "jwt": JWT, "hooks": hooks}, "announce": LOUD})
        watch = await Watch.begin(own, node, token=token("witness"))
        error = await check_wire(own.url, {"token": token("eve")})
        check_connect_error(error["message"], error["data"], "forbidden")
        await watch.check("forbidden")

    async def test_hook_is_down(self, serve, node: Node, backend: Backend):
        """Whom the backend cannot be asked about."""
        hooks = {"connect": f"{backend.url}/connect", "secrets": [HOOK_SECRET]}
        own = serve({"auth": {"mode": "optional", "jwt": JWT, "hooks": hooks}, "announce": LOUD})
        watch = await Watch.begin(own, node, token=token("witness"))
        backend.status = 500
        error = await check_wire(own.url, {"token": token("eve")})
        check_connect_error(error["message"], error["data"], "server_error", reconnect=True)
        await watch.check("server_error")

    @pytest.mark.parametrize(
        "name",
        [
            "e\u202eve",
            "\u200bwitness",
            "witness\u2060",
            "a\x00",
            "x" * 129,
            " ",
            "wit\u00adness",
            5,
            ["witness"],
        ],
        ids=ascii,
    )
    async def test_names(self, serve, node: Node, name: Any):
        """A name that deceives, or is none."""
        own = serve({"announce": LOUD})
        watch = await Watch.begin(own, node)
        for auth in ({"client_id": name}, {"client_id": "eve", "name": name}):
            error = await check_wire(own.url, auth)
            check_connect_error(error["message"], error["data"], "bad_request")
        await watch.check("bad_request", refusals=2)

    async def test_namespace(self, serve, node: Node):
        """One that asks for a namespace that is not there."""
        own = serve({"announce": LOUD})
        watch = await Watch.begin(own, node)
        async with raw.engine(own.url) as line:
            answer = await line.open_namespace({}, "/admin")
            assert answer.startswith("44/admin,")
            await line.until_closed()
        await watch.check("namespace")

    @pytest.mark.parametrize("frame", ['42["chat",{"message":"x"}]', "4x", "9", "", "40{", '42["connect"]'])
    async def test_malformed(self, serve, node: Node, frame: str):
        """One that speaks before it is let in, or nonsense."""
        own = serve({"announce": LOUD})
        watch = await Watch.begin(own, node)
        async with raw.engine(own.url) as line:
            await line.send(frame)
            await line.until_closed()
            assert len(line.seen) == 1
        await watch.check("malformed")


async def test_events(serve, node: Node):
    """A refused event is heard by nobody, changes nothing, and is counted once by its reason."""
    rooms = [{"match": "shut", "join": "nobody", "publish": "nobody"}, {"match": "*"}]
    own = serve(
        {"announce": LOUD, "rooms": rooms, "limits": {"events": {"typing": {"messages": 1, "per": "1h"}}}}
    )
    watch = await Watch.begin(own, node)
    for event, payload, reason in (
        ("join", {"room": "shut"}, "forbidden"),
        ("chat", {"room": "shut", "message": "x"}, "forbidden"),
        ("chat", {"room": "elsewhere", "message": "x"}, "not_a_member"),
        ("chat", {"message": "x", "colour": "red"}, "bad_request"),
        ("chat", {"message": "x" * 70_000}, "message_too_large"),
        ("private", {"to": "nobody", "message": "x"}, "not_found"),
        ("nonsense", {}, "unknown_event"),
    ):
        before = await scraped(own.url)
        for ack in (True, False):
            if ack:
                assert (await watch.witness.emit(event, payload))["error"]["reason"] == reason
            else:
                watch.witness.send(event, payload)
                assert (await watch.witness.next("error"))["reason"] == reason
        name = event if event != "nonsense" else "other"
        changed = changes(before, await scraped(own.url))
        assert changed == {("events_total", name): 2, ("refused_total", reason): 2}, event


async def test_api(serve, node: Node):
    """A backend without a key is refused, counted, and changes nothing; /metrics stays open unless it is closed."""
    own = serve(GUARDED)
    closed = serve({**GUARDED, "metrics": {"require_key": True}})
    before = await scraped(own.url)
    assert (await revoke(own, key="guessed", user="ada")).status_code == 401
    assert changes(before, await scraped(own.url)) == {("refused_total", "unauthorized"): 1}
    async with httpx.AsyncClient(trust_env=False) as http:
        assert (await http.get(f"{closed.url}/metrics")).status_code == 401
    assert (await scraped(closed.url, KEY))["refused_total", "unauthorized"] == 1
