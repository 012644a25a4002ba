"""Mode × token × policy × event: every cell, with the real client, against what the contract says."""

from __future__ import annotations

from typing import Any

import pytest

from .access_oracle import (
    MODES,
    RESERVED,
    ROOMS,
    TOKENS,
    Who,
    admitted,
    config,
    reserved_steps,
    steps,
)
from .harness.node_client import Node, NodeClient
from .harness.server import Server, Servers
from .harness.shapes import check_ack, check_connect_error, check_refusal, token

CELLS = [(mode, state) for mode in MODES for state in TOKENS]


@pytest.fixture(scope="module")
def by_mode(module_servers: Servers) -> dict[str, Server]:
    """A server of each mode."""
    return {mode: module_servers.serve(config(mode)) for mode in MODES}


async def witness_of(server: Server, node: Node) -> NodeClient:
    """Somebody who is there already, and has heard of itself."""
    witness = await node.connect(server.url, auth={"token": token("witness"), "client_id": "witness"})
    await witness.next("client_connected")
    return witness


def outcome(ack: Any) -> str:
    """How an event was answered."""
    if ack["ok"]:
        return "ok"
    check_refusal(ack, ack["error"]["reason"])
    return str(ack["error"]["reason"])


@pytest.mark.parametrize(("mode", "state"), CELLS, ids=[f"{mode}, {state}" for mode, state in CELLS])
async def test_who_gets_in(by_mode: dict[str, Server], node: Node, mode: str, state: str):
    """A client gets in as the token says, or hears why not; who is refused hears nothing else, and nobody of it."""
    server, expected = by_mode[mode], admitted(mode, TOKENS[state])
    witness = await witness_of(server, node)
    given = TOKENS[state].make()
    client = node.open(server.url, auth={"client_id": "root", **({} if given is None else {"token": given})})
    if isinstance(expected, Who):
        await client.until_connected()
        welcome = await client.next("welcome")
        assert welcome["verified"] is expected.verified
        names = {"none": "root", "optional": "guest:", "required": ""}
        assert welcome["client_id"].startswith("ada" if expected.verified else names[mode])
        assert (await witness.next("client_connected"))["client_id"] == welcome["client_id"]
        return
    refused = await client.until_refused()
    check_connect_error(refused.message, refused.data, expected)
    check_ack("chat", await witness.emit("chat", {"message": "to everybody"}))
    await witness.none("client_connected", "client_disconnected")
    assert (client.events, client.connects) == ([], 0)


INSIDE = [(mode, state) for mode, state in CELLS if isinstance(admitted(mode, TOKENS[state]), Who)]
INSIDE = [(mode, state) for mode, state in INSIDE if TOKENS[state].verdict in ("absent", "good")]


@pytest.mark.parametrize(("mode", "state"), INSIDE, ids=[f"{mode}, {state}" for mode, state in INSIDE])
async def test_what_one_may_do(by_mode: dict[str, Server], node: Node, mode: str, state: str):
    """In every room, from outside and inside, each event is answered as the room's policy and the token say."""
    who = admitted(mode, TOKENS[state])
    assert isinstance(who, Who)
    given = TOKENS[state].make()
    client = await node.connect(by_mode[mode].url, auth={} if given is None else {"token": given})
    asked = [(room.name, *step) for room in ROOMS for step in steps(who, room)]
    asked += [(room, *step) for room in RESERVED for step in reserved_steps()]
    pending = [client.start(event, {"room": room, **fields}) for room, event, fields, _ in asked]
    wrong = []
    for number, ((room, event, _, expected), future) in enumerate(zip(asked, pending, strict=True)):
        found = outcome((await client.awaited(future, event))[0])
        if found != expected:
            wrong.append((number, room, event, expected, found))
    assert wrong == []
    renewed = outcome(await client.emit("refresh_token", {"token": token("ada")}))
    assert renewed == ("ok" if who.verified else "forbidden")
    assert (await client.emit("rooms"))["rooms"] == []
