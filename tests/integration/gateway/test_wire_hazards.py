"""What python-socketio and python-engineio let happen, on the wire of either path, with no ghost left."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
import socketio
from websockets.exceptions import InvalidStatus

from rtserver.app import App
from rtserver.protocol.names import RESERVED_EVENTS
from tests.integration.gateway.house import House, Raw, eventually, served


class TestReservedNames:
    """Hazard 1: the lifecycle is not the client's to run."""

    @pytest.mark.parametrize("kind", ["functions", "class"])
    @pytest.mark.parametrize("event", sorted(RESERVED_EVENTS))
    async def test_handlers_are_not_reached(self, app: App, any_house: House, event: str, kind: str):
        """A client that sends a reserved name runs no handler with arguments of its own, and is disconnected."""
        calls: list[tuple[Any, ...]] = []
        if kind == "class":

            class Main(socketio.AsyncNamespace):
                def on_connect(self, *args: Any) -> None:
                    calls.append(args)

                def on_disconnect(self, *args: Any) -> None:
                    calls.append(args)

                def on_connect_error(self, *args: Any) -> None:
                    calls.append(args)

            app.sio.register_namespace(Main("/"))
        else:
            app.sio.on("connect", lambda *args: calls.append(args))
            app.sio.on("disconnect", lambda *args: calls.append(args))
            app.sio.on("*", lambda *args: calls.append(args))
        raw = await any_house.client("ann", "lobby")
        calls.clear()
        await raw.send(f'421["{event}",{{"REMOTE_USER":"admin"}},{{"token":"x"}}]')
        assert await raw.closed() == 4000
        await any_house.empty()
        assert [args[1] for args in calls] == ["transport error"]

    @pytest.mark.parametrize("event", ["trigger_event", "__init__", "__class__", "_x", "connect "])
    async def test_methods_are_not_reached(self, app: App, house: House, event: str):
        """Only methods named ``on_…`` are handlers."""
        seen: list[Any] = []

        class Own(socketio.AsyncNamespace):
            async def on_mine(self, sid: str) -> None:
                seen.append(sid)

        app.sio.register_namespace(Own("/own"))
        raw = await house.raw()
        await raw.join("/own")
        await raw.send(f"42/own,1{json.dumps([event])}")
        assert await raw.call("mine", namespace="/own") == []
        assert len(seen) == 1


class TestBeforeAcceptance:
    """Hazard 3: who is still being judged hears nothing."""

    async def test_while_the_connect_handler_runs(self, app: App, any_house: House):
        """Nothing that goes to everybody, or to a room, reaches a client whose connect handler has not decided."""
        gate = asyncio.Event()
        asked = asyncio.Event()

        @app.sio.event
        async def connect(sid: str, environ: Any, auth: Any) -> bool:
            if auth == {"client_id": "eve"}:
                await app.sio.enter_room(sid, "lobby")
                asked.set()
                await gate.wait()
                return False
            return True

        ann = await any_house.client("ann", "lobby")
        eve = await any_house.raw()
        await eve.send('40{"client_id":"eve"}')
        await asked.wait()
        await ann.call("chat", {"message": "secret"})
        await ann.call("chat", {"message": "secret", "room": "lobby"})
        await app.node.broadcast(message="secret")
        await app.sio.emit("secret")
        await app.sio.emit("secret", room="lobby")
        await app.sio.emit("secret", room=["lobby"])
        gate.set()
        assert (await eve.until("44")).startswith("44")
        assert not any("secret" in str(frame) for frame in eve.seen)
        assert app.node.connected() == ["ann"]

    @pytest.mark.parametrize(
        "packet", ['42["chat",{"message":"x"}]', "41", '431["x"]', '421["mine"]', "42/own,[1]"]
    )
    async def test_events_before_connect(self, app: App, any_house: House, packet: str):
        """A packet of a namespace that was not connected to runs nothing and closes the connection."""
        calls: list[Any] = []
        app.sio.on("mine", lambda *args: calls.append(args))
        app.sio.on("disconnect", lambda *args: calls.append(args))
        raw = await any_house.raw()
        await raw.send(packet)
        assert await raw.closed() == 4000
        assert calls == []
        await any_house.empty()


class TestGhosts:
    """Hazard 4: who is not there is not there."""

    @pytest.mark.parametrize("outcome", ["accept", "refuse", "raise"])
    @pytest.mark.parametrize("end", ["cut", "close packet", "server", "goodbye"])
    async def test_the_line_ends_while_the_handler_runs(
        self, app: App, any_house: House, outcome: str, end: str
    ):
        """A client whose line ends before its connect handler decides is nobody, however it decides."""
        gate = asyncio.Event()
        asked = asyncio.Event()
        done = asyncio.Event()
        hooks: list[Any] = []

        @app.sio.event
        async def connect(sid: str, environ: Any) -> bool:
            asked.set()
            try:
                await app.sio.enter_room(sid, "lobby")
                await gate.wait()
                if outcome == "raise":
                    raise RuntimeError("broken")
                return outcome == "accept"
            finally:
                done.set()

        @app.on_connect
        async def hook(client: Any, auth: Any) -> None:
            hooks.append(client)

        raw = await any_house.raw()
        await raw.send("40")
        await asked.wait()
        if end == "cut":
            raw.cut()
        elif end == "close packet":
            await raw.send("1")
        elif end == "server":
            await app.engine.disconnect()
        else:
            await raw.send("41")
        if end == "goodbye":
            gate.set()
            await done.wait()
            await eventually(lambda: not any_house.app.node.connections)
            raw.cut()
        else:
            await eventually(lambda: not app.engine.sockets)
            gate.set()
            await done.wait()
            assert hooks == []
        await any_house.empty()

    async def test_polling_ends_while_the_handler_runs(self, app: App, house: House):
        """The same for a client that polls and says CLOSE."""
        gate = asyncio.Event()
        asked = asyncio.Event()

        @app.sio.event
        async def connect(sid: str, environ: Any) -> None:
            asked.set()
            await gate.wait()

        poller = await house.poller()
        await poller.post("40")
        await asked.wait()
        await poller.post("1")
        gate.set()
        await house.empty()

    async def test_a_queued_connect_of_one_who_is_gone(self, app: App, any_house: House):
        """A CONNECT that waits behind another's handler is not judged any more when the line is cut."""
        gate = asyncio.Event()
        calls: list[str] = []

        @app.sio.on("connect", namespace="/slow")
        async def slow(sid: str, environ: Any) -> None:
            calls.append("slow")
            await gate.wait()

        app.sio.on("connect", lambda sid, environ: calls.append("own"), namespace="/own")
        raw = await any_house.raw()
        await raw.send("40/slow,", "40/own,")
        await eventually(lambda: calls)
        raw.cut()
        await eventually(lambda: not app.engine.sockets)
        gate.set()
        await any_house.empty()
        assert calls == ["slow"]

    @pytest.mark.parametrize("how", ["close packet", "server", "malformed"])
    async def test_a_connect_after_the_end(self, app: App, any_house: House, how: str):
        """A CONNECT that comes after the connection ended makes nobody."""
        raw = await any_house.raw()
        if how == "close packet":
            await raw.send("1", "40")
        elif how == "malformed":
            await raw.send("4garbage", "40")
        else:
            await app.engine.disconnect()
            await raw.send("40")
        await raw.closed()
        await any_house.empty()
        assert not raw.saw("40")

    async def test_connecting_twice(self, app: App, any_house: House):
        """A second CONNECT to one namespace ends the connection, and leaves neither the first nor the second."""
        raw = await any_house.client("ann", "lobby")
        await raw.send('40{"client_id":"ben"}')
        assert await raw.closed() == 4000
        await any_house.empty()

    async def test_a_storm(self, app: App, any_house: House):
        """After many came and went in every way at once, nothing of anybody is left."""

        @app.sio.event
        async def connect(sid: str, environ: Any) -> bool:
            await asyncio.sleep(0.001)
            return not sid.startswith(("a", "B", "0"))

        app.sio.on("disconnect", lambda sid, reason: None)

        async def visit(number: int) -> None:
            raw = await any_house.raw()
            await raw.send(f'40{{"client_id":"p{number % 7}"}}', '421["join",{"room":"lobby"}]')
            if number % 2:
                await raw.until("431[", "44")
            if number % 5 == 0:
                await raw.send("41")
            elif number % 5 == 1:
                await raw.send("1")
            elif number % 5 == 2:
                await raw.send("4garbage")
            elif number % 5 == 3:
                await app.node.disconnect(f"p{number % 7}")
            raw.cut()

        await asyncio.gather(*(visit(number) for number in range(60)), return_exceptions=True)
        await any_house.empty()


class TestBounds:
    """Hazard 6: nothing is without end."""

    async def test_the_time_before_connect(self, way: str):
        """Who does not CONNECT in time is let go, with a reason, over every transport."""
        async with served({"engine": {"connect_timeout": "50ms"}}, way) as house:
            raw = await house.raw()
            assert await raw.closed() == 4017
            poller = await house.poller()
            async with asyncio.timeout(5):
                while (await poller.poll()).status_code == 200:
                    pass
            await house.empty()

    async def test_the_time_after_a_goodbye(self, way: str):
        """Who left its last namespace is let go as well."""
        async with served({"engine": {"connect_timeout": "100ms"}}, way) as house:
            raw = await house.client()
            await raw.send("41")
            assert await raw.closed() == 4017
            await house.empty()

    async def test_asking_again_and_again(self, any_house: House):
        """One connection may not ask to come in without end."""
        raw = await any_house.raw()
        for _ in range(100):
            await raw.send("40/nope,")
        assert await raw.closed() == 4000
        assert len(raw.saw("44/nope,")) < 50
        await any_house.empty()

    async def test_namespaces(self, app: App, any_house: House):
        """One connection may not join namespaces without end, however many there are."""
        app.sio.on("x", lambda *args: None, namespace="*")
        raw = await any_house.raw()
        for number in range(200):
            await raw.send(f"40/n{number},")
        assert await raw.closed() == 4000
        await any_house.empty()

    async def test_events_that_wait(self, app: App, any_house: House):
        """While a handler is slow its client's events wait in bounded number, and the line is not read."""
        gate = asyncio.Event()
        started: list[int] = []

        @app.sio.event
        async def slow(sid: str, number: int, text: str) -> None:
            started.append(number)
            await gate.wait()

        raw = await any_house.client()
        payload = json.dumps(["slow", 0, "x" * 2000])
        sending = asyncio.ensure_future(self.flood(raw, payload))
        await eventually(lambda: started)
        (connection,) = app.sio._connections.values()
        await eventually(lambda: connection.mailbox is not None and connection.mailbox._paused)
        await asyncio.sleep(0.02)
        assert len(connection.mailbox._jobs) < 1000
        gate.set()
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        raw.cut()
        await any_house.empty()

    @staticmethod
    async def flood(raw: Raw, payload: str) -> None:
        """Send without end."""
        while True:
            await raw.send(f"42{payload}")

    @pytest.mark.parametrize("head", ["511-", "5999-", "59999999999-", "50-", "5-"])
    async def test_attachments(self, any_house: House, head: str):
        """Attachments without end, or none, are malformed."""
        raw = await any_house.client("ann", "lobby")
        await raw.send(f'4{head}["chat",{{"message":"x"}}]')
        assert await raw.closed() == 4000
        await any_house.empty()


class TestMalformed:
    """Hazard 7: what is no packet ends the connection, and nothing of it is left."""

    @pytest.mark.parametrize(
        "frame",
        [
            "",
            "x",
            "9",
            "4",
            "47",
            "4[[[[",
            "42",
            "42[",
            '42{"a":1}',
            "42[]",
            "42[null]",
            "4" + "[" * 50_000,
            b"",
            b"\xc1",
        ],
        ids=lambda frame: repr(frame)[:20],
    )
    async def test_frames(self, any_house: House, frame: str | bytes):
        """One bad frame, and its sender is no member any more; there is a close frame."""
        raw = await any_house.client("ann", "lobby")
        await raw.send(frame)
        assert await raw.closed() == 4000
        await any_house.empty()

    async def test_packets_after_it(self, app: App, any_house: House):
        """What comes after a bad packet in the same breath is not done."""
        raw = await any_house.client("ann", "lobby")
        ben = await any_house.client("ben", "lobby")
        await raw.send("4garbage", '42["chat",{"message":"x","room":"lobby"}]')
        await raw.closed()
        await ben.call("ping")
        assert not ben.saw('42["chat"')

    async def test_in_one_post(self, any_house: House):
        """The same over long-polling: 400, and the rest of the payload is not done."""
        poller = await any_house.poller("ann")
        ben = await any_house.client("ben")
        response = await poller.post('4garbage\x1e42["chat",{"message":"x"}]')
        assert response.status_code == 400
        await ben.call("ping")
        assert not ben.saw('42["chat"')
        await eventually(lambda: any_house.app.node.connected() == ["ben"])


class TestForgedAcks:
    """Hazard 12: acknowledgements that nobody asked for."""

    @pytest.mark.parametrize("number", ["0", "1", "2", "999999999999999"])
    async def test_a_later_call_works(self, app: App, any_house: House, number: str):
        """A forged acknowledgement breaks no call that comes after it, and answers none."""
        raw = await any_house.raw()
        sid = (await raw.join())["sid"]
        await raw.send(f'43{number}["forged"]', f'461-{number}[{{"_placeholder":true,"num":0}}]', b"forged")
        await raw.call("ping")
        asking = asyncio.ensure_future(app.sio.call("question", to=sid, timeout=5))
        packet = await raw.until("42", "421[")
        expected = packet[2 : packet.index("[")]
        if number != expected:
            await raw.send(f'43{number}["forged"]')
        await raw.send(f'43{expected}["true"]')
        assert await asking == "true"

    async def test_anothers_question(self, app: App, any_house: House):
        """One client cannot answer what another was asked."""
        ann, eve = await any_house.raw(), await any_house.raw()
        sid = (await ann.join())["sid"]
        await eve.join()
        asking = asyncio.ensure_future(app.sio.call("question", to=sid, timeout=5))
        await ann.until('421["question"')
        await eve.send('431["forged"]')
        await eve.call("ping")
        assert not asking.done()
        await ann.send('431["true"]')
        assert await asking == "true"


class TestSlowConsumers:
    """Hazard 5, as far as others would notice."""

    async def test_others_hear_on(self, way: str):
        """A client that takes nothing is let go in the middle of a broadcast; nobody else misses anything."""
        async with served({"engine": {"send_buffer": {"max_bytes": "3KB"}}}, way) as house:
            for number in range(3):
                await house.poller(f"slow{number}")
            ben = await house.client("ben")
            for number in range(8):
                (ack,) = await ben.call("chat", {"message": "x" * 900})
                assert ack["ok"], ack
                assert ack["offset"] == number + 1
            assert len(ben.saw('42["chat"')) == 8
            await eventually(lambda: house.app.node.connected() == ["ben"])


class TestDraining:
    """Going down without losing anybody."""

    async def test_clients(self, app: App, any_house: House):
        """Clients are told and their transports closed, without a DISCONNECT, which would keep them away."""
        app.sio.on("x", lambda *args: None, namespace="/own")
        raws = [await any_house.client(f"p{number}", "lobby") for number in range(25)]
        await raws[0].join("/own")
        poller = await any_house.poller("poller")
        await app.drain(spread=0.1, step=0.01)
        for raw in raws:
            assert await raw.closed() == 4015
            (told,) = raw.saw('42["disconnecting_by_server"')
            body = json.loads(told[2:])[1]
            assert (body["code"], body["reason"], body["reconnect"]) == (4015, "server_draining", True)
            assert not raw.saw("41")
        assert raws[0].saw('42/own,["disconnecting_by_server"')
        assert '"server_draining"' in await poller.until('42["disconnecting_by_server"')
        await any_house.empty()

    async def test_new_ones(self, app: App, any_house: House):
        """Who comes meanwhile is sent elsewhere on HTTP level, with when to come again; health says so."""
        await app.drain(spread=0.0)
        async with any_house.http() as http:
            response = await http.get("/socket.io/", params={"EIO": "4", "transport": "polling"})
            assert response.status_code == 503
            assert int(response.headers["retry-after"]) >= 1
            assert (await http.get("/readyz")).status_code == 503
            assert (await http.get("/healthz")).status_code == 200
        with pytest.raises(InvalidStatus) as refusal:
            await any_house.raw()
        assert refusal.value.response.status_code == 503
        assert int(refusal.value.response.headers["retry-after"]) >= 1
        assert app.engine.sockets == {}

    async def test_is_spread(self, app: App, house: House):
        """The transports close in batches, so that the clients do not all come back at once."""
        raws = [await house.client(f"p{number}") for number in range(30)]
        draining = asyncio.ensure_future(app.drain(spread=0.2, step=0.1))
        await eventually(lambda: len(app.engine.sockets) < 30)
        assert 0 < len(app.engine.sockets) < 30
        await draining
        assert app.engine.sockets == {}
        for raw in raws:
            await raw.closed()

    async def test_who_is_being_accepted(self, app: App, any_house: House):
        """A client whose connect handler runs is let go, too, and leaves nothing."""
        gate = asyncio.Event()
        asked = asyncio.Event()

        @app.sio.event
        async def connect(sid: str, environ: Any) -> None:
            asked.set()
            await gate.wait()

        raw = await any_house.raw()
        await raw.send("40")
        await asked.wait()
        await app.drain(spread=0.0)
        assert await raw.closed() == 4015
        gate.set()
        await any_house.empty()


class TestRates:
    """What a client gains by leaving and coming back on one connection."""

    async def test_a_new_namespace_connection_has_no_new_tokens(self):
        """DISCONNECT and CONNECT again on the same line: the bucket is as empty as before."""
        async with served({"limits": {"rate": {"messages": 1, "per": "1h", "burst": 2}}}) as strict:
            raw = await strict.client()
            answers = [(await raw.call("ping"))[0]["ok"]]
            await raw.send("41", "40")
            await raw.until("40")
            answers += [(await raw.call("ping"))[0]["ok"] for _ in range(2)]
            assert answers == [True, True, False]
