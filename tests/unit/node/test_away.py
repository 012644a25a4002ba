"""Sessions that may come back, and what goes onto the tape for them."""

from __future__ import annotations

from typing import Any

import pytest

from rtserver.away import Away
from rtserver.client import Client
from rtserver.fanout import Fanout, Message
from rtserver.gateway.formats import json_format
from rtserver.node import Node
from rtserver.rooms.tape import Tape
from rtserver.transport.outbound import Outbound
from tests.unit.node.stand_ins import app, done, heard, lane, person

FORM = json_format("/", offsets=True)


def tape() -> Tape[Any]:
    """A tape with room enough."""
    return Tape(100, 1_000_000, 60.0)


def recoverable(node: Node, client_id: str) -> Client:
    """A client that can recover, and has not come in yet."""
    client = person(node, client_id)
    client.format = FORM
    return client


@pytest.fixture
def node() -> Node:
    """A node."""
    return app().node


class TestAway:
    """Who is waited for."""

    async def test_kept_and_taken(self, node: Node):
        """One that was cut is found by its sid and its client_id until it is taken, and then nothing is left."""
        away, client = Away(tape(), 60.0), recoverable(node, "ann")
        away.keep(client)
        absent = away.find(client.sid)
        assert absent is not None
        assert away.of("ann") == [absent]
        assert away.tape is not None
        assert away.tape.awaited == 1
        away.take(absent)
        assert (away.find(client.sid), away.of("ann"), len(away), away.tape.awaited) == (None, [], 0, 0)
        away.close()

    async def test_who_cannot_recover(self, node: Node):
        """Nobody is waited for who cannot recover, and nobody at all without a tape."""
        away = Away(tape(), 60.0)
        away.keep(person(node, "python"))
        Away(None, 0.0).keep(recoverable(node, "ann"))
        assert len(away) == 0

    async def test_bounded(self, node: Node):
        """When too many are away the one that is away longest is given up."""
        away = Away(tape(), 60.0, most=2)
        clients = [recoverable(node, f"c{number}") for number in range(3)]
        for client in clients:
            away.keep(client)
        assert [away.find(client.sid) is not None for client in clients] == [False, True, True]
        away.close()

    async def test_after_its_grace(self, node: Node):
        """Its rooms are remembered when it leaves them; its connection is not kept for that."""
        away, client = Away(tape(), 60.0), recoverable(node, "ann")
        client.rooms, client.subscriptions, client.data = {"r": None}, {"r": 3, "heard": 5}, {"x": 1}
        away.keep(client)
        absent = away.find(client.sid)
        assert absent is not None
        assert absent.present
        away.depart(client)
        client.rooms.clear()
        assert not absent.present
        assert absent.client is None
        assert (list(absent.rooms), absent.subscriptions, absent.data) == (
            ["r"],
            {"r": 3, "heard": 5},
            {"x": 1},
        )
        away.close()

    async def test_forgotten(self, node: Node):
        """What was kept for a session alone goes with it; so do all sessions of somebody who was sent away."""
        away = Away(tape(), 60.0)
        assert away.tape is not None
        fanout = Fanout(away.tape, FORM)
        clients = [recoverable(node, "ann") for _ in range(2)]
        for client in clients:
            away.keep(client)
            fanout.send(Message("x"), [], [(client.sid,)])
        assert len(away.tape) == 2
        away.forget_all("ann")
        away.forget("never")
        assert (len(away), len(away.tape)) == (0, 0)
        away.close()


class TestFrames:
    """What is sent and what is kept are the same bytes."""

    def test_one_frame_for_all(self, node: Node):
        """All who can recover get one object, with the offset under which it is kept; the tape refers to the same."""
        kept = tape()
        fanout, clients = Fanout(kept, FORM), [recoverable(node, f"c{number}") for number in range(3)]
        python = person(node, "python")
        for client in (*clients, python):
            fanout.subscribe("r", client)
        offset = kept.next_offset
        assert fanout.deliver("r", Message("chat", {"a": 1}), skip=(clients[2].sid,)) == 3
        (first,), (second,) = lane(clients[0]).written, lane(clients[1]).written
        assert first is second
        (again,) = kept.missed(0, [("r", 0)], "sid") or ()
        assert again is first.frames
        assert kept.missed(0, [("r", 0)], clients[2].sid) == []
        assert heard(clients[0]) == [["chat", {"a": 1}, offset]]
        assert heard(python) == [["chat", {"a": 1}]]
        assert kept.offset == offset

    def test_other_forms(self, node: Node):
        """What polling clients and compression need of a message is not kept with it."""
        kept = tape()
        fanout, client = Fanout(kept, FORM), recoverable(node, "ann")
        fanout.subscribe("r", client)
        fanout.deliver("r", Message("chat", {"a": "x" * 1000}))
        (sent,) = lane(client).written
        forms = (sent.payload, sent.packets, sent.deflated)
        (again,) = kept.missed(0, [("r", 0)], "sid") or ()
        assert again is sent.frames
        again = Outbound.again(again)
        assert (again.payload, again.packets, again.deflated) == forms

    def test_nobody_there(self, node: Node):
        """What nobody hears is kept only while somebody may come back."""
        kept = tape()
        fanout = Fanout(kept, FORM)
        fanout.deliver("r", Message("one"))
        assert len(kept) == 0
        kept.awaited = 1
        fanout.deliver("r", Message("two"))
        assert len(kept) == 1

    @pytest.mark.parametrize("bad", [object(), {1, 2}])
    def test_what_cannot_be_written(self, node: Node, bad: Any):
        """What cannot be written is delivered to nobody, kept for nobody, and uses up no number."""
        kept = tape()
        fanout, client = Fanout(kept, FORM), recoverable(node, "ann")
        fanout.subscribe("r", client)
        with pytest.raises(TypeError):
            fanout.deliver("r", Message("x", bad))
        with pytest.raises(TypeError):
            fanout.send(Message("x", bad), [client], [(client.sid,)])
        assert (len(kept), kept.number, lane(client).written) == (0, 0, [])

    @pytest.mark.parametrize(
        ("args", "expected"), [((), []), (({},), [{}]), (("text",), ["text", None]), (("a", 1), ["a", 1])]
    )
    def test_not_kept(self, node: Node, args: tuple[Any, ...], expected: list[Any]):
        """What is not kept has no offset, and never ends in a string."""
        kept = tape()
        fanout, client = Fanout(kept, FORM), recoverable(node, "ann")
        fanout.subscribe("r", client)
        fanout.deliver("r", Message("x", *args), volatile=True)
        fanout.send(Message("x", *args), [client])
        assert heard(client) == [["x", *expected]] * 2
        assert kept.number == 0

    def test_answers(self, node: Node):
        """An answer says how far its client has heard, and is not kept."""
        kept = tape()
        fanout, client = Fanout(kept, FORM), recoverable(node, "ann")
        client.tape, client.live = kept, True
        fanout.subscribe("r", client)
        fanout.deliver("r", Message("chat"))
        client.emit("pong", {})
        assert heard(client)[1] == ["pong", {}, kept.offset]
        assert len(kept) == 1


def test_a_goodbye_leaves_nothing(node: Node):
    """A client that says goodbye is not waited for."""
    client = recoverable(node, "ann")
    done(node.connect(client))
    done(node.part(client, "client disconnect"))
    assert len(node.away) == 0
