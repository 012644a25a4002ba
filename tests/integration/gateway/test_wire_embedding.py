"""An application's own code on ``app.sio``, ``app.on_connect`` and ``app.node``, with clients on the wire."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
import socketio

from rtserver.app import App
from rtserver.protocol.errors import ROOM_FULL, TOO_MANY_CONNECTIONS, RtError
from tests.integration.gateway.house import House, eventually, served

REFUSALS: dict[str, BaseException] = {
    "plain refusal": socketio.exceptions.ConnectionRefusedError(),
    "refusal": socketio.exceptions.ConnectionRefusedError("no entry", {"why": 5}),
    "builtin refusal": ConnectionRefusedError("no entry"),
    "rt": RtError(TOO_MANY_CONNECTIONS, "enough"),
    "exception": RuntimeError("password=hunter2"),
    "type error": TypeError("broken"),
    "cancelled": asyncio.CancelledError(),
}


class TestOwnEvents:
    """Handlers for events of one's own."""

    @pytest.mark.parametrize("kind", ["function", "coroutine"])
    async def test_arguments_and_acks(self, app: App, house: House, kind: str):
        """A handler gets sid and arguments; what it returns is the ack: a tuple is several values, None is none."""
        calls: list[Any] = []
        answers: dict[str, Any] = {"one": 1, "two": (1, {"a": 2}), "none": None, "list": [1, 2]}

        def handle(sid: str, which: str, *more: Any) -> Any:
            calls.append((sid, which, *more))
            return answers[which]

        async def handle_later(sid: str, which: str, *more: Any) -> Any:
            await asyncio.sleep(0)
            return handle(sid, which, *more)

        app.sio.on("mine", handle if kind == "function" else handle_later)
        raw = await house.raw()
        sid = (await raw.join())["sid"]
        assert await raw.call("mine", "one") == [1]
        assert await raw.call("mine", "two", 5, {"x": 1}) == [1, {"a": 2}]
        assert await raw.call("mine", "none") == []
        assert await raw.call("mine", "list") == [[1, 2]]
        assert calls == [(sid, "one"), (sid, "two", 5, {"x": 1}), (sid, "none"), (sid, "list")]

    async def test_binary(self, app: App, house: House):
        """Binary comes in and goes out as bytes."""
        app.sio.on("mine", lambda sid, data: {"back": data["in"] + b"!"})
        raw = await house.client()
        await raw.send('451-7["mine",{"in":{"_placeholder":true,"num":0}}]', b"\0\xff")
        assert await raw.until("461-7") == '461-7[{"back":{"_placeholder":true,"num":0}}]'
        assert await raw.receive() == b"\0\xff!"

    async def test_takes_the_place_of_a_built_in(self, app: App, house: House):
        """A handler for the name of one of ours replaces it; the others stay."""

        @app.sio.event
        async def chat(sid: str, data: Any) -> str:
            return "mine"

        raw = await house.client()
        assert await raw.call("chat", "whatever") == ["mine"]
        assert (await raw.call("join", {"room": "a"}))[0]["ok"]

    async def test_message_can_be_taken_over(self, app: App, house: House):
        """The event ``message`` is one that may be replaced, too."""
        app.sio.on("message", lambda sid, data: data.upper())
        assert await (await house.client()).call("message", "hi") == ["HI"]

    async def test_catch_all(self, app: App, house: House):
        """A catch-all gets what nobody knows, and none of ours."""
        app.sio.on("*", lambda event, sid, *args: [event, *args])
        raw = await house.client()
        assert await raw.call("unheard_of", 1) == [["unheard_of", 1]]
        assert (await raw.call("rooms"))[0] == {"ok": True, "rooms": []}

    async def test_a_handler_that_fails(self, app: App, house: House):
        """What a handler raises, or cannot answer, is ``server_error``; an RtError is its own; the client lives on."""

        async def mine(sid: str, how: str) -> Any:
            if how == "raise":
                raise RuntimeError("password=hunter2")
            if how == "refuse":
                raise RtError(ROOM_FULL, "no place")
            return object() if how == "object" else "fine"

        app.sio.on("mine", mine)
        raw = await house.client()
        for how, reason in (("raise", "server_error"), ("refuse", "room_full"), ("object", "server_error")):
            (ack,) = await raw.call("mine", how)
            assert ack["ok"] is False
            assert ack["error"]["reason"] == reason
            assert "hunter2" not in json.dumps(ack)
        await raw.send('42["mine","raise"]')
        (error,) = await raw.until_event("error")
        assert (error["reason"], error["event"]) == ("server_error", "mine")
        assert await raw.call("mine", "fine") == ["fine"]

    async def test_wrong_number_of_arguments(self, app: App, house: House):
        """A client that sends what the handler does not take breaks nothing."""
        app.sio.on("mine", lambda sid, one: one)
        raw = await house.client()
        for args in ([], [1, 2], [1, 2, 3]):
            assert (await raw.call("mine", *args))[0]["ok"] is False
        assert await raw.call("mine", 5) == [5]

    async def test_order(self, app: App, house: House):
        """Events of one client are handled one after the other, own and ours, however long they take."""
        seen: list[int] = []

        @app.sio.event
        async def mine(sid: str, number: int) -> int:
            await asyncio.sleep(0.01 if number % 2 else 0)
            seen.append(number)
            return number

        raw = await house.client()
        for number in range(10):
            await raw.send(f'42{number}["mine",{number}]', f'42{100 + number}["ping"]')
        acks = [await raw.until("43") for _ in range(20)]
        ids = [int(ack[2 : ack.index("[")]) for ack in acks]
        assert ids == [number for pair in range(10) for number in (pair, 100 + pair)]
        assert seen == list(range(10))

    async def test_rates_hold(self):
        """``limits.rate`` holds for own events as for ours."""
        async with served({"limits": {"rate": {"messages": 1, "burst": 2}}}) as strict:
            strict.app.sio.on("mine", lambda sid: "fine")
            raw = await strict.client()
            assert [await raw.call("mine"), await raw.call("mine")] == [["fine"], ["fine"]]
            assert (await raw.call("mine"))[0]["error"]["reason"] == "rate_limited"

    async def test_rates_of_single_events_hold(self):
        """``limits.events`` holds for own events, too."""
        async with served(
            {"limits": {"rate": None, "events": {"mine": {"messages": 1, "per": "1h"}}}}
        ) as strict:
            strict.app.sio.on("mine", lambda sid: "fine")
            raw = await strict.client()
            assert await raw.call("mine") == ["fine"]
            assert (await raw.call("mine"))[0]["error"]["reason"] == "rate_limited"


class TestNamespaces:
    """Namespaces of one's own."""

    async def test_functions(self, app: App, house: House):
        """A namespace of functions is connected to beside the main one, with its own sid, rooms and events."""
        app.sio.on("mine", lambda sid, x: [sid, x], namespace="/own")
        raw = await house.client()
        sid = (await raw.join("/own", {"client_id": "ann"}))["sid"]
        assert await raw.call("mine", 1, namespace="/own") == [[sid, 1]]
        await app.sio.enter_room(sid, "a", namespace="/own")
        await app.sio.emit("x", 1, room="a", namespace="/own")
        await app.sio.emit("x", 2, room="a")
        assert await raw.until_event("x", "/own") == [1]
        assert app.sio.rooms(sid, namespace="/own") == [sid, "a"]

    async def test_a_class(self, app: App, house: House):
        """A class's methods are its handlers, and its own ``emit`` and rooms are those of its namespace."""

        class Own(socketio.AsyncNamespace):
            def on_connect(self, sid: str, environ: Any, auth: Any) -> None:
                self.auth = auth

            async def on_mine(self, sid: str, data: Any) -> str:
                await self.enter_room(sid, "a")
                await self.emit("told", data, room="a")
                return "done"

            def on_disconnect(self, sid: str, reason: str) -> None:
                self.gone = reason

        own = Own("/own")
        app.sio.register_namespace(own)
        raw = await house.raw()
        await raw.join("/own", {"x": 1})
        assert own.auth == {"x": 1}
        assert await raw.call("mine", 5, namespace="/own") == ["done"]
        await raw.send("41/own,")
        await eventually(lambda: hasattr(own, "gone"))
        assert own.gone == "client disconnect"
        raw.cut()
        await house.empty()

    async def test_any_namespace(self, app: App, house: House):
        """Handlers of the namespace ``*`` are told which one it is, with and without ``auth``."""
        seen: list[Any] = []

        @app.sio.on("connect", namespace="*")
        async def connected(namespace: str, sid: str, environ: Any, auth: Any) -> None:
            seen.append((namespace, auth))

        app.sio.on("mine", lambda namespace, sid, x: [namespace, x], namespace="*")
        raw = await house.raw()
        await raw.join("/one", {"a": 1})
        await raw.join("/two")
        assert await raw.call("mine", 5, namespace="/two") == [["/two", 5]]
        assert seen == [("/one", {"a": 1}), ("/two", None)]

    async def test_an_unknown_one(self, house: House):
        """A namespace that nobody registered is refused, and the connection may go on in another."""
        raw = await house.raw()
        assert await raw.ask_in("/nope") == {"message": "Invalid namespace"}
        await raw.join()

    async def test_built_in_events_are_the_main_namespaces(self, app: App, house: House):
        """Our events exist in the main namespace only."""
        app.sio.on("mine", lambda sid: None, namespace="/own")
        raw = await house.raw()
        await raw.join("/own")
        await raw.send('42/own,1["join",{"room":"a"}]')
        assert await raw.call("mine", namespace="/own") == []
        assert not raw.saw("43/own,1[")
        assert house.app.node.members("a") == []

    async def test_the_same_authentication(self, app: App, house: House):
        """Every namespace is behind the same handshake, with the query of the URL and what the payload says."""
        seen: list[Any] = []

        @app.on_connect
        async def hook(client: Any, auth: dict[str, Any]) -> None:
            seen.append((client.namespace, client.client_id))

        app.sio.on("connect", lambda sid, environ: environs.append(environ), namespace="/own")
        environs: list[Any] = []
        raw = await house.raw("&client_id=ann&name=Ann")
        await raw.join()
        await raw.join("/own")
        assert seen == [("/", "ann"), ("/own", "ann")]
        assert environs[0]["QUERY_STRING"].endswith("&client_id=ann&name=Ann")

    async def test_leaving_one(self, app: App, house: House):
        """Who leaves a namespace stays in the other; nothing of the first is left."""
        app.sio.on("mine", lambda sid: None, namespace="/own")
        raw = await house.client("ann", "lobby")
        await raw.join("/own")
        await raw.send("41/own,")
        await eventually(lambda: "/own" not in house.app.sio.manager._spaces)
        assert (await raw.call("rooms"))[0]["rooms"] == ["lobby"]
        await raw.join("/own")
        await house.app.sio.disconnect(
            house.app.sio.sid_of(next(iter(house.app.sio._connections)), "/own"), "/own"
        )
        await raw.until("41/own")
        assert (await raw.call("rooms"))[0]["rooms"] == ["lobby"]


class TestConnectHandlers:
    """The application's say in who comes in."""

    @pytest.mark.parametrize("auth", [None, {"x": 1}])
    @pytest.mark.parametrize(
        "kind", ["two", "three", "default", "star", "function", "class two", "class three"]
    )
    async def test_arities(self, app: App, house: House, kind: str, auth: Any):
        """A connect handler takes ``sid, environ`` or ``auth`` beside them, None without one."""
        seen: list[tuple[Any, ...]] = []

        async def two(sid: str, environ: Any) -> None:
            seen.append((sid, environ))

        async def three(sid: str, environ: Any, auth: Any) -> None:
            seen.append((sid, environ, auth))

        async def default(sid: str, environ: Any, auth: Any = "unset") -> None:
            seen.append((sid, environ, auth))

        async def star(*args: Any) -> None:
            seen.append(args)

        def function(sid: str, environ: Any, auth: Any) -> None:
            seen.append((sid, environ, auth))

        class Two(socketio.AsyncNamespace):
            def on_connect(self, sid: str, environ: Any) -> None:
                seen.append((sid, environ))

        class Three(socketio.AsyncNamespace):
            async def on_connect(self, sid: str, environ: Any, auth: Any) -> None:
                seen.append((sid, environ, auth))

        if kind.startswith("class"):
            app.sio.register_namespace(Two("/") if kind == "class two" else Three("/"))
        else:
            handlers = {"two": two, "three": three, "default": default, "star": star, "function": function}
            app.sio.on("connect", handlers[kind])
        raw = await house.raw("&q=1", {"X-Own": "yes"})
        sid = (await raw.join(auth=auth))["sid"]
        ((told, environ, *rest),) = seen
        assert told == sid
        assert environ["REMOTE_ADDR"] == "127.0.0.1"
        assert environ["HTTP_X_OWN"] == "yes"
        assert environ["QUERY_STRING"].endswith("&q=1")
        assert environ["asgi.scope"]["path"] == "/socket.io/"
        assert rest == ([] if kind.endswith("two") else [auth])
        assert app.sio.get_environ(sid) is environ

    @pytest.mark.usefixtures("hasty")
    @pytest.mark.parametrize("transport", ["websocket", "polling"])
    @pytest.mark.parametrize(
        ("how", "message"),
        [
            ("false", "unauthorized"),
            ("plain refusal", "Connection rejected by server"),
            ("refusal", "no entry"),
            ("builtin refusal", None),
            ("rt", "too_many_connections"),
            ("exception", "server_error"),
            ("type error", "server_error"),
            ("cancelled", "server_error"),
            ("disconnect", "kicked"),
            ("kick", "kicked"),
        ],
    )
    async def test_refusing(self, app: App, any_house: House, how: str, message: str | None, transport: str):
        """Whatever way a connect handler refuses, its client gets a CONNECT_ERROR, no welcome, and leaves nothing."""
        calls: list[str] = []

        @app.sio.event
        async def connect(sid: str, environ: Any, auth: Any) -> Any:
            calls.append(sid)
            await app.sio.enter_room(sid, "a")
            await asyncio.sleep(0)
            if how == "disconnect":
                await app.sio.disconnect(sid)
            elif how == "kick":
                app.sio.dismiss(app.sio.manager.client(sid, "/"), RtError(ROOM_FULL, "x"))
            elif how in REFUSALS:
                raise REFUSALS[how]
            return how != "false"

        app.sio.on("disconnect", lambda sid, reason: calls.append("disconnect"))
        app.on_connect(lambda client, auth: calls.append("hook"))  # type: ignore[arg-type,return-value]
        if transport == "websocket":
            raw = await any_house.raw()
            body = await raw.ask_in()
            assert not raw.saw("42")
            assert not raw.saw("40")
        else:
            poller = await any_house.poller()
            await poller.post("40")
            body = json.loads((await poller.until("4"))[2:])
        assert "sid" not in body
        if message is not None:
            assert body["message"] == message
        if how == "refusal":
            assert body["data"] == {"why": 5}
        if how == "rt":
            assert body["data"]["reconnect"] is True
        assert "hunter2" not in json.dumps(body)
        assert len(calls) == 1, calls
        if transport == "websocket":
            assert await raw.closed() is not None
        await any_house.empty()

    async def test_never_returning(self, way: str, monkeypatch: pytest.MonkeyPatch):
        """A connect handler that never returns costs its client the connection, and leaves no task."""
        monkeypatch.setattr("rtserver.gateway.desk.LAST_WORK", 0.05)
        async with served({"engine": {"connect_timeout": "50ms"}}, way) as house:

            @house.app.sio.event
            async def connect(sid: str, environ: Any) -> None:
                await asyncio.Event().wait()

            raw = await house.raw()
            await raw.send("40")
            assert await raw.closed() == 4017
            await house.empty()

    async def test_again_after_a_refusal(self, app: App, house: House):
        """A refused client may ask again on its connection."""
        verdicts = [False, None]
        app.sio.on("connect", lambda sid, environ: verdicts.pop(0))
        raw = await house.raw()
        assert (await raw.ask_in())["message"] == "unauthorized"
        await raw.join()
        assert (await raw.call("rooms"))[0]["ok"]

    async def test_emit_to_oneself(self, app: App, house: House):
        """As in python-socketio's own examples, a connect handler may emit to its client, who hears it."""

        @app.sio.event
        async def connect(sid: str, environ: Any) -> None:
            await app.sio.emit("hello", {"n": 1}, to=sid)

        client = socketio.AsyncClient(reconnection=False)
        heard: list[Any] = []
        client.on("hello", heard.append)
        await client.connect(house.url, transports=["websocket"])
        await eventually(lambda: heard)
        assert heard == [{"n": 1}]
        await client.disconnect()

    async def test_rooms_entered_meanwhile(self, app: App, house: House):
        """A room that the connect handler let its client into is heard once it is accepted."""

        @app.sio.event
        async def connect(sid: str, environ: Any) -> None:
            await app.sio.enter_room(sid, "vip")

        raw = await house.client()
        await app.sio.emit("x", 1, room="vip")
        assert await raw.until_event("x") == [1]
        raw.cut()
        await house.empty()

    async def test_a_session_begun_meanwhile(self, app: App, house: House):
        """What the connect handler saved is there afterwards."""

        @app.sio.event
        async def connect(sid: str, environ: Any) -> None:
            await app.sio.save_session(sid, {"user": 7})

        @app.sio.event
        async def mine(sid: str) -> Any:
            async with app.sio.session(sid) as session:
                session["more"] = True
            return await app.sio.get_session(sid)

        raw = await house.client()
        assert await raw.call("mine") == [{"user": 7, "more": True}]
        assert await raw.call("mine") == [{"user": 7, "more": True}]


class TestDisconnectHandlers:
    """The application hears who is gone."""

    @pytest.mark.parametrize("legacy", [False, True])
    @pytest.mark.parametrize(
        ("how", "reason"),
        [("cut", "transport close"), ("goodbye", "client disconnect"), ("kick", "server disconnect")],
    )
    async def test_what_it_can_ask(self, app: App, any_house: House, how: str, reason: str, legacy: bool):
        """It reads the session and rooms of its client, and the reason, once; then nothing is left."""
        seen: list[Any] = []

        async def look(sid: str) -> dict[str, Any]:
            return {
                "session": dict(await app.sio.get_session(sid)),
                "rooms": app.sio.rooms(sid)[1:],
                "connected": app.sio.manager.is_connected(sid, "/"),
            }

        async def gone(sid: str, why: str) -> None:
            seen.append((await look(sid), why))

        async def gone_legacy(sid: str) -> None:
            seen.append((await look(sid), reason))

        app.sio.on("disconnect", gone_legacy if legacy else gone)
        raw = await any_house.raw()
        sid = (await raw.join())["sid"]
        await app.sio.save_session(sid, {"user": 7})
        await app.sio.enter_room(sid, "vip")
        await raw.call("join", {"room": "lobby"})
        if how == "cut":
            raw.cut()
        elif how == "goodbye":
            await raw.send("41")
        else:
            await app.sio.disconnect(sid)
        await eventually(lambda: seen)
        if how == "goodbye":
            raw.cut()
        await any_house.empty()
        expected = {"session": {"user": 7}, "rooms": ["vip", "lobby"], "connected": False}
        assert seen == [(expected, reason)]
        with pytest.raises(KeyError):
            await app.sio.get_session(sid)

    async def test_after_what_was_asked_before(self, app: App, house: House):
        """It runs after the event of its client that was being handled."""
        seen: list[str] = []

        @app.sio.event
        async def slow(sid: str) -> None:
            await asyncio.sleep(0.05)
            await app.sio.get_session(sid)
            seen.append("slow")

        app.sio.on("disconnect", lambda sid, reason: seen.append("gone"))
        raw = await house.client()
        await raw.send('42["slow"]')
        await eventually(lambda: house.leftovers().get("jobs"))
        raw.cut()
        await house.empty()
        assert seen == ["slow", "gone"]

    @pytest.mark.parametrize("broken", ["raise", "type error", "cancelled", "hang"])
    async def test_one_that_fails(self, app: App, house: House, broken: str, monkeypatch: pytest.MonkeyPatch):
        """Whatever it does, its client is forgotten."""
        monkeypatch.setattr("rtserver.gateway.desk.LAST_WORK", 0.05)

        @app.sio.event
        async def disconnect(sid: str, reason: str) -> None:
            if broken == "hang":
                await asyncio.Event().wait()
            raise {"raise": RuntimeError, "type error": TypeError, "cancelled": asyncio.CancelledError}[
                broken
            ]

        raw = await house.client("ann", "lobby")
        raw.cut()
        await house.empty()

    async def test_a_handler_that_hangs_while_its_client_goes(
        self, app: App, house: House, monkeypatch: pytest.MonkeyPatch
    ):
        """Handlers that hang are given up some time after their client is gone, one after the other."""
        monkeypatch.setattr("rtserver.gateway.desk.LAST_WORK", 0.05)
        hanging: list[str] = []

        @app.sio.event
        async def mine(sid: str) -> None:
            hanging.append("event")
            await asyncio.Event().wait()

        @app.sio.event
        async def disconnect(sid: str, reason: str) -> None:
            hanging.append("disconnect")
            await asyncio.Event().wait()

        raw = await house.client()
        await raw.send('42["mine"]', '42["mine"]', '42["mine"]')
        await eventually(lambda: hanging)
        raw.cut()
        await house.empty()
        assert hanging == ["event", "disconnect"]


class TestCall:
    """Asking a client and waiting for its answer."""

    @pytest.mark.parametrize(
        ("values", "answer"), [([], None), ([1], 1), ([1, {"a": 2}], (1, {"a": 2})), ([None], None)]
    )
    async def test_answer(self, app: App, house: House, values: list[Any], answer: Any):
        """One value is the answer, several are a tuple, none is None."""
        raw = await house.raw()
        sid = (await raw.join())["sid"]
        asking = asyncio.ensure_future(app.sio.call("question", {"q": 1}, to=sid, timeout=5))
        packet = await raw.until('421["question"')
        assert packet == '421["question",{"q":1}]'
        await raw.send(f"431{json.dumps(values)}")
        assert await asking == answer

    async def test_from_within_a_handler(self, app: App, house: House):
        """A handler may ask the client whose event it handles: answers do not queue behind it."""

        @app.sio.event
        async def mine(sid: str) -> Any:
            return await app.sio.call("question", to=sid, timeout=5)

        raw = await house.client()
        await raw.send('427["mine"]')
        await raw.until('421["question"]')
        await raw.send('431["yes"]')
        assert await raw.until("437") == '437["yes"]'

    async def test_timeout(self, app: App, house: House):
        """Without an answer in time it is a TimeoutError, a late answer is ignored, and nothing waits on."""
        raw = await house.raw()
        sid = (await raw.join())["sid"]
        with pytest.raises(socketio.exceptions.TimeoutError):
            await app.sio.call("question", to=sid, timeout=0.01)
        await raw.send('431["late"]')
        assert (await raw.call("rooms"))[0]["ok"]
        assert not app.sio.manager.client(sid, "/").acks

    async def test_the_client_goes(self, app: App, any_house: House):
        """When the client goes the caller learns it at once."""
        raw = await any_house.raw()
        sid = (await raw.join())["sid"]
        asking = asyncio.ensure_future(app.sio.call("question", to=sid, timeout=60))
        await raw.until('421["question"')
        raw.cut()
        async with asyncio.timeout(30):
            with pytest.raises(socketio.exceptions.TimeoutError):
                await asking

    async def test_nobody(self, app: App, house: House):
        """Asking nobody is a TimeoutError at once."""
        for nobody in ("gone", "", None):
            async with asyncio.timeout(30):
                with pytest.raises(socketio.exceptions.TimeoutError):
                    await app.sio.call("question", to=nobody, timeout=60)

    async def test_data_that_cannot_be_sent(self, app: App, house: House):
        """An error of the caller's is the caller's, and nothing waits on."""
        raw = await house.raw()
        sid = (await raw.join())["sid"]
        with pytest.raises((TypeError, ValueError)):
            await app.sio.call("question", object(), to=sid)
        assert not app.sio.manager.client(sid, "/").acks

    async def test_by_a_stock_client(self, app: App, house: House):
        """python-socketio's own client answers."""
        client = await house.stock()
        client.on("question", lambda data: data * 2)
        assert await app.sio.call("question", 21, to=client.get_sid(), timeout=5) == 42


class TestHooks:
    """``@app.on_connect``."""

    async def test_when_and_with_what(self, app: App, house: House):
        """A hook runs after CONNECT and welcome, in the order of registration, with the client and its auth."""
        seen: list[Any] = []

        @app.on_connect
        async def one(client: Any, auth: dict[str, Any]) -> None:
            seen.append(("one", client.sid, client.client_id, client.namespace, auth))
            client.emit("from_hook", 1)

        @app.on_connect
        async def two(client: Any, auth: dict[str, Any]) -> None:
            seen.append(("two",))

        raw = await house.raw()
        sid = (await raw.join(auth={"client_id": "ann", "own": [1]}))["sid"]
        await raw.until_event("from_hook")
        texts = [str(frame) for frame in raw.seen]
        prefixes = ("40", '42["welcome"', '42["from_hook"')
        order = [[text.startswith(prefix) for text in texts].index(True) for prefix in prefixes]
        assert order == sorted(order)
        assert seen == [("one", sid, "ann", "/", {"client_id": "ann", "own": [1]}), ("two",)]

    async def test_without_auth(self, app: App, house: House):
        """Without a payload ``auth`` is an empty object."""
        seen: list[Any] = []

        @app.on_connect
        async def hook(client: Any, auth: dict[str, Any]) -> None:
            seen.append(auth)

        await (await house.raw()).join()
        assert seen == [{}]

    async def test_events_wait_for_it(self, app: App, house: House):
        """What the client sends meanwhile is handled after the hook."""
        seen: list[str] = []

        @app.on_connect
        async def hook(client: Any, auth: dict[str, Any]) -> None:
            await asyncio.sleep(0.02)
            await app.node.join(client, "lobby")
            seen.append("hook")

        raw = await house.raw()
        await raw.send("40", '421["rooms"]')
        assert json.loads((await raw.until("431"))[3:])[0]["rooms"] == ["lobby"]

    @pytest.mark.parametrize("namespace", ["", "/own"])
    @pytest.mark.parametrize("reconnect", [False, True])
    async def test_one_that_raises(self, app: App, any_house: House, reconnect: bool, namespace: str):
        """What it raises disconnects the client, who is told why; DISCONNECT only when it is not to come back."""
        app.sio.on("mine", lambda sid: None, namespace="/own")
        later: list[Any] = []

        @app.on_connect
        async def hook(client: Any, auth: dict[str, Any]) -> None:
            if reconnect:
                raise RtError(TOO_MANY_CONNECTIONS, "later")
            raise RuntimeError("password=hunter2")

        @app.on_connect
        async def never(client: Any, auth: dict[str, Any]) -> None:
            later.append(client)

        raw = await any_house.raw()
        await raw.join(namespace)
        (body,) = await raw.until_event("disconnecting_by_server", namespace)
        assert body.keys() == {"code", "reason", "message", "reconnect"}
        assert body["reconnect"] is reconnect
        assert "hunter2" not in json.dumps(body)
        if namespace:
            raw.cut()
        else:
            assert await raw.closed() == body["code"]
            assert bool(raw.saw("41")) is not reconnect
        await any_house.empty()
        assert later == []

    async def test_one_that_hangs(self, app: App, house: House, monkeypatch: pytest.MonkeyPatch):
        """A hook that hangs is given up when its client is gone, and leaves nothing."""
        monkeypatch.setattr("rtserver.gateway.desk.LAST_WORK", 0.05)

        @app.on_connect
        async def hook(client: Any, auth: dict[str, Any]) -> None:
            await asyncio.Event().wait()

        raw = await house.raw()
        await raw.join()
        raw.cut()
        await house.empty()

    async def test_one_that_is_late(self, app: App, any_house: House):
        """A hook that lets its client into a room after it has gone makes no ghost."""
        gate = asyncio.Event()
        done = asyncio.Event()

        @app.on_connect
        async def hook(client: Any, auth: dict[str, Any]) -> None:
            await gate.wait()
            await app.node.join(client, "lobby")
            await app.node.publish("lobby", message="x")
            client.emit("late")
            done.set()

        raw = await any_house.raw()
        await raw.join()
        raw.cut()
        await eventually(lambda: not any_house.app.node.connections)
        gate.set()
        await done.wait()
        await any_house.empty()

    @pytest.mark.usefixtures("hasty")
    async def test_a_refused_client_has_none(self, app: App, house: House):
        """Who was refused is not connected, so no hook runs."""
        seen: list[Any] = []
        app.sio.on("connect", lambda sid, environ: False)

        @app.on_connect
        async def hook(client: Any, auth: dict[str, Any]) -> None:
            seen.append(client)

        raw = await house.raw()
        await raw.ask_in()
        await raw.closed()
        assert seen == []


class TestVerbs:
    """``app.node`` and ``app.sio`` with clients on the wire."""

    async def test_publish_send_and_broadcast(self, app: App, any_house: House):
        """A room, a client_id and everybody are reached, each by its own verb."""
        ann, ben = await any_house.client("ann", "a"), await any_house.client("ben")
        assert (await app.node.publish("a", "news", data={"n": 1})).recipients == 1
        assert (await app.node.broadcast("news", data={"n": 2})).recipients == 2
        assert await app.node.send("ben", "news", {"n": 3}) == 1
        assert [await ann.until_event("news") for _ in range(2)] == [[{"n": 1}], [{"n": 2}]]
        assert [await ben.until_event("news") for _ in range(2)] == [[{"n": 2}], [{"n": 3}]]
        assert sorted(app.node.connected()) == ["ann", "ben"]

    async def test_disconnect_by_client_id(self, app: App, any_house: House):
        """Every tab of a user is told, sent a DISCONNECT, and its connection is closed."""
        tabs = [await any_house.client("ann") for _ in range(2)]
        ben = await any_house.client("ben")
        assert await app.node.disconnect("ann", "enough") == 2
        for tab in tabs:
            (body,) = await tab.until_event("disconnecting_by_server")
            assert body == {"code": 4016, "reason": "kicked", "message": "enough", "reconnect": False}
            assert await tab.closed() == 4016
            assert tab.saw("41") == ["41"]
        assert not app.node.is_connected("ann")
        assert (await ben.call("rooms"))[0]["ok"]

    async def test_sio_disconnect_closes_the_connection(self, app: App, any_house: House):
        """``sio.disconnect`` sends DISCONNECT and ends the TCP connection as well (hazard 9)."""
        raw = await any_house.raw()
        await app.sio.disconnect((await raw.join())["sid"])
        assert await raw.closed() is not None
        assert raw.saw("41") == ["41"]
        await any_house.empty()
        await eventually(lambda: not any_house.server.server_state.connections)

    async def test_a_polling_client_is_told_before_the_end(self, app: App, house: House):
        """Who polls hears why it is sent away before its session is unknown."""
        poller = await house.poller("ann")
        await app.node.disconnect("ann")
        assert '"kicked"' in await poller.until('42["disconnecting_by_server"')
        async with asyncio.timeout(5):
            while (await poller.poll()).status_code == 200:
                pass
        await house.empty()

    @pytest.mark.parametrize("target", [[], "", (), {}, [None], ["nobody"], 0])
    async def test_an_empty_target_is_nobody(self, app: App, house: House, target: Any):
        """Nothing empty means everybody (hazard 2)."""
        raw = await house.client("ann", "lobby")
        await app.sio.emit("oops", 1, to=target)
        await app.sio.emit("oops", 1, room=target)
        await app.sio.send("oops", to=target)
        await raw.call("ping")
        assert not raw.saw('42["oops"')
        assert not raw.saw('42["message"')

    async def test_everybody_is_none(self, app: App, house: House):
        """``emit`` without a target is everybody, as in python-socketio."""
        raws = [await house.client(who) for who in ("ann", "ben")]
        await app.sio.emit("news", 1)
        for raw in raws:
            assert await raw.until_event("news") == [1]

    async def test_callback(self, app: App, house: House):
        """``emit`` with a callback gets the client's answer."""
        raw = await house.raw()
        sid = (await raw.join())["sid"]
        got: list[Any] = []
        await app.sio.emit("question", 1, to=sid, callback=lambda *values: got.append(values))
        await raw.until('421["question",1]')
        await raw.send('431["a",2]', '431["again"]')
        await raw.call("ping")
        assert got == [("a", 2)]


class TestEngine:
    """``app.sio.eio``."""

    async def test_messages_can_be_taken_over(self, app: App, any_house: House):
        """A handler for ``message`` gets every message, on the fast path as on the other."""
        got: list[Any] = []

        async def message(sid: str, data: Any) -> None:
            got.append(data)
            await app.sio.eio.send(sid, f"echo {data!r}")

        app.sio.eio.on("message", message)
        raw = await any_house.raw()
        await raw.send("4hello", b"bytes", "4")
        assert [await raw.receive() for _ in range(3)] == ["4echo 'hello'", "4echo b'bytes'", "4echo ''"]
        assert got == ["hello", b"bytes", ""]


class TestStockClients:
    """python-socketio's AsyncClient."""

    @pytest.mark.parametrize("serializer", ["default", "msgpack"])
    @pytest.mark.parametrize(
        "transports", [["websocket"], ["polling"], ["polling", "websocket"]], ids="+".join
    )
    async def test_talks(self, app: App, any_house: House, transports: list[str], serializer: str):
        """It connects over every transport and in both encodings, joins, talks, and hears binary as it was."""
        heard: list[Any] = []
        client = socketio.AsyncClient(reconnection=False, serializer=serializer)
        client.on("chat", heard.append)
        await client.connect(any_house.url, auth={"client_id": "ann"}, transports=transports)
        assert (await client.call("join", {"room": "a"}))["ok"]
        ack = await client.call("chat", {"room": "a", "message": "é", "data": {"x": [b"\0\xff"]}})
        assert ack["ok"], ack
        await eventually(lambda: heard)
        assert (heard[0]["message"], heard[0]["data"]) == ("é", {"x": [b"\0\xff"]})
        await client.emit("chat", {"nope": 1})
        errors: list[Any] = []
        client.on("error", errors.append)
        assert (await client.call("nope"))["error"]["reason"] == "unknown_event"
        await client.disconnect()
        await any_house.empty()

    async def test_rooms_of_both_encodings(self, app: App, house: House):
        """Clients of both encodings hear one another, and what backends publish reaches both or neither."""
        from datetime import UTC, datetime

        heard: dict[str, list[Any]] = {"default": [], "msgpack": []}
        clients = {}
        for serializer, news in heard.items():
            clients[serializer] = await house.stock({"client_id": serializer}, serializer=serializer)
            clients[serializer].on("news", news.append)
            await clients[serializer].call("join", {"room": "a"})
        when = datetime(2026, 1, 2, tzinfo=UTC)
        assert (await app.node.publish("a", "news", data={"when": when, "raw": b"x"})).recipients == 2
        await eventually(lambda: all(heard.values()))
        assert heard["default"] == heard["msgpack"] == [{"when": when.isoformat(), "raw": b"x"}]

    @pytest.mark.usefixtures("hasty")
    async def test_refused(self, app: App, house: House):
        """A refusal is a ConnectionError with its reason."""
        app.sio.on("connect", lambda sid, environ: False)
        client = socketio.AsyncClient(reconnection=False)
        reasons: list[Any] = []
        client.on("connect_error", reasons.append)
        with pytest.raises(socketio.exceptions.ConnectionError):
            await client.connect(house.url, transports=["websocket"])
        assert reasons[0]["message"] == "unauthorized"
        assert reasons[0]["data"]["code"] == 4001
        await client.shutdown()
        await house.empty()
