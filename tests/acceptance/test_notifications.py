"""Topics and inboxes: the events of CONTRACT sections 4 and 5, and their half of the HTTP API (section 8)."""

from __future__ import annotations

import asyncio
import http.server
import json
import sqlite3
import sys
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest

from .harness.node_client import Node, NodeClient, until
from .harness.server import Server, Servers
from .harness.shapes import SECRET, check_ack, check_event, check_refusal, token, unique

KEY = {"authorization": "Bearer the-key"}
CONFIG: dict[str, Any] = {
    "auth": {"mode": "optional", "jwt": {"secret": SECRET}},
    "api": {"keys": ["another-key", "the-key"]},
}
NOTICE = {"title": "Deployed", "message": "1.4 is out", "type": "success", "data": {"version": [1, 4]}}


@pytest.fixture(scope="module")
def secured(module_servers: Servers) -> Server:
    """A server with tokens and keys."""
    return module_servers.serve(CONFIG)


async def ask(
    server: Server, method: str, path: str, headers: Mapping[str, str] = KEY, **more: Any
) -> httpx.Response:
    """One request over a real connection."""
    async with httpx.AsyncClient(base_url=server.url, trust_env=False) as client:
        return await client.request(method, path, headers=dict(headers), **more)


async def put(server: Server, user: str, **more: Any) -> dict[str, Any]:
    """A notification in the user's inbox."""
    response = await ask(server, "POST", f"/api/users/{user}/notifications", json={**NOTICE, **more})
    assert response.status_code == 201, response.text
    return check_event("new_notification", response.json())


async def tab(node: Node, server: Server, user: str) -> NodeClient:
    """A connection of a user with a token."""
    return await node.connect(server.url, auth={"token": token(user)})


async def inbox(client: NodeClient, **asked: Any) -> dict[str, Any]:
    """The user's inbox."""
    return check_ack("notifications", await client.emit("notifications", asked))


async def test_a_topic(secured: Server, node: Node, transports: str):
    """Guests and users who are subscribed hear a topic; who unsubscribed, or never did, does not."""
    topic = unique("topic")
    ada = await node.connect(secured.url, transports=transports, auth={"token": token("ada")})
    guest, other = [await node.connect(secured.url) for _ in range(2)]
    for client in (ada, guest):
        ack = check_ack("subscribe", await client.emit("subscribe", {"topic": topic}))
        assert ack["topic"] == topic
    response = await ask(secured, "POST", f"/notify/{topic}", json=NOTICE)
    assert (response.status_code, response.json()) == (200, {"sent": 2})
    for client in (ada, guest):
        heard = check_event("notification", await client.next("notification"))
        assert heard["topic"] == topic
        assert heard["type"] == heard["level"] == "success"
        assert heard["data"] == NOTICE["data"]
    check_ack("unsubscribe", await guest.emit("unsubscribe", {"topic": topic}))
    form = await ask(secured, "POST", f"/notify/{topic}", data={"title": "T", "message": "M"})
    assert form.json() == {"sent": 1}
    assert check_event("notification", await ada.next("notification"))["type"] == "info"
    await guest.none("notification")
    await other.none("notification")


async def test_two_tabs_stay_in_step(secured: Server, node: Node):
    """What is new and what was read is heard by all tabs of the user, whichever of them read it, and by nobody else."""
    user = unique("ada")
    tabs = [await tab(node, secured, user) for _ in range(2)]
    stranger = await tab(node, secured, unique("bob"))
    stored = [await put(secured, user, title=str(number)) for number in range(3)]
    for one in tabs:
        assert await one.take("new_notification", 3) == stored
        page = await inbox(one)
        assert page["notifications"] == stored[::-1]
        assert page["unread"] == 3
    ids = [one["id"] for one in stored]
    ack = check_ack("mark_read", await tabs[0].emit("mark_read", {"notification_ids": [ids[0], "unknown"]}))
    assert ack["marked"] == 1
    for one in tabs:
        assert check_event("notification_read", await one.next("notification_read"))["notification_ids"] == [
            ids[0]
        ]
        assert (await inbox(one, unread=True))["notifications"] == stored[:0:-1]
    assert check_ack("mark_all_read", await tabs[1].emit("mark_all_read", {}))["marked"] == 2
    for one in tabs:
        check_event("all_read", await one.next("all_read"))
        assert (await inbox(one))["unread"] == 0
    await stranger.none("new_notification", "notification_read", "all_read")


async def test_another_users_notifications(secured: Server, node: Node):
    """Nobody reads or marks what is another user's, with an event or over HTTP."""
    victim, thief = unique("ada"), unique("eve")
    stored = await put(secured, victim)
    eve = await tab(node, secured, thief)
    assert (await inbox(eve, before="z"))["notifications"] == []
    ack = check_ack("mark_read", await eve.emit("mark_read", {"notification_ids": [stored["id"]]}))
    assert ack["marked"] == 0
    headers = {"authorization": f"Bearer {token(thief)}"}
    marked = await ask(secured, "POST", "/notifications/mark-read", headers, json=[stored["id"]])
    assert marked.json() == {"status": "ok", "marked": 0}
    assert (await inbox(await tab(node, secured, victim)))["unread"] == 1


async def test_guests(secured: Server, node: Node):
    """A guest has no inbox, is told why, and can get nobody's by the name it gives itself."""
    user = unique("ada")
    await put(secured, user)
    guest = await node.connect(secured.url, auth={"client_id": user, "name": user})
    for event, payload in (
        ("notifications", {}),
        ("mark_read", {"notification_ids": []}),
        ("mark_all_read", {}),
    ):
        check_refusal(await guest.emit(event, payload), "forbidden", "token")
    await put(secured, user)
    await guest.none("new_notification")


async def test_http(secured: Server, node: Node):
    """A user without a connection reads and marks over HTTP, and the connections hear of it."""
    user = unique("ada")
    headers = {"authorization": f"Bearer {token(user)}"}
    ids = [(await put(secured, user))["id"] for _ in range(3)]
    ada = await tab(node, secured, user)
    page = await ask(secured, "GET", f"/notifications?limit=1&before={ids[2]}", headers)
    assert [one["id"] for one in page.json()["notifications"]] == [ids[1]]
    marked = await ask(secured, "POST", "/notifications/mark-read", headers, json=ids[:1])
    assert marked.json() == {"status": "ok", "marked": 1}
    assert await ada.next("notification_read") == {"notification_ids": ids[:1]}
    unread = await ask(secured, "GET", "/notifications?unread=true", headers)
    assert [one["id"] for one in unread.json()["notifications"]] == ids[:0:-1]
    everything = await ask(secured, "POST", "/notifications/mark-all-read", headers)
    assert everything.json() == {"status": "ok", "marked": 2}
    assert await ada.next("all_read") == {}


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "status", "reason"),
    [
        ("POST", "/notify/t", {}, NOTICE, 401, "unauthorized"),
        ("POST", "/api/users/ada/notifications", {"authorization": "Bearer x"}, NOTICE, 401, "unauthorized"),
        ("GET", "/notifications", KEY, None, 401, "unauthorized"),
        ("POST", "/notify/t", KEY, {**NOTICE, "titel": "x"}, 400, "bad_request"),
        ("POST", "/notify/t", KEY, {"title": "x"}, 400, "bad_request"),
        ("GET", "/notify/t", KEY, None, 405, "bad_request"),
        ("POST", "/notify/t", KEY, {**NOTICE, "message": "x" * 70_000}, 413, "message_too_large"),
        ("POST", "/notify/t", KEY, {**NOTICE, "message": "x" * 1_100_000}, 413, "message_too_large"),
        ("GET", "/notify", KEY, None, 404, "not_found"),
    ],
)
async def test_refusals(
    secured: Server, method: str, path: str, headers: dict[str, str], body: Any, status: int, reason: str
):
    """Every refusal has its status and the contract's body."""
    response = await ask(secured, method, path, headers, json=body)
    assert response.status_code == status, response.text
    assert response.json().keys() == {"error"}
    check_refusal({"ok": False, **response.json()}, reason)


async def test_a_server_without_tokens(server: Server, node: Node):
    """In ``auth.mode: none`` the API is open and everybody is who they say, so there are inboxes, too."""
    user = unique("ada")
    ada = await node.connect(server.url, auth={"client_id": user})
    response = await ask(server, "POST", f"/api/users/{user}/notifications", {}, json=NOTICE)
    assert response.status_code == 201
    assert await ada.next("new_notification") == response.json()
    assert (await inbox(ada))["unread"] == 1
    page = await ask(server, "GET", f"/notifications?client_id={user}", {})
    assert page.json()["notifications"] == [response.json()]


async def test_a_crash(servers: Servers, node: Node):
    """The inbox is the same after ``kill -9`` and a restart: what was stored, what was read, and when."""
    first = servers.serve(CONFIG)
    ids = [(await put(first, "ada"))["id"] for _ in range(3)]
    ada = await tab(node, first, "ada")
    await ada.emit("mark_read", {"notification_ids": ids[:1]})
    before = await inbox(ada)
    first.kill()
    second = servers.serve(CONFIG, cwd=first.cwd)
    ada = await tab(node, second, "ada")
    assert await inbox(ada) == before
    assert before["unread"] == 2
    newer = await put(second, "ada")
    assert newer["id"] > ids[-1]


async def test_retention(servers: Servers, node: Node):
    """No more than so many are kept per user, the newest, and none longer than its time."""
    server = servers.serve({**CONFIG, "notifications": {"retention": {"max_count": 2, "max_age": "1s"}}})
    for title in "abc":
        await put(server, "ada", title=title)
    ada = await tab(node, server, "ada")
    assert [one["title"] for one in (await inbox(ada))["notifications"]] == ["c", "b"]
    await until(lambda: inbox(ada), lambda page: not page["notifications"] and page["unread"] == 0)


@pytest.mark.skipif(sys.platform != "linux", reason="takes the disk away by means of Linux")
async def test_a_store_that_fails(servers: Servers, node: Node):
    """With a full disk who uses an inbox is told so, chat and topics go on, and /readyz tells until it is over."""
    server = servers.serve(CONFIG)
    await put(server, "ada")
    ada, bob = [await tab(node, server, user) for user in ("ada", "bob")]
    for client in (ada, bob):
        await client.emit("join", {"room": "lobby"})
        await client.emit("subscribe", {"topic": "t"})
    _limit_files(server, 0)
    refused = await ask(server, "POST", "/api/users/ada/notifications", json=NOTICE)
    assert refused.status_code == 500
    check_refusal({"ok": False, **refused.json()}, "server_error", "store")
    check_refusal(await ada.emit("mark_all_read", {}), "server_error", "store")
    ready = await ask(server, "GET", "/readyz")
    assert (ready.status_code, ready.json()["error"]["reason"]) == (503, "server_error")
    check_ack("chat", await ada.emit("chat", {"room": "lobby", "message": "still here"}))
    assert (await bob.next("chat"))["message"] == "still here"
    assert (await ask(server, "POST", "/notify/t", json=NOTICE)).json() == {"sent": 2}
    await ada.none("all_read")
    _limit_files(server, -1)
    await until(lambda: ask(server, "GET", "/readyz"), lambda response: response.status_code == 200)
    await put(server, "ada")
    assert (await inbox(ada))["unread"] == 2


async def test_a_store_that_is_not_there_yet(servers: Servers, node: Node):
    """A server whose store cannot be opened serves chat, says so at /readyz, and has inboxes once it can be."""
    where = servers.directory()
    # Somebody else has the file to itself.
    other = sqlite3.connect(where / "inbox.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    server = servers.serve({**CONFIG, "store": {"url": f"sqlite:///{where}/inbox.db"}}, cwd=where)
    ada = await tab(node, server, "ada")
    assert (await ask(server, "GET", "/readyz")).status_code == 503
    check_refusal(await ada.emit("notifications", {}), "server_error", "store")
    check_ack("join", await ada.emit("join", {"room": "lobby"}))
    other.execute("COMMIT")
    other.close()
    await until(lambda: ask(server, "GET", "/readyz"), lambda response: response.status_code == 200)
    await put(server, "ada")
    assert (await inbox(ada))["unread"] == 1


async def test_a_store_that_is_gone(servers: Servers, node: Node):
    """When the file is taken away nothing is stored where it would be lost; once it is back, so are the inboxes."""
    server = servers.serve(CONFIG)
    stored = await put(server, "ada")
    file, away = server.cwd / "rtserver.db", server.cwd / "away.db"
    file.rename(away)
    refused = await ask(server, "POST", "/api/users/ada/notifications", json=NOTICE)
    check_refusal({"ok": False, **refused.json()}, "server_error", "store")
    assert (await ask(server, "GET", "/readyz")).status_code == 503
    ada = await tab(node, server, "ada")
    check_ack("chat", await ada.emit("chat", {"message": "still here"}))
    away.rename(file)
    await until(lambda: ask(server, "GET", "/readyz"), lambda response: response.status_code == 200)
    assert (await inbox(ada))["notifications"] == [stored]


class _Receiver(http.server.BaseHTTPRequestHandler):
    """Keeps what it is sent."""

    events: list[dict[str, Any]]

    def do_POST(self) -> None:
        """Take an event."""
        self.events.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def receiver() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A target of webhooks: its URL, and the events that it was sent."""
    events: list[dict[str, Any]] = []
    listener = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), type("Receiver", (_Receiver,), {"events": events})
    )
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{listener.server_port}/", events
    listener.shutdown()
    thread.join()
    listener.server_close()


async def test_webhook(servers: Servers, node: Node, receiver: tuple[str, list[dict[str, Any]]]):
    """Backends hear what a user read, once: the marked ones, and nothing of what was read already."""
    url, events = receiver
    target = {"name": "audit", "url": url, "events": ["notification-read"]}
    server = servers.serve({**CONFIG, "webhooks": {"targets": [target]}})
    ids = [(await put(server, "ada"))["id"] for _ in range(3)]
    ada = await tab(node, server, "ada")
    for _ in range(2):
        await ada.emit("mark_read", {"notification_ids": [ids[0], "unknown"]})
    for _ in range(2):
        await ada.emit("mark_all_read", {})

    async def got() -> list[tuple[Any, Any]]:
        return [(one["data"]["user_id"], one["data"]["notification_ids"]) for one in events]

    assert await until(got, lambda found: len(found) >= 2) == [("ada", ids[:1]), ("ada", ids[:0:-1])]
    assert {one["type"] for one in events} == {"notification-read"}
    await asyncio.to_thread(server.stop)
    assert len(events) == 2


def _limit_files(server: Server, size: int) -> None:
    """Let every write to a file beyond so many bytes fail, as on a full disk; -1 is no limit."""
    import resource

    _, hard = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (size, hard))
