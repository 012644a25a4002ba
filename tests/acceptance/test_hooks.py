"""`auth.hooks`: the operator's backend decides who comes in, joins and publishes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from .harness.backend import SECRET as HOOK_SECRET
from .harness.backend import Backend
from .harness.node_client import Node
from .harness.server import Server
from .harness.shapes import (
    SECRET,
    check_ack,
    check_connect_error,
    check_event,
    check_refusal,
    token,
    unique,
)


@pytest.fixture
def backend() -> Iterator[Backend]:
    """Allows everything until it is told otherwise."""
    backend = Backend()
    yield backend
    backend.close()


@pytest.fixture
def hooked(serve: Callable[..., Server], backend: Backend) -> Callable[..., Server]:
    """`hooked(kinds, **more)`: a server that asks the backend about these kinds of questions."""

    def start(*kinds: str, rooms: Any = None, **more: Any) -> Server:
        hooks = {kind: f"{backend.url}/{kind}" for kind in kinds} | {"secrets": [HOOK_SECRET], **more}
        auth = {"mode": "optional", "jwt": {"secret": SECRET}, "hooks": hooks}
        return serve({"auth": auth, "rooms": rooms or [{"match": "*"}], "announce": {"connections": True}})

    return start


class TestConnect:
    async def test_named_by_the_backend(self, hooked, backend: Backend, node: Node, transports: str):
        """The backend may say who a client is and which rooms it may join, as a token would."""
        server = hooked("connect", rooms=[{"match": "*", "join": "claim"}])
        backend.rules["connect"] = lambda data: {
            "allow": True, "client_id": data["auth"]["session"], "name": "Ada", "rooms": ["team-*"],
        }  # fmt: skip
        client = await node.connect(server.url, transports=transports, auth={"session": "ada", "name": "Eve"})
        welcome = check_event("welcome", await client.next("welcome"))
        assert (welcome["client_id"], welcome["name"], welcome["verified"]) == ("ada", "Ada", True)
        check_ack("join", await client.emit("join", {"room": "team-1"}))
        check_refusal(await client.emit("join", {"room": "other"}), "forbidden")

    async def test_what_it_is_told(self, hooked, backend: Backend, node: Node):
        """It is told what the token says and what else the client does, and never the token."""
        server = hooked("connect")
        given = token("ada", name="Ada")
        client = await node.connect(server.url, auth={"token": given, "colour": "blue"})
        assert (await client.next("welcome"))["client_id"] == "ada"
        (asked,) = backend.of("connect")
        assert asked == {
            "client_id": "ada", "user_id": "ada", "name": "Ada", "ip": "127.0.0.1", "auth": {"colour": "blue"},
        }  # fmt: skip
        assert given not in str(backend.asked)

    async def test_refused(self, hooked, backend: Backend, node: Node, transports: str):
        """Who is refused hears why, and leaves nothing behind; a bad token is refused without asking."""
        server = hooked("connect")
        witness = await node.connect(server.url)
        await witness.next("client_connected")
        backend.rules["connect"] = lambda _: {"allow": False, "reason": "members only"}
        client = node.open(server.url, transports=transports)
        refused = await client.until_refused()
        check_connect_error(refused.message, refused.data, "forbidden", reconnect=False)
        assert refused.data["message"] == "members only"
        assert client.events == []
        await witness.none("client_connected")
        asked = len(backend.asked)
        await node.open(server.url, auth={"token": "garbage"}).until_refused()
        assert len(backend.asked) == asked

    @pytest.mark.parametrize("on_error", ["allow", "deny"])
    async def test_no_answer(self, hooked, backend: Backend, node: Node, on_error: str):
        """When the backend fails the configuration decides: in as the token says, or to come back later."""
        server = hooked("connect", on_error=on_error)
        backend.status = 500
        client = node.open(server.url, auth={"token": token("ada")})
        if on_error == "allow":
            assert (await client.next("welcome"))["client_id"] == "ada"
        else:
            refused = await client.until_refused()
            check_connect_error(refused.message, refused.data, "server_error", reconnect=True)


class TestJoin:
    async def test_rooms(self, hooked, backend: Backend, node: Node):
        """The backend decides on top of the policies, for joining and for looking in from outside."""
        server = hooked("join")
        backend.rules["join"] = lambda data: {"allow": data["room"].startswith("open"), "reason": "closed"}
        client = await node.connect(server.url)
        for event in ("join", "presence", "history"):
            error = check_refusal(await client.emit(event, {"room": "closed-1"}), "forbidden")
            assert error["message"] == "closed"
        check_ack("join", await client.emit("join", {"room": "open-1"}))
        check_ack("presence", await client.emit("presence", {"room": "open-1"}))

    async def test_not_asked_twice(self, hooked, backend: Backend, node: Node):
        """The same question within a short time is asked once, and not at all where the policy says no already."""
        server = hooked("join", rooms=[{"match": "shut", "join": "nobody"}, {"match": "*"}], cache="60s")
        client = await node.connect(server.url)
        for _ in range(3):
            check_ack("join", await client.emit("join", {"room": "a"}))
            check_ack("leave", await client.emit("leave", {"room": "a"}))
        check_refusal(await client.emit("join", {"room": "shut"}), "forbidden")
        assert [data["room"] for data in backend.of("join")] == ["a"]

    async def test_limits_hold_while_it_thinks(self, hooked, backend: Backend, node: Node):
        """A room does not overflow because several are being asked about at the same moment."""
        server = hooked("join", rooms=[{"match": "*", "max_members": 1}])
        clients = [await node.connect(server.url) for _ in range(5)]
        futures = [client.start("join", {"room": "small"}) for client in clients]
        acks = [
            (await client.awaited(future, "join"))[0] for client, future in zip(clients, futures, strict=True)
        ]
        assert [ack["ok"] for ack in acks].count(True) == 1


class TestPublish:
    async def test_other_data(self, hooked, backend: Backend, node: Node):
        """The backend may replace a message's data, refuse it, or leave it as it is; each message is asked about."""
        server = hooked("publish")
        room = unique("r")
        ada, bob = [await node.connect(server.url) for _ in range(2)]
        for who in (ada, bob):
            check_ack("join", await who.emit("join", {"room": room}))
        backend.rules["publish"] = lambda data: (
            {"allow": False, "reason": "mind your language"}
            if data["message"] == "damn"
            else {"allow": True, **({"data": {"clean": True}} if "data" in data else {})}
        )
        check_ack(
            "chat", await ada.emit("chat", {"room": room, "message": "a", "data": {"html": "<script>"}})
        )
        check_ack("broadcast", await ada.emit("broadcast", {"room": room, "message": "b"}))
        error = check_refusal(await ada.emit("chat", {"room": room, "message": "damn"}), "forbidden")
        assert error["message"] == "mind your language"
        check_ack("chat", await ada.emit("chat", {"room": room, "message": "c"}))
        assert [message.get("data") for message in await bob.take("chat", 2)] == [{"clean": True}, None]
        assert "data" not in await bob.next("broadcast")
        assert [data["message"] for data in backend.of("publish")] == ["a", "b", "damn", "c"]

    async def test_one_clients_order(self, hooked, backend: Backend, node: Node):
        """A client's messages arrive in the order in which it sent them, however long the backend takes."""
        server = hooked("publish")
        ada, bob = [await node.connect(server.url) for _ in range(2)]
        ada.burst("chat", 50, "n")
        assert [message["message"] for message in await bob.take("chat", 50)] == [f"n{n}" for n in range(50)]

    async def test_gone_meanwhile(self, hooked, backend: Backend, node: Node):
        """What a client wanted to say is not said when it left before the backend had an opinion."""
        # More time than a client that was cut is held for.
        server = hooked("publish", timeout="30s")
        ada, bob = [await node.connect(server.url) for _ in range(2)]

        def leave_first(data: dict[str, Any]) -> dict[str, Any]:
            ada.lose()
            gone.wait(10)
            return {"allow": True}

        gone = threading.Event()
        backend.rules["publish"] = leave_first
        ada.send("chat", {"message": "last words"})
        await bob.next("client_disconnected")
        gone.set()
        backend.rules.clear()
        check_ack("chat", await bob.emit("chat", {"message": "mine"}))
        assert (await bob.next("chat"))["message"] == "mine"
        await bob.none("chat")
