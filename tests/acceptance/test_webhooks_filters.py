"""Which target gets what: filters by event and room, custom headers, one id for all targets (CONTRACT section 7)."""

from __future__ import annotations

import pytest

from .harness.node_client import Node
from .harness.receiver import Receiver, Receivers
from .harness.server import Server, Servers
from .harness.shapes import check_ack, unique
from .harness.webhooks import hooked, said

FILTERS = {
    "everything": {},
    "clients": {"events": ["client-*"]},
    "talk": {"events": ["message-broadcast", "room-joined"]},
    "news": {"rooms": ["news-*"]},
    "news-talk": {"events": ["message-*"], "rooms": ["news-*", "exact"]},
    "other-rooms": {"events": ["message-*"], "rooms": ["nothing-*"]},
    "decorated": {"headers": {"X-Env": "prod", "Authorization": "Bearer xyz"}},
    "batched": {"batch": {"max_events": 50, "max_wait": "50ms"}},
}


@pytest.fixture(scope="module")
def targets(module_receivers: Receivers) -> dict[str, Receiver]:
    """A receiver for each target."""
    return {name: module_receivers.open() for name in FILTERS}


@pytest.fixture(scope="module")
def server(targets: dict[str, Receiver], module_servers: Servers) -> Server:
    """A server with all of them."""
    return module_servers.serve(
        hooked(*(targets[name].target(name, **more) for name, more in FILTERS.items()))
    )


@pytest.fixture
async def day(targets: dict[str, Receiver], server: Server, node: Node) -> str:
    """Somebody comes, talks in five places, and goes; the name, which is in every message as well."""
    who = unique("ada")
    ada = await node.connect(server.url, auth={"client_id": who})
    for room in ("news-eu", "lobby", "exact", "exactly"):
        check_ack("join", await ada.emit("join", {"room": room}))
        await said(ada, room, f"{who} in {room}")
    await said(ada, None, f"{who} to everybody")
    ada.disconnect()
    for name in ("everything", "clients", "news", "decorated", "batched"):
        await targets[name].event("client-disconnected", client_id=who)
    for name in ("everything", "talk", "news", "news-talk", "decorated", "batched"):
        await targets[name].event("message-broadcast", message=f"{who} in news-eu")
    return who


def heard(receiver: Receiver, who: str) -> set[str]:
    """Where the target heard `who` talk."""
    prefix = who + " "
    texts = (event.data["message"] for event in receiver.find("message-broadcast"))
    return {text.removeprefix(prefix) for text in texts if text.startswith(prefix)}


def types(receiver: Receiver) -> set[str]:
    """What kinds of events the target got."""
    return {event.type for event in receiver.distinct()}


async def test_by_event(targets: dict[str, Receiver], day: str):
    """A target gets the types that its patterns match, and no others; by default all."""
    assert types(targets["clients"]) == {"client-connected", "client-disconnected"}
    assert types(targets["talk"]) == {"message-broadcast", "room-joined"}
    assert types(targets["everything"]) >= {
        "server-status",
        "client-connected",
        "client-disconnected",
        "room-joined",
        "room-left",
        "room-occupied",
        "room-vacated",
        "message-broadcast",
    }


async def test_by_room(targets: dict[str, Receiver], day: str):
    """Of the events with a room a target gets those of the rooms that its patterns match, and all without a room."""
    assert heard(targets["everything"], day) == {
        "in news-eu",
        "in lobby",
        "in exact",
        "in exactly",
        "to everybody",
    }
    assert heard(targets["news"], day) == {"in news-eu", "to everybody"}
    rooms = {event.data.get("room") for event in targets["news"].distinct()}
    assert rooms == {None, "news-eu"}
    assert types(targets["news"]) >= {"server-status", "client-connected", "client-disconnected"}


async def test_by_both(targets: dict[str, Receiver], day: str):
    """With both filters an event has to pass both."""
    assert heard(targets["news-talk"], day) == {"in news-eu", "in exact", "to everybody"}
    assert types(targets["news-talk"]) == {"message-broadcast"}
    assert heard(targets["other-rooms"], day) == {"to everybody"}


async def test_headers(targets: dict[str, Receiver], day: str):
    """Configured headers are on every request of that target, and of no other."""
    for request in targets["decorated"].attempts():
        assert request.headers["x-env"] == "prod"
        assert request.headers["authorization"] == "Bearer xyz"
    for request in targets["everything"].attempts():
        assert "x-env" not in request.headers
        assert "authorization" not in request.headers


async def test_one_event_one_id(targets: dict[str, Receiver], day: str):
    """An event has the same id and content for every target, alone and in a batch."""
    everything = {event.id: event for event in targets["everything"].distinct()}
    for name, receiver in targets.items():
        for event in receiver.distinct():
            if event.data.get("client_id") == day or day in event.data.get("message", ""):
                assert event == everything[event.id], name
    assert not {request.id for request in targets["batched"].attempts()} & everything.keys()


async def test_one_number_one_id(targets: dict[str, Receiver], day: str):
    """No event came to a target under two ids: what has a number has one id."""
    for name, receiver in targets.items():
        numbers = [(event.data["epoch"], event.seq) for event in receiver.distinct()]
        assert len(numbers) == len(set(numbers)), name
