"""Bad input: one bad_request that names the field, and the connection lives on."""

from __future__ import annotations

import pytest

from .harness import raw
from .harness.node_client import Node
from .harness.server import Server
from .harness.shapes import check_ack, check_error_event, check_refusal, unique

BAD: list[tuple[str, object, str]] = [
    # missing
    ("join", {}, "room"),
    ("leave", {}, "room"),
    ("presence", {}, "room"),
    ("chat", {}, "message"),
    ("chat", {"room": "x"}, "message"),
    ("broadcast", {"data": 1}, "message"),
    ("private", {"message": "x"}, "to"),
    ("private", {"to": "x"}, "message"),
    ("typing", {"is_typing": True}, "room"),
    ("typing", {"room": "x"}, "is_typing"),
    # unknown
    ("join", {"room": "x", "colour": "red"}, "colour"),
    ("leave", {"room": "x", "reason": "bored"}, "reason"),
    ("chat", {"message": "x", "rooom": "lobby"}, "rooom"),
    ("chat", {"message": "x", "sender": "the pope"}, "sender"),
    ("chat", {"message": "x", "offset": 5}, "offset"),
    ("broadcast", {"message": "x", "to": "bob"}, "to"),
    ("private", {"to": "x", "message": "x", "room": "lobby"}, "room"),
    ("private", {"to": "x", "message": "x", "echo": False}, "echo"),
    ("typing", {"room": "x", "is_typing": True, "client_id": "bob"}, "client_id"),
    ("presence", {"room": "x", "colour": 1}, "colour"),
    ("rooms", {"room": "x"}, "room"),
    ("chat", {"message": "x", "__proto__": {"a": 1}}, "__proto__"),
    ("chat", {"message": "x", "__class__": "y"}, "__class__"),
    # of the wrong type
    ("join", {"room": 5}, "room"),
    ("join", {"room": True}, "room"),
    ("join", {"room": ["x"]}, "room"),
    ("join", {"room": {"x": 1}}, "room"),
    ("join", {"room": None}, "room"),
    ("join", {"room": "x", "history": "many"}, "history"),
    ("join", {"room": "x", "history": -1}, "history"),
    ("join", {"room": "x", "history": 1.5}, "history"),
    ("join", {"room": "x", "history": True}, "history"),
    ("join", {"room": "x", "history": "5"}, "history"),
    ("join", {"room": "x", "since": "now"}, "since"),
    ("join", {"room": "x", "since": -1}, "since"),
    ("join", {"room": "x", "since": [1]}, "since"),
    ("chat", {"message": 5}, "message"),
    ("chat", {"message": None}, "message"),
    ("chat", {"message": ["x"]}, "message"),
    ("chat", {"message": {"text": "x"}}, "message"),
    ("chat", {"message": True}, "message"),
    ("chat", {"message": "x", "room": 5}, "room"),
    ("chat", {"message": "x", "room": []}, "room"),
    ("chat", {"message": "x", "room": ["a", "b"]}, "room"),
    ("chat", {"message": "x", "room": {}}, "room"),
    ("chat", {"message": "x", "room": False}, "room"),
    ("chat", {"message": "x", "echo": "yes"}, "echo"),
    ("chat", {"message": "x", "echo": 1}, "echo"),
    ("chat", {"message": "x", "echo": 0}, "echo"),
    ("chat", {"message": "x", "echo": {}}, "echo"),
    ("broadcast", {"message": 5}, "message"),
    ("broadcast", {"message": "x", "room": []}, "room"),
    ("broadcast", {"message": "x", "echo": "false"}, "echo"),
    ("private", {"to": 5, "message": "x"}, "to"),
    ("private", {"to": [], "message": "x"}, "to"),
    ("private", {"to": ["a", "b"], "message": "x"}, "to"),
    ("private", {"to": None, "message": "x"}, "to"),
    ("private", {"to": "x", "message": []}, "message"),
    ("typing", {"room": "x", "is_typing": "yes"}, "is_typing"),
    ("typing", {"room": "x", "is_typing": 1}, "is_typing"),
    ("typing", {"room": "x", "is_typing": None}, "is_typing"),
    ("presence", {"room": 5}, "room"),
]


@pytest.mark.parametrize(
    ("event", "payload", "field"), BAD, ids=[f"{event}-{payload}" for event, payload, _ in BAD]
)
async def test_bad_fields(server: Server, node: Node, event: str, payload: object, field: str):
    """A missing, unknown or mistyped field is one bad_request that names it; nobody gets anything of it."""
    witness = await node.connect(server.url, auth={"client_id": unique("w")})
    client = await node.connect(server.url)
    check_refusal(await client.emit(event, payload), "bad_request", field)
    client.send(event, payload)
    check_error_event(await client.next("error"), "bad_request", event, field)
    await client.none("error", "chat", "broadcast", "private")
    await witness.none("chat", "broadcast", "private", "user_typing")


@pytest.mark.parametrize("event", ["join", "leave", "chat", "broadcast", "private", "typing", "presence"])
@pytest.mark.parametrize(
    "args", [[], [None], ["text"], [5], [True], [[]], [[{"room": "x"}]], [b"\x00"]], ids=repr
)
async def test_payloads_that_are_no_object(server: Server, node: Node, event: str, args: list):
    """An event without its object is a bad_request."""
    client = await node.connect(server.url)
    check_refusal(await client.emit(event, *args), "bad_request")
    await client.none("error", "chat", "broadcast", "private")


async def test_several_mistakes_at_once(server: Server, node: Node):
    """Several mistakes are one answer."""
    client = await node.connect(server.url)
    payload = {"message": 5, "room": [], "echo": "x", "colour": 1}
    check_refusal(await client.emit("chat", payload), "bad_request")
    client.send("chat", payload)
    await client.next("error")
    await client.none("error")


ROOM_EVENTS = [
    ("join", {}),
    ("leave", {}),
    ("presence", {}),
    ("chat", {"message": "x"}),
    ("broadcast", {"message": "x"}),
    ("typing", {"is_typing": True}),
]
BAD_NAMES = {
    "empty": "",
    "too long": "x" * 129,
    "too long in characters": "\N{GRINNING FACE}" * 129,
    "much too long": "x" * 5000,
    "newline": "a\nb",
    "tab": "a\tb",
    "nul": "a\u0000b",
    "delete": "a\u007f",
    "c1": "a\u0085",
    "right-to-left override": "\u202eabc",
    "isolate": "a\u2066b\u2069",
    "right-to-left mark": "a\u200fb",
    "arabic letter mark": "a\u061cb",
}


@pytest.mark.parametrize("name", BAD_NAMES.values(), ids=BAD_NAMES)
@pytest.mark.parametrize(("event", "more"), ROOM_EVENTS, ids=[event for event, _ in ROOM_EVENTS])
async def test_bad_room_names(server: Server, node: Node, event: str, more: dict, name: str):
    """A room name that is empty, too long or has control or bidi characters is a bad_request about `room`."""
    client = await node.connect(server.url)
    check_refusal(await client.emit(event, {"room": name, **more}), "bad_request", "room")
    await client.none("chat", "broadcast", "error")


@pytest.mark.parametrize("name", BAD_NAMES.values(), ids=BAD_NAMES)
async def test_bad_recipients(server: Server, node: Node, name: str):
    """The same goes for `to`."""
    client = await node.connect(server.url)
    check_refusal(await client.emit("private", {"to": name, "message": "x"}), "bad_request", "to")


@pytest.mark.parametrize(
    "name",
    [
        "x" * 128,
        "\N{GRINNING FACE}" * 128,
        "e\u0301" * 128,
        "a b",
        "\u65e5\u672c\u8a9e",
        "x/y:z*?[",
        "'\"<>&",
        "0",
        "null",
    ],
)
async def test_good_room_names(server: Server, node: Node, name: str):
    """Up to 128 characters of any script are a name."""
    client = await node.connect(server.url)
    room = check_ack("join", await client.emit("join", {"room": name}))["room"]
    ack = check_ack("broadcast", await client.emit("broadcast", {"room": name, "message": "x"}))
    assert ack["recipients"] == 1
    assert (await client.next("broadcast"))["room"] == room
    check_ack("leave", await client.emit("leave", {"room": name}))


async def test_names_are_normalised(server: Server, node: Node):
    """Composed and decomposed spellings are one room and one client_id (NFC)."""
    tail = unique("x")
    composed, decomposed = f"Caf\u00e9-{tail}", f"Cafe\u0301-{tail}"
    ada = await node.member(server.url, composed, composed)
    bob = await node.connect(server.url)
    ack = check_ack("join", await bob.emit("join", {"room": decomposed}))
    assert (ack["room"], ack["count"]) == (composed, 2)
    check_ack("chat", await bob.emit("chat", {"room": decomposed, "message": "e\u0301"}))
    got = await ada.next("chat")
    assert got["room"] == composed
    assert got["message"] == "e\u0301"
    assert (
        check_ack("private", await bob.emit("private", {"to": decomposed, "message": "x"}))["delivered"] == 1
    )
    assert (await ada.next("private"))["to"] == composed
    assert check_ack("leave", await bob.emit("leave", {"room": decomposed}))["room"] == composed
    assert composed in (await ada.emit("rooms"))["rooms"]


@pytest.mark.parametrize("where", ["message", "data", "room"])
async def test_half_a_character(server: Server, node: Node, where: str):
    """Half a surrogate pair, which JavaScript makes when it cuts an emoji, hurts neither sender nor receivers."""
    room = unique("lobby")
    witness = await node.member(server.url, room, unique("w"))
    ada = await node.member(server.url, room, unique("a"), transports="polling")
    ack = await ada.emit("chat", {"room": room, "message": "x", where: "cut \ud83d"})
    if not ack["ok"]:
        check_refusal(
            ack, "not_a_member" if where == "room" and ack["error"]["code"] == 4006 else "bad_request"
        )
    check_ack("chat", await ada.emit("chat", {"room": room, "message": "after"}))
    for client in (witness, ada):
        got = await client.next("chat")
        if got["message"] != "after":
            got = await client.next("chat")
        assert got["message"] == "after"
        await client.none("error")


@pytest.mark.parametrize(
    "data",
    [
        "1e400",
        "-1e400",
        "1" * 400,
        "123456789012345678901234567890",
        '"\\ud800"',
        "[" * 200 + "]" * 200,
        "[" * 100_000 + "]" * 100_000,
        '{"a":' * 20_000 + "1" + "}" * 20_000,
        '{"a":1,"a":2}',
        '{"_placeholder":true,"num":0}',
        '{"_placeholder":true,"num":-1}',
    ],
    ids=lambda data: data[:24],
)
async def test_strange_json(server: Server, node: Node, data: str):
    """JSON that is only just JSON is refused, or passed on as something every client can read."""
    room = unique("lobby")
    witness = await node.member(server.url, room, unique("w"))
    async with raw.client(server.url, unique("x")) as bare:
        await bare.send(f'421["chat",{{"room":"{room}","message":"strange","data":{data}}}]')
        try:
            await bare.until("431[")
        except raw.ConnectionClosed:
            pass
        else:
            assert (await bare.call("ping", {}))["pong"] is True
    check_ack("chat", await witness.emit("chat", {"room": room, "message": "after"}))
    await witness.until(
        lambda: [a[0]["message"] for e, a in witness.events if e == "chat"][-1:] == ["after"], "after"
    )
    await witness.sync()
    assert witness.connects == 1


async def test_extra_arguments(server: Server, node: Node):
    """More arguments than an event has are refused, or passed over, and the connection lives on."""
    client = await node.connect(server.url)
    ack = await client.emit("join", {"room": unique("r")}, {"history": 5}, "more")
    if ack["ok"]:
        check_ack("join", ack)
    else:
        check_refusal(ack, "bad_request")
    await client.none("error")
