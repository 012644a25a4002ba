"""`message`, what `socket.send(x)` emits, and events that do not exist (CONTRACT section 4)."""

from __future__ import annotations

import json

import pytest

from .harness.node_client import Node
from .harness.server import Server
from .harness.shapes import check_ack, check_error_event, check_event, check_refusal, unique

KEYS = pytest.mark.parametrize("key", ["message_type", "type"])
FORMS = pytest.mark.parametrize("form", [lambda x: x, json.dumps], ids=["object", "text"])


@KEYS
@FORMS
async def test_every_event_through_message(server: Server, node: Node, transports: str, key: str, form):
    """An object with message_type (or type), or its JSON text, is answered and acts as that event."""
    room, who = unique("lobby"), unique("ada")
    ada = await node.connect(server.url, transports=transports, auth={"client_id": who})
    bob = await node.member(server.url, room, unique("bob"))

    async def ask(event: str, **fields: object) -> dict:
        return check_ack(event, await ada.emit("message", form({key: event, **fields})))

    assert (await ask("join", room=room))["room"] == room
    assert (await bob.next("user_joined"))["client_id"] == who
    chat = await ask("chat", room=room, message="hi", data={"a": 1})
    got = check_event("chat", await bob.next("chat"))
    assert (got["id"], got["message"], got["data"]) == (chat["id"], "hi", {"a": 1})
    await ask("broadcast", room=room, message="hear")
    assert (await bob.next("broadcast"))["message"] == "hear"
    await ask("private", to=who, message="psst")
    assert (await ada.next("private"))["message"] == "psst"
    await ask("typing", room=room, is_typing=True)
    assert (await bob.next("user_typing"))["is_typing"] is True
    await ask("ping")
    assert (await ask("presence", room=room))["count"] == 2
    assert room in (await ask("rooms"))["rooms"]
    await ask("leave", room=room)
    assert (await bob.next("user_left"))["client_id"] == who
    await ada.none("error", "message")


@FORMS
async def test_a_missing_type_means_chat(server: Server, node: Node, form):
    """An object without a type is a chat."""
    room = unique("lobby")
    ada = await node.member(server.url, room, unique("ada"))
    ack = check_ack("chat", await ada.emit("message", form({"room": room, "message": "hi"})))
    assert (await ada.next("chat"))["id"] == ack["id"]


@pytest.mark.parametrize(
    "text",
    [
        "hello",
        "h\u00e9llo \N{GRINNING FACE}",
        "{not json",
        "[1, 2",
        "42",
        "-1.5e3",
        "true",
        "null",
        '"quoted"',
        "NaN",
        " ",
    ],
)
async def test_text_is_a_broadcast(serve_once: Server, node: Node, transports: str, text: str):
    """Text that is not JSON, or is a JSON scalar, is a broadcast to everybody of that very text."""
    ada = await node.connect(serve_once.url, transports=transports, auth={"client_id": unique("ada")})
    bob = await node.connect(serve_once.url)
    ack = check_ack("broadcast", await ada.emit("message", text))
    for client in (ada, bob):
        got = check_event("broadcast", await client.next("broadcast"))
        assert (got["id"], got["message"], got["room"]) == (ack["id"], text, None)
        assert "data" not in got
    ada.send("message", text + "!")
    assert (await bob.next("broadcast"))["message"] == text + "!"


@pytest.fixture(scope="module")
def serve_once(module_servers) -> Server:
    """A server of their own for tests that speak to everybody."""
    return module_servers.serve()


@KEYS
@FORMS
@pytest.mark.parametrize("event", ["nonsense", "welcome", "on_connect", "__init__", "Chat", "user_left"])
async def test_a_type_that_does_not_exist(server: Server, node: Node, key: str, form, event: str):
    """A type that is no event of a client is unknown_event."""
    ada = await node.connect(server.url)
    check_refusal(await ada.emit("message", form({key: event, "message": "x"})), "unknown_event")
    await ada.none("chat", "broadcast")


@KEYS
@FORMS
async def test_no_message_in_a_message(server: Server, node: Node, key: str, form):
    """`message` does not carry another `message`."""
    ada = await node.connect(server.url)
    ack = await ada.emit("message", form({key: "message", "message": "x"}))
    check_refusal(ack, ack["error"]["reason"])
    assert ack["error"]["reason"] in ("bad_request", "unknown_event")
    await ada.none("chat", "broadcast", "error")


@KEYS
@FORMS
@pytest.mark.parametrize("event", ["connect", "disconnect", "connect_error", "disconnecting", "newListener"])
async def test_reserved_types(server: Server, node: Node, key: str, form, event: str):
    """Names that Socket.IO reserves are not reached through `message` either."""
    room = unique("lobby")
    witness = await node.member(server.url, room, unique("w"))
    ada = await node.member(server.url, room, unique("ada"))
    await witness.next("user_joined")
    future = ada.start("message", form({key: event, "message": "x", "reason": "y"}))
    await ada.until(lambda: future.done() or ada.disconnected is not None, "an answer or an end")
    if ada.disconnected is None:
        check_refusal(future.result()[0], "unknown_event")
        await ada.sync()
        await witness.none("user_left", "user_joined")


@KEYS
@pytest.mark.parametrize("value", [5, True, ["chat"], {"a": 1}], ids=repr)
async def test_a_type_that_is_no_name(server: Server, node: Node, key: str, value: object):
    """A type that is not text is a bad_request that names the field."""
    ada = await node.connect(server.url)
    check_refusal(await ada.emit("message", {key: value, "message": "x"}), "bad_request", key)
    await ada.none("chat", "broadcast")


@FORMS
async def test_routed_events_are_checked(server: Server, node: Node, form):
    """What is wrong in a routed event is named as in the event itself."""
    ada = await node.connect(server.url)
    check_refusal(await ada.emit("message", form({"type": "join"})), "bad_request", "room")
    check_refusal(await ada.emit("message", form({"type": "chat", "message": 5})), "bad_request", "message")
    check_refusal(await ada.emit("message", form({"message": "x", "colour": "red"})), "bad_request", "colour")
    check_refusal(await ada.emit("message", form({"room": "x"})), "bad_request", "message")


@pytest.mark.parametrize("payload", [b"\x00\x01", [1, 2], ["chat", {"message": "x"}]], ids=repr)
async def test_neither_object_nor_text(server: Server, node: Node, payload: object):
    """`message` takes an object or text; anything else is a bad_request."""
    ada = await node.connect(server.url)
    check_refusal(await ada.emit("message", payload), "bad_request")
    await ada.none("chat", "broadcast")


async def test_message_without_anything(server: Server, node: Node):
    """`message` without a payload is a bad_request."""
    ada = await node.connect(server.url)
    check_refusal(await ada.emit("message"), "bad_request")


@pytest.mark.parametrize(
    "event",
    [
        "nonsense",
        "CHAT",
        "chat ",
        "",
        "welcome",
        "user_joined",
        "pong",
        "error",
        "__class__",
        "on_connect",
        "a" * 500,
    ],
)
async def test_unknown_events(server: Server, node: Node, transports: str, event: str):
    """An event that does not exist is unknown_event: in the ack, or as one `error` without one."""
    ada = await node.connect(server.url, transports=transports)
    check_refusal(await ada.emit(event, {"message": "x"}), "unknown_event")
    ada.send(event, {"message": "x"})
    error = check_event("error", await ada.next("error"))
    assert error["reason"] == "unknown_event"
    assert error["event"] == event[:128] or error["event"] == event
    await ada.none("error")


async def test_errors_without_an_ack(server: Server, node: Node, transports: str):
    """Without an ack every refusal arrives as one `error` that says of which event."""
    ada = await node.connect(server.url, transports=transports)
    for event, payload, reason in (
        ("join", {}, "bad_request"),
        ("leave", {"room": unique("r")}, "not_a_member"),
        ("typing", {"room": unique("r"), "is_typing": True}, "not_a_member"),
        ("private", {"to": unique("p"), "message": "x"}, "not_found"),
        ("chat", {"message": 5}, "bad_request"),
        ("broadcast", "text", "bad_request"),
        ("presence", {"room": ""}, "bad_request"),
    ):
        ada.send(event, payload)
        check_error_event(await ada.next("error"), reason, event)
        await ada.none("error")


async def test_an_ack_takes_the_error(server: Server, node: Node):
    """With an ack there is no `error` besides."""
    ada = await node.connect(server.url)
    check_refusal(await ada.emit("join", {}), "bad_request", "room")
    await ada.none("error")
