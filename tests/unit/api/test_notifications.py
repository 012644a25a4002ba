"""The HTTP API of notifications: who may ask, what may be sent, and what is answered."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import jwt
import orjson
import pytest

from rtserver.api import routes
from rtserver.api.bodies import Reader
from rtserver.api.credentials import Keys, Owners
from rtserver.api.inboxes import inboxes
from rtserver.api.notifications import own
from rtserver.api.notify import notify
from rtserver.auth.tokens import TokenVerifier
from rtserver.transport.origins import Origins
from tests.unit.api.test_routes import check_error, client
from tests.unit.handlers.table import Table
from tests.unit.node.stand_ins import heard

SECRET = "s" * 64
KEY = {"authorization": "Bearer right"}
CONFIG: dict[str, Any] = {
    "auth": {"mode": "optional", "jwt": {"secret": SECRET}},
    "limits": {"rate": None, "message_size": 2000},
}
NOTICE = {"title": "Deployed", "message": "1.4", "type": "warning", "data": {"n": [1, None]}}
LIMIT = 5000


def bearer(user: str, **claims: Any) -> dict[str, str]:
    """The header of a user's own token."""
    token = jwt.encode({"sub": user, "exp": time.time() + 60, **claims}, SECRET, algorithm="HS256")
    return {"authorization": f"Bearer {token}"}


def asking(
    table: Table, *, keys: tuple[str, ...] = ("wrong", "right"), demo: bool = False
) -> httpx.AsyncClient:
    """An HTTP client of a server with these keys."""
    settings = table.app.config.auth
    trusting = settings.mode == "none"
    reader = Reader(LIMIT)
    guard = Keys(keys, open_to_all=trusting)
    owners = Owners(None if trusting else TokenVerifier(settings.jwt).verify)
    notifications = table.notifications
    return client(
        routes.build(
            unready=lambda: None,
            demo=demo,
            resources=[
                notify(notifications, guard, reader),
                inboxes(notifications, guard, reader),
                own(notifications, owners, reader),
            ],
            origins=Origins(["https://*.example.com"]),
        )
    )


@pytest.fixture
def table() -> Table:
    """A server with tokens."""
    return Table(CONFIG)


@pytest.fixture
async def http(table: Table) -> AsyncIterator[httpx.AsyncClient]:
    """A client of it."""
    async with asking(table) as one:
        yield one


class TestNotify:
    """``POST /notify/{topic}``."""

    async def test_json(self, table: Table, http: httpx.AsyncClient):
        """Everybody who is subscribed hears it, and the answer counts them."""
        tabs = [table.person("ann"), table.person("bob"), table.person("carl")]
        for tab in tabs[:2]:
            table.ask(tab, "subscribe", {"topic": "builds/main"})
        response = await http.post("/notify/builds/main", json=NOTICE, headers=KEY)
        assert (response.status_code, response.json()) == (200, {"sent": 2})
        ((event, body),) = heard(tabs[0])
        assert event == "notification"
        assert (body["topic"], body["level"], body["data"]) == ("builds/main", "warning", {"n": [1, None]})
        assert heard(tabs[2]) == []

    @pytest.mark.parametrize(
        "sent",
        [
            {"data": {"title": "T", "message": "M", "data": '{"a": 1}'}},
            {"files": {"title": (None, "T"), "message": (None, "M"), "data": (None, '{"a": 1}')}},
            {"content": orjson.dumps({"title": "T", "message": "M", "data": {"a": 1}})},
            {
                "content": b'{"title": "T", "message": "M", "data": {"a": 1}}',
                "headers": {"content-type": "application/x-www-form-urlencoded"},
            },
            {
                "content": b'{"title": "T", "message": "M", "data": {"a": 1}}',
                "headers": {"content-type": "application/vnd.mine+json; charset=utf-8"},
            },
        ],
        ids=["form", "multipart", "no type", "JSON as a form", "JSON of a kind"],
    )
    async def test_bodies(self, table: Table, http: httpx.AsyncClient, sent: dict[str, Any]):
        """A form says the same as JSON, in either of its encodings, and ``data`` in it is JSON, too."""
        ann = table.person("ann")
        table.ask(ann, "subscribe", {"topic": "t"})
        response = await http.post("/notify/t", **{**sent, "headers": {**KEY, **sent.get("headers", {})}})
        assert response.json() == {"sent": 1}
        ((_, body),) = heard(ann)
        assert (body["title"], body["message"], body["type"], body["data"]) == ("T", "M", "info", {"a": 1})

    async def test_a_text_as_data(self, table: Table, http: httpx.AsyncClient):
        """In a form, ``data`` that is no JSON is a text."""
        ann = table.person("ann")
        table.ask(ann, "subscribe", {"topic": "t"})
        await http.post("/notify/t", data={"title": "", "message": "", "data": "a {text}"}, headers=KEY)
        assert heard(ann)[0][1]["data"] == "a {text}"

    async def test_nobody_there(self, http: httpx.AsyncClient):
        """A topic that nobody hears is no error."""
        assert (await http.post("/notify/nobody", json=NOTICE, headers=KEY)).json() == {"sent": 0}


class TestInbox:
    """Filling and reading an inbox."""

    async def test_there_and_back(self, table: Table, http: httpx.AsyncClient):
        """What a backend stores is answered, told to the user's clients, and in the user's inbox until it is read."""
        ann = table.person("ann")
        response = await http.post("/api/users/ann/notifications", json=NOTICE, headers=KEY)
        stored = response.json()
        assert response.status_code == 201
        assert stored.keys() == {
            "id", "user", "type", "level", "title", "message", "data", "timestamp",
        }  # fmt: skip
        assert heard(ann) == [["new_notification", stored]]
        mine = bearer("ann")
        assert (await http.get("/notifications", headers=mine)).json() == {"notifications": [stored]}
        marked = await http.post("/notifications/mark-read", json=[stored["id"], "unknown"], headers=mine)
        assert (marked.status_code, marked.json()) == (200, {"status": "ok", "marked": 1})
        assert heard(ann) == [["notification_read", {"notification_ids": [stored["id"]]}]]
        unread = await http.get("/notifications", params={"unread": "true"}, headers=mine)
        assert unread.json() == {"notifications": []}

    async def test_marking_all(self, table: Table, http: httpx.AsyncClient):
        """Everything is read at once, without a body, and nothing of another user's."""
        for user in ("ann", "ann", "bob"):
            await http.post(f"/api/users/{user}/notifications", json=NOTICE, headers=KEY)
        ann = table.person("ann")
        response = await http.post("/notifications/mark-all-read", headers=bearer("ann"))
        assert response.json() == {"status": "ok", "marked": 2}
        assert heard(ann) == [["all_read", {}]]
        theirs = await http.get("/notifications?unread=true", headers=bearer("bob"))
        assert len(theirs.json()["notifications"]) == 1

    async def test_pages(self, http: httpx.AsyncClient):
        """``limit`` and ``before`` go through an inbox as the event does."""
        ids = [
            (await http.post("/api/users/ann/notifications", json=NOTICE, headers=KEY)).json()["id"]
            for _ in range(3)
        ]
        page = await http.get("/notifications", params={"limit": 2, "before": ids[2]}, headers=bearer("ann"))
        assert [one["id"] for one in page.json()["notifications"]] == [ids[1], ids[0]]

    async def test_any_users_name(self, http: httpx.AsyncClient):
        """A user's id may hold what a path gives a meaning to."""
        response = await http.post("/api/users/a%2Fb%3Fc%20%C3%BC/notifications", json=NOTICE, headers=KEY)
        assert response.json()["user"] == "a/b?c ü"

    async def test_guests(self, http: httpx.AsyncClient):
        """Guests have no inbox to fill."""
        response = await http.post("/api/users/guest:abc/notifications", json=NOTICE, headers=KEY)
        check_error(response, 400, 4000, "bad_request")


BACKEND = ("/notify/t", "/api/users/ann/notifications")
USER = (
    ("GET", "/notifications"),
    ("POST", "/notifications/mark-read"),
    ("POST", "/notifications/mark-all-read"),
)


class TestWhoMayAsk:
    """Keys and tokens."""

    @pytest.mark.parametrize("path", BACKEND)
    @pytest.mark.parametrize(
        "header", [{}, {"authorization": "right"}, {"authorization": "Bearer "}, {"authorization": "Bearer r"},
                   {"authorization": "Basic right"}, {"authorization": "Bearer wr\u00f6ng"}, bearer("ann")]
    )  # fmt: skip
    async def test_without_a_key(self, http: httpx.AsyncClient, path: str, header: Mapping[str, str]):
        """Without one of the keys a backend is refused, before anything is looked at."""
        sent = {name: value.encode("latin-1") for name, value in header.items()}
        response = await http.post(path, content=b"{", headers=sent)
        check_error(response, 401, 4001, "unauthorized")
        assert response.headers["www-authenticate"] == "Bearer"

    @pytest.mark.parametrize("path", BACKEND)
    async def test_every_key(self, table: Table, http: httpx.AsyncClient, path: str):
        """Any of the keys opens the API; the word Bearer may be written as one likes (RFC 9110, section 11.1)."""
        for header in ("Bearer right", "bearer wrong", "BEARER  right "):
            response = await http.post(path, json=NOTICE, headers={"authorization": header})
            assert response.status_code in (200, 201)
        async with asking(table, keys=()) as closed:
            response = await closed.post(path, json=NOTICE, headers={"authorization": "Bearer "})
            check_error(response, 401, 4001, "unauthorized")
            assert "api.keys" in response.json()["error"]["message"]

    @pytest.mark.parametrize(("method", "path"), USER)
    async def test_without_a_token(self, http: httpx.AsyncClient, method: str, path: str):
        """An inbox is shown to nobody but its user: a key, a bad token and none are refused."""
        for headers in ({}, KEY, {"authorization": "Bearer x.y.z"}):
            check_error(await http.request(method, path, json=[], headers=headers), 401, 4001, "unauthorized")
        old = bearer("ann", exp=time.time() - 60)
        check_error(await http.request(method, path, json=[], headers=old), 401, 4012, "token_expired")

    async def test_without_tokens(self):
        """In ``auth.mode: none`` backends need no key, and a user is who the query says."""
        table = Table({"limits": {"rate": None}})
        async with asking(table) as http:
            stored = (await http.post("/api/users/ann/notifications", json=NOTICE)).json()
            assert (await http.post("/notify/t", json=NOTICE)).json() == {"sent": 0}
            page = await http.get("/notifications?client_id=ann&limit=1")
            assert page.json() == {"notifications": [stored]}
            check_error(await http.get("/notifications"), 401, 4001, "unauthorized")
            check_error(await http.get("/notifications?client_id="), 400, 4000, "bad_request")
            marked = await http.post("/notifications/mark-all-read?client_id=ann")
            assert marked.json()["marked"] == 1


class TestPages:
    """Web pages of other origins."""

    @pytest.mark.parametrize("origin", ["https://evil.test", "null", "https://example.com.evil.test"])
    async def test_foreign_ones(self, table: Table, http: httpx.AsyncClient, origin: str):
        """A page that is not allowed can neither fill nor read an inbox, even where everything else is open."""
        ann = table.person("ann")
        table.ask(ann, "subscribe", {"topic": "t"})
        response = await http.post("/notify/t", json=NOTICE, headers={**KEY, "origin": origin})
        check_error(response, 403, 4003, "forbidden")
        assert "access-control-allow-origin" not in response.headers
        assert heard(ann) == []

    @pytest.mark.parametrize("origin", ["https://app.example.com", "http://here"])
    async def test_allowed_ones(self, http: httpx.AsyncClient, origin: str):
        """The server's own pages and allowed ones may ask, and read the answer, also when it is an error."""
        asked = {"origin": origin, "access-control-request-method": "POST"}
        preflight = await http.options("/notifications/mark-read", headers=asked)
        assert preflight.status_code == 204
        assert "authorization" in preflight.headers["access-control-allow-headers"]
        for headers, status in ((bearer("ann"), 200), ({}, 401)):
            response = await http.get("/notifications", headers={**headers, "origin": origin})
            assert response.status_code == status
            assert response.headers["access-control-allow-origin"] == origin
            assert response.headers["vary"] == "Origin"


class TestBadRequests:
    """What is wrong is said in the contract's words."""

    @pytest.mark.parametrize("path", BACKEND)
    @pytest.mark.parametrize(
        ("body", "named"),
        [
            ({"title": "t"}, "message"),
            ({"message": "m"}, "title"),
            ({**NOTICE, "tpye": "info"}, "tpye"),
            ({**NOTICE, "type": "fatal"}, "type"),
            ({**NOTICE, "title": 7}, "title"),
            ({**NOTICE, "title": None}, "title"),
            ({**NOTICE, "level": "info"}, "level"),
            ({**NOTICE, "data": {"_placeholder": True, "num": 0}}, "data"),
            ([], "object"),
            ("text", "object"),
            (None, "object"),
        ],
    )
    async def test_fields(self, http: httpx.AsyncClient, path: str, body: Any, named: str):
        """Missing, unknown and wrong fields are ``bad_request`` and named."""
        response = await http.post(path, content=orjson.dumps(body), headers=KEY)
        check_error(response, 400, 4000, "bad_request")
        assert named in response.json()["error"]["message"]

    @pytest.mark.parametrize("path", BACKEND)
    @pytest.mark.parametrize(
        ("kind", "body"),
        [
            ("application/json", b""),
            ("application/json", b'{"title": '),
            ("application/json", b"\xff\xfe"),
            ("text/plain", b'{"title": "t", "message": "m"}'),
            ("application/x-www-form-urlencoded", b""),
            ("application/x-www-form-urlencoded", b"title=a&title=b&message=m"),
            ("application/x-www-form-urlencoded", b"title=%ff&message=m"),
            ("application/x-www-form-urlencoded", b"\xff=1"),
            ("application/x-www-form-urlencoded", b"a=1&" * 200),
            ("multipart/form-data", b"--x--"),
            ("multipart/form-data; boundary=x", b"no boundary"),
            (
                "multipart/form-data; boundary=x",
                b'--x\r\nContent-Disposition: form-data; name="title"; filename="a"\r\n\r\nt\r\n--x--\r\n',
            ),
            ("x" * 300, b"{}"),
        ],
    )
    async def test_bodies(self, http: httpx.AsyncClient, path: str, kind: str, body: bytes):
        """What is no JSON and no form, or not of a type that we read, is ``bad_request``."""
        response = await http.post(path, content=body, headers={**KEY, "content-type": kind})
        check_error(response, 400, 4000, "bad_request")
        assert len(response.text) < 500

    @pytest.mark.parametrize("path", BACKEND)
    async def test_too_large(self, http: httpx.AsyncClient, path: str):
        """A body over the limit, announced or not, and a notification over ``limits.message_size`` are refused."""

        async def endless() -> AsyncIterator[bytes]:
            while True:
                yield b"x" * 1000

        for content in (
            b"x" * (LIMIT + 1),
            endless(),
            orjson.dumps({"title": "t" * 1001, "message": "é" * 500}),
        ):
            response = await http.post(path, content=content, headers=KEY)
            check_error(response, 413, 4007, "message_too_large")

    @pytest.mark.parametrize(
        "query", ["unread=7", "unraed=true", "limit=0", "limit=x", "limit=1&limit=2", "client_id=bob"]
    )
    async def test_queries(self, http: httpx.AsyncClient, query: str):
        """Unknown, repeated and wrong parameters are ``bad_request`` and named."""
        response = await http.get(f"/notifications?{query}", headers=bearer("ann"))
        check_error(response, 400, 4000, "bad_request")
        assert query.partition("=")[0] in response.json()["error"]["message"]

    @pytest.mark.parametrize("body", [b"{}", b'"x"', b"[1]", b"[null]", b"", b"[" * 200])
    async def test_lists_of_ids(self, http: httpx.AsyncClient, body: bytes):
        """What is marked is a list of identifiers."""
        response = await http.post("/notifications/mark-read", content=body, headers=bearer("ann"))
        check_error(response, 400, 4000, "bad_request")

    @pytest.mark.parametrize("demo", [False, True])
    async def test_wrong_methods(self, table: Table, demo: bool):
        """A wrong method is 405 with ``bad_request``, with the demo page as without."""
        async with asking(table, demo=demo) as http:
            for path in (*BACKEND, "/notifications/mark-read"):
                for method in ("GET", "PUT", "DELETE"):
                    response = await http.request(method, path, headers=KEY)
                    check_error(response, 405, 4000, "bad_request")
                    assert response.headers["allow"] == "POST"
            check_error(await http.post("/notifications", headers=KEY), 405, 4000, "bad_request")

    @pytest.mark.parametrize(
        "path", ["/notify/", "/notify/%E2%80%AEx", "/notify/" + "a" * 129, "/api/users//notifications"]
    )
    async def test_names(self, http: httpx.AsyncClient, path: str):
        """A topic or user of no proper name is ``bad_request``."""
        check_error(await http.post(path, json=NOTICE, headers=KEY), 400, 4000, "bad_request")

    async def test_a_store_that_fails(self, table: Table, http: httpx.AsyncClient):
        """When the store fails, who asks is told so and may try again; topics work on."""
        table.inbox.broken = True
        for method, path, headers in (
            ("POST", "/api/users/ann/notifications", KEY),
            ("GET", "/notifications", bearer("ann")),
            ("POST", "/notifications/mark-all-read", bearer("ann")),
        ):
            body = NOTICE if headers is KEY else None
            response = await http.request(method, path, json=body, headers=headers)
            check_error(response, 500, 4500, "server_error")
            assert response.headers["retry-after"]
        assert (await http.post("/notify/t", json=NOTICE, headers=KEY)).status_code == 200
