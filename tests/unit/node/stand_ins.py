"""What a node needs around it: clients with sessions that record what is sent, and an event loop's clock by hand."""

from __future__ import annotations

import itertools
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

from rtserver.app import App, create_app
from rtserver.auth.claims import Identity
from rtserver.client import Client
from rtserver.gateway.formats import json_format
from rtserver.gateway.packets import decode
from rtserver.node import Node
from rtserver.protocol.errors import RtError
from rtserver.store.base import Revoked
from rtserver.transport.outbound import Outbound
from rtserver.transport.session import Session, SessionEvents

T = TypeVar("T")

_numbers = itertools.count()


def done(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run what never waits, without an event loop."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    coroutine.close()
    raise AssertionError("it waited for something")


class ListRevocations:
    """Keeps what was revoked, without waiting."""

    shared = False

    def __init__(self) -> None:
        self.kept: list[Revoked] = []

    async def keep(self, rule: Revoked) -> None:
        """Keep it."""
        self.kept.append(rule)

    async def load(self, after: int = -1) -> tuple[list[Revoked], int]:
        """What came after that."""
        return self.kept[after + 1 :], len(self.kept) - 1


class RecordingLane:
    """A lane that keeps what is written to it."""

    name = "websocket"

    def __init__(self) -> None:
        self.receiver: Any = None
        self.written: list[Outbound] = []
        self.volatile: list[Outbound] = []
        self.ended: list[Any] = []
        self.congested = False
        self.reading = True

    def write(self, out: Outbound, volatile: bool = False) -> None:
        """Keep it, once it is complete."""
        self.written.append(out)
        if volatile:
            self.volatile.append(out)

    def close(self, code: int, reason: str) -> None:
        """Keep how it was closed."""
        self.ended.append((code, reason))

    def end(self) -> None:
        """Keep that it ended."""
        self.ended.append("end")

    def abort(self) -> None:
        """Keep that it was cut."""
        self.ended.append("abort")

    def pause_reading(self) -> None:
        """Keep that nothing is read."""
        self.reading = False

    def resume_reading(self) -> None:
        """Keep that it is read on."""
        self.reading = True


class Farewell:
    """A gateway that lets go of whom it dismisses."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.dismissed: list[tuple[str, RtError]] = []

    def dismiss(self, client: Client, error: RtError) -> None:
        """Note it, and let the client go."""
        self.dismissed.append((client.sid, error))
        done(self.node.part(client, "server disconnect"))


def app(config: Mapping[str, Any] | None = None) -> App:
    """An application without announcements of connections, and with no limit that a test would meet by chance."""
    app = create_app({"limits": {"rate": None}, **(config or {})})
    app.node._revocations = ListRevocations()
    return app


def person(
    node: Node,
    client_id: str = "ann",
    *,
    name: str | None = None,
    identity: Identity | None = None,
    namespace: str = "/",
    gateway: Any = None,
) -> Client:
    """A client that has not come in yet."""
    sid = f"sid-{next(_numbers)}"
    session = Session(f"eio-{sid}", RecordingLane(), SessionEvents())
    return Client(
        sid,
        client_id,
        name or client_id,
        session,
        json_format(namespace),
        gateway or Farewell(node),
        namespace=namespace,
        identity=identity,
        ip="192.0.2.7",
    )


def arrive(node: Node, client_id: str = "ann", **more: Any) -> Client:
    """A client that is in; it has forgotten its welcome."""
    client = person(node, client_id, **more)
    done(node.connect(client))
    heard(client)
    return client


def lane(client: Client) -> RecordingLane:
    """The lane of a client."""
    assert isinstance(client.session.lane, RecordingLane)
    return client.session.lane


def heard(client: Client) -> list[list[Any]]:
    """What the client was sent since one last asked: ``[event, *arguments]`` each."""
    written = lane(client).written[:]
    lane(client).written.clear()
    events = []
    for out in written:
        text, *attachments = out.packets
        assert isinstance(text, str)
        packet = decode(text[1:])
        for attachment in attachments:
            assert isinstance(attachment, bytes)
            packet.attach(attachment)
        events.append(packet.data)
    return events


class Handle:
    """A timer that can be cancelled."""

    def __init__(self, when: float, callback: Any, args: tuple[Any, ...]) -> None:
        self.when = when
        self.callback = callback
        self.args = args
        self.cancelled = False

    def cancel(self) -> None:
        """Let it not happen."""
        self.cancelled = True


class HandLoop:
    """An event loop's clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.handles: list[Handle] = []

    def time(self) -> float:
        """The time in seconds."""
        return self.now

    def call_at(self, when: float, callback: Any, *args: Any) -> Handle:
        """Do it then."""
        handle = Handle(when, callback, args)
        self.handles.append(handle)
        return handle

    def advance(self, seconds: float) -> None:
        """Let time pass, and do on the way what falls due, each at its time."""
        end = self.now + seconds
        while True:
            due = [handle for handle in self.handles if not handle.cancelled and handle.when <= end]
            if not due:
                break
            handle = min(due, key=lambda one: one.when)
            self.handles.remove(handle)
            self.now = max(self.now, handle.when)
            handle.callback(*handle.args)
        self.handles = [handle for handle in self.handles if not handle.cancelled]
        self.now = end


def by_hand(node: Node) -> HandLoop:
    """Give the node's time of grace a clock that the test moves."""
    loop = HandLoop()
    timer = node._holding._timer
    assert timer is not None
    timer._loop = loop  # type: ignore[assignment]
    return loop
