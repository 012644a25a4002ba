"""python-socketio's client manager, as its applications know it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from socketio.exceptions import TimeoutError as CallTimeoutError

from rtserver.client import Client
from rtserver.fanout import Fanout
from rtserver.gateway.members import Members
from rtserver.node import Node
from tests.unit.node.stand_ins import Farewell, app, done, heard, lane, person


class Hall:
    """A manager with its node."""

    def __init__(self) -> None:
        self.app = app({"announce": {"welcome": False}})
        self.node: Node = self.app.node
        self.members: Members = self.app.sio.manager

    def pending(self, client_id: str = "ann", namespace: str = "/") -> Client:
        """A client that is being accepted."""
        client = person(self.node, client_id, namespace=namespace, gateway=Farewell(self.node))
        self.members.add(client)
        return client

    def enter(self, client_id: str = "ann", namespace: str = "/") -> Client:
        """A client that was accepted."""
        client = self.pending(client_id, namespace)
        if namespace == "/":
            done(self.node.connect(client))
        else:
            self.members.admit(client)
        return client

    def emit(self, *args: Any, **more: Any) -> None:
        """Emit in the main namespace unless told otherwise."""
        done(self.members.emit(*args, **{"namespace": "/", **more}))

    def room(self, client: Client, room: str) -> Client:
        """Let a client enter a room."""
        done(self.members.enter_room(client.sid, client.namespace, room))
        return client


@pytest.fixture
def hall() -> Hall:
    """An empty one."""
    return Hall()


class TestEmit:
    """To whom an event goes."""

    def test_everybody(self, hall: Hall):
        """Room None is everybody in the namespace, and nobody in another."""
        ann, ben, other = hall.enter("ann"), hall.enter("ben"), hall.enter("cat", "/other")
        hall.emit("x", 1)
        assert heard(ann) == heard(ben) == [["x", 1]]
        assert heard(other) == []
        hall.emit("y", 2, namespace="/other")
        assert heard(ann) == []
        assert heard(other) == [["y", 2]]

    def test_one(self, hall: Hall):
        """A sid is that client alone."""
        ann, ben = hall.enter("ann"), hall.enter("ben")
        hall.emit("x", 1, room=ann.sid)
        hall.emit("y", 1, to=ann.sid)
        assert heard(ann) == [["x", 1], ["y", 1]]
        assert heard(ben) == []

    @pytest.mark.parametrize("namespace", ["/", "/other"])
    def test_a_room(self, hall: Hall, namespace: str):
        """A room is who entered it."""
        ann, ben = hall.enter("ann", namespace), hall.enter("ben", namespace)
        hall.room(ann, "a")
        hall.emit("x", 1, room="a", namespace=namespace)
        assert heard(ann) == [["x", 1]]
        assert heard(ben) == []

    def test_members_by_event_are_in_the_room(self, hall: Hall):
        """Who joined a room by event is reached by its name."""
        ann = hall.enter("ann")
        done(hall.node.join(ann, "lobby"))
        hall.emit("x", 1, room="lobby")
        assert heard(ann) == [["x", 1]]

    @pytest.mark.parametrize("kind", [list, tuple, set])
    def test_several(self, hall: Hall, kind: Any):
        """Of several rooms and sids each client gets one copy."""
        ann, ben, cat, dan = (hall.enter(who) for who in ("ann", "ben", "cat", "dan"))
        for client in (ann, ben):
            hall.room(client, "a")
        hall.room(ben, "b")
        hall.emit("x", 1, room=kind(["a", "b", cat.sid, ann.sid]))
        for client in (ann, ben, cat):
            assert heard(client) == [["x", 1]]
        assert heard(dan) == []

    @pytest.mark.parametrize(
        "target", ["", [], (), set(), [None], [""], ["nobody"], "nobody", [[]]], ids=repr
    )
    def test_nobody(self, hall: Hall, target: Any):
        """An empty target, or one that names nobody, is nobody: never everybody."""
        ann = hall.enter("ann")
        hall.emit("x", 1, room=target)
        done(hall.app.sio.emit("x", 1, to=target))
        done(hall.app.sio.emit("x", 1, room=target))
        done(hall.app.sio.emit("x", 1, to=target, callback=print))
        assert heard(ann) == []

    @pytest.mark.parametrize("target", ["", [], 0, False], ids=repr)
    def test_an_empty_to_is_not_overruled(self, hall: Hall, target: Any):
        """``to`` that is empty stays empty whatever ``room`` is left at."""
        ann = hall.enter("ann")
        done(hall.app.sio.emit("x", 1, to=target, room=None))
        assert heard(ann) == []

    def test_unknown_namespaces(self, hall: Hall):
        """A namespace without clients is nobody."""
        hall.emit("x", 1, namespace="/nowhere")
        hall.emit("x", 1, namespace="/nowhere", room="a")

    @pytest.mark.parametrize(
        "kind", [lambda sid: sid, lambda sid: [sid], lambda sid: (sid, "other"), lambda sid: {sid}]
    )
    def test_skip(self, hall: Hall, kind: Any):
        """Those in ``skip_sid`` get nothing, to everybody, a room, or several."""
        ann, ben = hall.enter("ann"), hall.enter("ben")
        for client in (ann, ben):
            hall.room(client, "a")
        for room in (None, "a", ["a"], [ann.sid, ben.sid]):
            hall.emit("x", 1, room=room, skip_sid=kind(ann.sid))
            assert heard(ann) == []
            assert heard(ben) == [["x", 1]]

    @pytest.mark.parametrize("skip", [None, "", [], ()], ids=repr)
    def test_skip_nobody(self, hall: Hall, skip: Any):
        """Nobody to skip is nobody skipped."""
        ann = hall.enter("ann")
        hall.emit("x", 1, skip_sid=skip)
        assert heard(ann) == [["x", 1]]

    @pytest.mark.parametrize(
        ("data", "args"),
        [
            (None, []),
            ((), []),
            ((1, 2), [1, 2]),
            ([1, 2], [[1, 2]]),
            ("a", ["a"]),
            ({"a": b"x"}, [{"a": b"x"}]),
            (0, [0]),
            (False, [False]),
            ((None,), [None]),
            (("a", b"x", {}), ["a", b"x", {}]),
        ],
        ids=repr,
    )
    def test_arguments(self, hall: Hall, data: Any, args: list[Any]):
        """None is no argument, a tuple is several, anything else is one."""
        ann = hall.enter("ann")
        hall.emit("x", data)
        hall.emit("x", data, room=ann.sid)
        assert heard(ann) == [["x", *args]] * 2

    def test_a_pending_client_hears_nothing(self, hall: Hall):
        """Who is still being accepted is nobody yet: not of everybody, not of a room it was let into."""
        for namespace in ("/", "/other"):
            ann = hall.pending("ann", namespace)
            hall.enter("ben", namespace)
            hall.room(ann, "a")
            for room in (None, "a", ["a"]):
                hall.emit("x", 1, room=room, namespace=namespace)
            assert heard(ann) == []

    def test_rooms_entered_before_acceptance_count_after(self, hall: Hall):
        """A connect handler may let its client into rooms; it hears them once it is accepted."""
        for namespace in ("/", "/other"):
            ann = hall.pending("ann", namespace)
            hall.room(ann, "a")
            if namespace == "/":
                done(hall.node.connect(ann))
            else:
                hall.members.admit(ann)
            hall.emit("x", 1, room="a", namespace=namespace)
            assert heard(ann) == [["x", 1]]

    def test_who_is_gone(self, hall: Hall):
        """Nothing reaches a client that went, in any namespace."""
        for namespace in ("/", "/other"):
            ann = hall.enter("ann", namespace)
            hall.room(ann, "a")
            if namespace == "/":
                done(hall.node.part(ann, "x"))
            else:
                hall.members.silence(ann)
            for room in (None, "a", ["a"]):
                hall.emit("x", 1, room=room, namespace=namespace)
            assert heard(ann) == []
            hall.members.remove(ann)
            hall.emit("x", 1, room=ann.sid, namespace=namespace)
            assert heard(ann) == []


class TestRooms:
    """enter, leave, close, list."""

    def test_list(self, hall: Hall):
        """A client's rooms are its own sid and those it is in, in order; an unknown one has none."""
        ann = hall.enter("ann")
        for room in ("b", "a"):
            hall.room(ann, room)
        done(hall.node.join(ann, "lobby"))
        assert hall.members.get_rooms(ann.sid, "/") == [ann.sid, "b", "a", "lobby"]
        assert hall.members.get_rooms("nobody", "/") == []
        assert hall.members.get_rooms(ann.sid, "/nowhere") == []

    def test_leave(self, hall: Hall):
        """Who left hears nothing more; leaving where one is not, or being nobody, is no error."""
        ann = hall.room(hall.enter("ann"), "a")
        for sid in (ann.sid, ann.sid, "nobody"):
            done(hall.members.leave_room(sid, "/", "a"))
        done(hall.members.leave_room(ann.sid, "/nowhere", "a"))
        hall.emit("x", 1, room="a")
        assert heard(ann) == []
        assert hall.members.get_rooms(ann.sid, "/") == [ann.sid]

    def test_close(self, hall: Hall):
        """A closed room has nobody."""
        ann, ben = (hall.room(hall.enter(who), "a") for who in ("ann", "ben"))
        done(hall.members.close_room("a", "/"))
        done(hall.members.close_room("a", "/"))
        done(hall.members.close_room("a", "/nowhere"))
        hall.emit("x", 1, room="a")
        assert heard(ann) == heard(ben) == []
        assert hall.members.get_rooms(ben.sid, "/") == [ben.sid]

    @pytest.mark.parametrize("room", ["", None, 5, [], b"a"], ids=repr)
    def test_what_is_no_room(self, hall: Hall, room: Any):
        """A room is a string that is not empty."""
        ann = hall.enter("ann")
        with pytest.raises(ValueError, match="room"):
            done(hall.members.enter_room(ann.sid, "/", room))

    def test_who_is_not_there(self, hall: Hall):
        """Only a known client enters a room, and only where it is."""
        ann = hall.enter("ann")
        for sid, namespace in (("nobody", "/"), (ann.sid, "/nowhere")):
            with pytest.raises(ValueError, match="not connected"):
                done(hall.members.enter_room(sid, namespace, "a"))

    def test_a_sid_is_nobody_elses_room(self, hall: Hall):
        """What is sent to a sid reaches its client alone, whoever entered a room of that name."""
        ann, eve = hall.enter("ann"), hall.enter("eve")
        try:
            hall.room(eve, ann.sid)
        except ValueError:
            return
        hall.emit("x", 1, room=ann.sid)
        assert heard(eve) == []
        assert heard(ann) == [["x", 1]]

    def test_participants(self, hall: Hall):
        """``get_participants`` names sid and session of everybody, a room, a client or several."""
        ann, ben = hall.enter("ann"), hall.room(hall.enter("ben"), "a")

        def who(room: Any) -> list[Any]:
            return sorted(hall.members.get_participants("/", room))

        pairs = {client: (client.sid, client.session.sid) for client in (ann, ben)}
        assert who(None) == sorted(pairs.values())
        assert who("a") == [pairs[ben]]
        assert who(ann.sid) == [pairs[ann]]
        assert who([ann.sid, "a"]) == sorted(pairs.values())
        assert list(hall.members.get_participants("/nowhere", None)) == []

    def test_is_connected(self, hall: Hall):
        """A client is connected from its acceptance to its end."""
        for namespace in ("/", "/other"):
            ann = hall.pending("ann", namespace)
            assert not hall.members.is_connected(ann.sid, namespace)
            hall.members.remove(ann)
            ann = hall.enter("ann", namespace)
            assert hall.members.is_connected(ann.sid, namespace)
            assert not hall.members.is_connected(ann.sid, "/nowhere")

    def test_nothing_is_left(self, hall: Hall):
        """When all have gone, nothing of a namespace is left, and the main one is empty."""
        for namespace in ("/", "/other"):
            ann = hall.room(hall.enter("ann", namespace), "a")
            if namespace == "/":
                done(hall.node.part(ann, "x"))
            else:
                hall.members.silence(ann)
            hall.members.remove(ann)
            hall.members.remove(ann)
        assert list(hall.members._spaces) == ["/"]
        main = hall.members._spaces["/"]
        assert main.clients == {}
        assert (main.fanout._everybody, main.fanout._rooms) == ({}, {})


class TestAcks:
    """Acknowledgements of what the server sends."""

    def sent_id(self, client: Client) -> int:
        """The ack id of the last event."""
        from rtserver.gateway.packets import decode

        packet = decode(str(lane(client).written[-1].packets[0])[1:])
        assert packet.id is not None
        return packet.id

    async def test_callback(self, hall: Hall):
        """The callback gets the values, once, be it a function or a coroutine."""
        ann = hall.enter("ann")
        got: list[Any] = []

        async def later(*values: Any) -> None:
            got.append(values)

        for callback in (lambda *values: got.append(values), later):
            got.clear()
            await hall.members.emit("x", 1, "/", ann.sid, callback=callback)
            number = self.sent_id(ann)
            for _ in range(3):
                hall.members.acknowledge(ann, number, ["a", 2])
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert got == [("a", 2)]

    async def test_every_client_has_ids_of_its_own(self, hall: Hall):
        """With a callback to a room every member answers for itself."""
        people = [hall.room(hall.enter(who), "a") for who in ("ann", "ben")]
        got: list[str] = []
        await hall.members.emit("x", 1, "/", "a", callback=got.append)
        for client in people:
            hall.members.acknowledge(client, self.sent_id(client), [client.client_id])
        assert sorted(got) == ["ann", "ben"]

    @pytest.mark.parametrize("forged", [0, 1, 2, 999, 10**15 - 1])
    async def test_forged_ids(self, hall: Hall, forged: int):
        """An acknowledgement that nobody waits for does nothing, and breaks nothing that comes after."""
        ann = hall.enter("ann")
        hall.members.acknowledge(ann, forged, ["evil"])
        got: list[Any] = []
        await hall.members.emit("x", 1, "/", ann.sid, callback=got.append)
        number = self.sent_id(ann)
        if forged != number:
            hall.members.acknowledge(ann, forged, ["evil"])
        hall.members.acknowledge(ann, number, ["good"])
        assert got == ["good"]

    async def test_a_callback_that_fails(self, hall: Hall):
        """What a callback raises is logged; the connection and the next acknowledgement live on."""
        ann = hall.enter("ann")

        def broken(*values: Any) -> None:
            raise RuntimeError("broken")

        async def broken_too(*values: Any) -> None:
            raise RuntimeError("broken")

        for callback in (broken, broken_too, lambda: None):
            await hall.members.emit("x", 1, "/", ann.sid, callback=callback)
            hall.members.acknowledge(ann, self.sent_id(ann), ["an", "argument"])
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    async def test_who_is_gone_answers_no_more(self, hall: Hall):
        """Who waits for a client that goes is told so at once."""
        ann = hall.enter("ann")
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        number = hall.members.expect(ann, future)
        hall.members.remove(ann)
        with pytest.raises(CallTimeoutError):
            await future
        hall.members.acknowledge(ann, number, ["late"])

    async def test_a_future_that_is_given_up(self, hall: Hall):
        """A late answer to a call that was given up is ignored."""
        ann = hall.enter("ann")
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        number = hall.members.expect(ann, future)
        future.cancel()
        hall.members.acknowledge(ann, number, ["late"])
        assert not ann.acks


def test_a_manager_stands_alone():
    """The manager needs a fan-out and nothing else to be asked."""
    members = Members(Fanout())
    assert members.get_namespaces() == ["/"]
    assert members.get_rooms("x", "/") == []
    assert not members.is_connected("x", "/")
