"""rtserver inside an application (CONTRACT section 2)."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path

import pytest
import yaml

from .harness import raw
from .harness.node_client import Node, until
from .harness.server import COMMON, Server, Servers, command, free_port, merged, run_command
from .harness.shapes import SECRET, check_ack, check_connect_error, check_event, check_refusal, token, unique

APP = """
import asyncio
import sys

from rtserver import create_app, run

app = create_app("config.yaml")
seen = []


@app.on_connect
async def hook(client, auth):
    seen.append([client.sid, client.client_id, client.namespace, auth])
    if auth.get("slow"):
        await asyncio.sleep(0.5)
    if auth.get("fail"):
        raise RuntimeError("not you")
    if auth.get("cancel"):
        raise asyncio.CancelledError
    if auth.get("disconnect"):
        await app.sio.disconnect(client.sid)
    if auth.get("kick"):
        await app.node.disconnect(client.client_id)
    if auth.get("type_error"):
        raise TypeError("nor you")


@app.sio.on("seen")
async def tell(sid, data):
    return [entry for entry in seen if entry[1] == data["client_id"]]


@app.sio.on("add")
async def add(sid, data):
    return data["a"] + data["b"]


@app.sio.on("typing")
async def typing(sid, data):
    return {"mine": True, "got": data}


@app.sio.on("verb")
async def verb(sid, data):
    try:
        result = await getattr(app.node, data["name"])(*data.get("args", []), **data.get("kwargs", {}))
    except Exception as error:
        return {"raised": repr(error)}
    return {"done": data["name"], "result": repr(result)}


@app.sio.on("who")
async def who(sid, data):
    connected = app.node.connected()
    return {"is": app.node.is_connected(data["client_id"]), "count": len(list(connected))}


@app.sio.on("away")
async def away(sid, data):
    await app.sio.disconnect(sid)


@app.sio.on("question")
async def question(sid, data):
    return {"answer": await app.sio.call("asked", data, to=sid, timeout=3)}


@app.sio.on("hello", namespace="/own")
async def hello(sid, data):
    await app.sio.emit("greeting", {"text": "hello " + data["name"]}, to=sid, namespace="/own")
    return {"ok": True, "own": True}


if __name__ == "__main__":
    run(app)
"""


GRACEFUL = ["--timeout-graceful-shutdown", "2"]


def place(where: Path, config: dict, port: int) -> None:
    """An application in a directory of its own."""
    (where / "my_app.py").write_text(APP)
    laid = merged(merged(COMMON, {"server": {"port": port}, "recovery": {"grace": "300ms"}}), config)
    (where / "config.yaml").write_text(yaml.safe_dump(laid))


def start(servers: Servers, how: str, config: dict | None = None) -> Server:
    """The application, started by one of the ways there are."""
    where, port = servers.directory(), free_port()
    place(where, config or {}, port)
    argv = {
        "serve": [*command(), "serve", "--app", "my_app:app", "--port", str(port)],
        "run": [sys.executable, "my_app.py"],
        "uvicorn": [sys.executable, "-m", "uvicorn", "my_app:app", "--port", str(port), *GRACEFUL],
    }[how]
    if how == "uvicorn":  # says so in its log, and ends by the signal that it was sent
        return servers.start(Server(argv, where, port, codes=(0, -15), says_so_on="stderr"))
    return servers.start(Server(argv, where, port))


@pytest.fixture(scope="module", params=["serve", "run", "uvicorn"])
def app(request: pytest.FixtureRequest, module_servers: Servers) -> Server:
    """The application, by `rtserver serve --app`, by `run(app)` and by uvicorn alone."""
    return start(module_servers, request.param)


async def test_the_rooms_work(app: Server, node: Node, transports: str):
    """Embedded, the server is the same: welcome, rooms, talk, binary, order."""
    room, who = unique("lobby"), unique("ada")
    ada = await node.connect(app.url, transports=transports, auth={"client_id": who})
    check_event("welcome", await ada.next("welcome"))
    check_ack("join", await ada.emit("join", {"room": room}))
    bob = await node.member(app.url, room, unique("bob"), transports="polling")
    check_ack("chat", await ada.emit("chat", {"room": room, "message": "hi", "data": b"\x00"}))
    for client in (ada, bob):
        assert check_event("chat", await client.next("chat"))["data"] == b"\x00"
    ada.burst("broadcast", 200, room=room)
    assert [p["message"] for p in await bob.take("broadcast", 200)] == [str(n) for n in range(200)]
    check_refusal(await ada.emit("nonsense"), "unknown_event")
    ada.disconnect()
    assert (await bob.next("user_left"))["client_id"] == who


async def test_health(app: Server):
    """/healthz and /readyz answer."""
    async with raw.http(app.url) as web:
        assert (await web.get("/healthz")).status_code == 200
        assert (await web.get("/readyz")).status_code == 200


async def test_own_events(app: Server, node: Node, transports: str):
    """An own event on app.sio answers as in python-socketio."""
    client = await node.connect(app.url, transports=transports)
    assert await client.emit("add", {"a": 2, "b": 3}) == 5
    await client.none("error")


async def test_a_replaced_event(app: Server, node: Node):
    """A handler for a built-in's name takes its place."""
    client = await node.connect(app.url)
    assert await client.emit("typing", {"anything": 1}) == {"mine": True, "got": {"anything": 1}}
    await client.none("error", "user_typing")


async def test_an_own_namespace(app: Server, node: Node, transports: str):
    """An own namespace works as in python-socketio."""
    client = await node.connect(
        app.url, transports=transports, namespace="/own", auth={"client_id": unique("a")}
    )
    assert await client.emit("hello", {"name": "Ada"}) == {"ok": True, "own": True}
    assert await client.next("greeting") == {"text": "hello Ada"}


async def test_two_namespaces_on_one_line(app: Server):
    """Namespaces of one connection are clients of their own: leaving one leaves the other alone."""
    who = unique("ada")
    async with raw.client(app.url, who) as bare:
        assert (await bare.open_namespace({"client_id": who}, "/own")).startswith("40/own,{")
        await bare.event("hello", {"name": "Ada"}, ack=1, namespace="/own")
        assert (await bare.until("43/own,1")) == '43/own,1[{"ok":true,"own":true}]'
        await bare.send("41/own,")
        assert (await bare.call("ping", {}))["pong"] is True
        assert (await bare.open_namespace({"client_id": who}, "/own")).startswith("40/own,{")


async def test_the_hook(app: Server, node: Node):
    """`@app.on_connect` is run once per connection and namespace with the client and the handshake's payload."""
    who = unique("ada")
    client = await node.connect(app.url, auth={"client_id": who, "colour": "blue"})
    (entry,) = await client.emit("seen", {"client_id": who})
    assert entry == [client.sid, who, "/", {"client_id": who, "colour": "blue"}]
    own = await node.connect(app.url, namespace="/own", auth={"client_id": who, "colour": "red"})
    entries = await client.emit("seen", {"client_id": who})
    assert entries[1:] == [[own.sid, who, "/own", {"client_id": who, "colour": "red"}]]


async def test_the_hook_without_a_payload(app: Server, node: Node):
    """Without a payload `auth` is {}."""
    who = unique("ada")
    client = await node.connect(app.url, query={"client_id": who})
    ((_, client_id, namespace, auth),) = await client.emit("seen", {"client_id": who})
    assert (client_id, namespace, auth) == (who, "/", {})


@pytest.mark.parametrize("how", ["fail", "type_error", "cancel", "kick"])
async def test_a_hook_that_refuses(app: Server, node: Node, how: str):
    """A hook that raises or kicks disconnects the client: it was connected, hears why, is gone, and is no ghost."""
    who = unique("ada")
    witness = await node.connect(app.url)
    client = node.open(app.url, auth={"client_id": who, how: True})
    check_event("disconnecting_by_server", await client.next("disconnecting_by_server"))
    await client.until_disconnected()
    assert client.connects == 1
    assert len(await witness.emit("seen", {"client_id": who})) == 1
    await until(lambda: witness.emit("who", {"client_id": who}), lambda answer: answer["is"] is False)
    check_refusal(await witness.emit("private", {"to": who, "message": "x"}), "not_found")


async def test_a_hook_that_disconnects(app: Server, node: Node, transports: str):
    """`sio.disconnect()` in the hook is not ignored, and leaves no ghost."""
    who = unique("ada")
    witness = await node.connect(app.url)
    client = node.open(app.url, transports=transports, auth={"client_id": who, "disconnect": True})
    await client.until_disconnected()
    await until(lambda: witness.emit("who", {"client_id": who}), lambda answer: answer["is"] is False)


async def test_sio_disconnect_closes_the_line(app: Server, node: Node):
    """`sio.disconnect()` is an 'io server disconnect' and ends the connection, not the namespace alone (hazard 9)."""
    room, who = unique("lobby"), unique("bob")
    witness = await node.member(app.url, room, unique("w"))
    client = await node.member(app.url, room, unique("ada"))
    client.send("away", {})
    assert await client.until_disconnected() == "io server disconnect"
    async with raw.client(app.url, who) as bare:
        await bare.call("join", {"room": room})
        await bare.event("away", {})
        await bare.until_closed(5)
        assert "41" in bare.seen
    assert {payload["client_id"] for payload in await witness.take("user_left", 2)} >= {who}
    assert check_ack("presence", await witness.emit("presence", {"room": room}))["count"] == 1


async def test_a_line_cut_in_the_hook(app: Server, node: Node):
    """A line that is cut while the hook is at work leaves no ghost."""
    who = unique("ada")
    witness = await node.connect(app.url)
    async with raw.engine(app.url) as bare:
        await bare.send(f'40{{"client_id":"{who}","slow":true}}')
        await until(lambda: witness.emit("seen", {"client_id": who}), bool)
        bare.connection.transport.abort()
    await until(lambda: witness.emit("who", {"client_id": who}), lambda answer: answer["is"] is False)
    await asyncio.sleep(0.6)
    assert (await witness.emit("who", {"client_id": who}))["is"] is False
    check_refusal(await witness.emit("private", {"to": who, "message": "x"}), "not_found")


async def test_publish(app: Server, node: Node):
    """node.publish reaches a room with a chat, a broadcast, or any event of one's own."""
    room = unique("lobby")
    ada = await node.member(app.url, room, unique("ada"))
    outside = await node.connect(app.url)

    async def publish(**kwargs: object) -> None:
        answer = await outside.emit("verb", {"name": "publish", "args": [room], "kwargs": kwargs})
        assert "done" in answer, answer

    await publish(message="from the backend")
    got = await ada.next("broadcast")
    assert (got["room"], got["message"]) == (room, "from the backend")
    await publish(event="task_update", data={"id": 7, "blob": b"\x00\x01"})
    assert await ada.next("task_update") == {"id": 7, "blob": b"\x00\x01"}
    await publish(event="notice", message="text alone")
    assert await ada.next("notice") == "text alone"
    await outside.none("broadcast", "task_update", "notice")


async def test_broadcast_and_send(app: Server, node: Node):
    """node.broadcast reaches everybody, node.send the clients of one client_id."""
    who = unique("ada")
    tabs = [
        await node.connect(app.url, transports=kind, auth={"client_id": who})
        for kind in ("websocket", "polling")
    ]
    other = await node.connect(app.url)
    text = unique("text")
    assert "done" in await other.emit("verb", {"name": "broadcast", "kwargs": {"message": text}})
    for client in (*tabs, other):
        assert (await client.next("broadcast"))["message"] == text
    assert "done" in await other.emit("verb", {"name": "send", "args": [who, "task_update", {"n": 1}]})
    for client in tabs:
        assert await client.next("task_update") == {"n": 1}
    await other.none("task_update")


@pytest.mark.parametrize("target", ["", [], None])
@pytest.mark.parametrize("name", ["publish", "send"])
async def test_nothing_empty_means_everybody(app: Server, node: Node, name: str, target: object):
    """A verb without a target raises, and reaches nobody."""
    witness = await node.connect(app.url)
    caller = await node.connect(app.url)
    args = [target] if name == "publish" else [target, "task_update", {"n": 1}]
    kwargs = {"message": "x"} if name == "publish" else {}
    assert "raised" in await caller.emit("verb", {"name": name, "args": args, "kwargs": kwargs})
    await witness.none("broadcast", "task_update")
    await caller.none("broadcast", "task_update")


@pytest.mark.parametrize("name", ["disconnect", "connect", "connect_error"])
async def test_reserved_names_are_refused(app: Server, node: Node, name: str):
    """No verb sends an event of a name that Socket.IO reserves."""
    room = unique("lobby")
    witness = await node.member(app.url, room, unique("w"))
    caller = await node.connect(app.url)
    future = caller.start(
        "verb", {"name": "publish", "args": [room], "kwargs": {"event": name, "data": {"x": 1}}}
    )
    done, _ = await asyncio.wait([future], timeout=1)
    assert not done or "done" not in (future.result()[0] or {})
    await witness.sync()
    assert witness.connects == 1


async def test_who_is_connected(app: Server, node: Node):
    """node.is_connected and node.connected know who is there."""
    who = unique("ada")
    asker = await node.connect(app.url)
    assert (await asker.emit("who", {"client_id": who}))["is"] is False
    client = await node.connect(app.url, auth={"client_id": who})
    answer = await asker.emit("who", {"client_id": who})
    assert answer["is"] is True
    assert answer["count"] >= 2
    client.disconnect()
    await until(lambda: asker.emit("who", {"client_id": who}), lambda answer: answer["is"] is False)


async def test_disconnect(app: Server, node: Node):
    """Node.disconnect tells the client why, sends it away for good, and closes the connection."""
    room, who = unique("lobby"), unique("ada")
    witness = await node.member(app.url, room, unique("w"))
    tabs = [await node.member(app.url, room, who, transports=kind) for kind in ("websocket", "polling")]
    async with raw.client(app.url, who) as bare:
        assert "done" in await witness.emit("verb", {"name": "disconnect", "args": [who]})
        for tab in tabs:
            told = check_event("disconnecting_by_server", await tab.next("disconnecting_by_server"))
            assert (told["reason"], told["reconnect"]) == ("kicked", False)
            assert await tab.until_disconnected() == "io server disconnect"
        assert await bare.until_closed(5) is not None or bare.connection.state.name == "CLOSED"
        assert "41" in bare.seen
    left = await witness.next("user_left")
    assert left["client_id"] == who
    await witness.none("user_left")


@pytest.mark.parametrize("forged", ["430[]", '430["x"]', "431[]", "43999[]", "43[]", "430[null]"])
async def test_forged_acks(app: Server, forged: str):
    """An ack that nobody asked for breaks no later call to that client (hazard 12)."""
    async with raw.client(app.url, unique("m")) as bare:
        await bare.send(forged)
        with contextlib.suppress(raw.ConnectionClosed):
            for number in range(3):
                await bare.event("question", {"n": number}, ack=number)
                asked = await bare.until("42")
                while '"asked"' not in asked:
                    asked = await bare.until("42")
                await bare.send(f"43{asked[2 : asked.index('[')]}" + f'["answer {number}"]')
                assert f'"answer {number}"' in await bare.until(f"43{number}[")
            return
    assert forged == "43[]", "the connection was closed"


async def test_behind_the_same_authentication(servers: Servers, node: Node):
    """Own namespaces and hooks are behind the same authentication as the main one."""
    server = start(
        servers, "serve", {"auth": {"mode": "required", "jwt": {"secret": SECRET, "algorithms": ["HS256"]}}}
    )
    for namespace in ("/", "/own"):
        refused = await node.open(server.url, namespace=namespace, auth={"client_id": "eve"}).until_refused()
        check_connect_error(refused.message, refused.data, "unauthorized")
    mine = token("ada")
    own = await node.connect(server.url, namespace="/own", auth={"token": mine})
    assert (await own.emit("hello", {"name": "Ada"}))["own"] is True
    main = await node.connect(server.url, auth={"token": mine})
    assert await main.emit("seen", {"client_id": "eve"}) == []
    entries = await main.emit("seen", {"client_id": "ada"})
    assert sorted(entry[2] for entry in entries) == ["/", "/own"]


async def test_from_a_dict(servers: Servers, node: Node):
    """create_app takes a dict, and what is wrong in it is told as by check-config."""
    where, port = servers.directory(), free_port()
    (where / "my_app.py").write_text(
        "from rtserver import create_app, run\n"
        f"run(create_app({{'server': {{'port': {port}}}, 'announce': {{'welcome': False}}}}))\n"
    )
    server = servers.start(Server([sys.executable, "my_app.py"], where, port))
    client = await node.connect(server.url)
    await client.none("welcome")


@pytest.mark.parametrize("app_path", ["missing_module:app", "my_app:missing", "my_app", "my_app:seen"])
def test_an_app_that_is_not_there(servers: Servers, app_path: str):
    """`--app` that leads nowhere is told in a line, without a traceback and without a server."""
    where = servers.directory()
    place(where, {}, free_port())
    done = run_command("serve", "--app", app_path, cwd=where)
    said = done.stdout + done.stderr
    assert done.returncode != 0
    assert "Traceback" not in said, said
    assert app_path.split(":", maxsplit=1)[0] in said, said
    assert "http://" not in done.stdout
