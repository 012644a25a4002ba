"""The HTTP application: health, errors, and the page's headers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from rtserver.api import pages, routes
from rtserver.api.pages import DemoPage
from rtserver.protocol.errors import ROOM_FULL, SERVER_DRAINING, RtError


class State:
    """Whether the server is stopping."""

    draining = False


def _unready() -> RtError | None:
    return RtError(SERVER_DRAINING, "the server is stopping") if State.draining else None


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A built page."""
    (tmp_path / "index.html").write_text("<title>demo</title>")
    (tmp_path / "app.js").write_text("1")
    monkeypatch.setattr(routes, "WEB", tmp_path)
    monkeypatch.setattr(routes, "DemoPage", lambda: DemoPage(tmp_path))
    return tmp_path


def client(app: Starlette) -> httpx.AsyncClient:
    """An HTTP client of an application in this process."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://here", trust_env=False, verify=False)


@pytest.fixture
async def http(web: Path) -> AsyncIterator[httpx.AsyncClient]:
    """With the page."""
    State.draining = False
    async with client(routes.build(unready=_unready, demo=True)) as one:
        yield one


@pytest.fixture
async def bare() -> AsyncIterator[httpx.AsyncClient]:
    """Without the page."""
    State.draining = False
    async with client(routes.build(unready=_unready, demo=False)) as one:
        yield one


def check_error(response: httpx.Response, status: int, code: int, reason: str) -> None:
    """The error body of the contract, and nothing else."""
    assert response.status_code == status
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert body.keys() == {"error"}
    assert body["error"].keys() - {"retry_after"} == {"code", "reason", "message"}
    assert (body["error"]["code"], body["error"]["reason"]) == (code, reason)
    assert body["error"]["message"]


class TestHealth:
    """``/healthz`` and ``/readyz``."""

    async def test_running(self, http: httpx.AsyncClient):
        """A server that runs is alive and ready."""
        for path in ("/healthz", "/readyz"):
            response = await http.get(path)
            assert response.status_code == 200
            assert isinstance(response.json()["status"], str)
            assert (await http.head(path)).status_code == 200

    async def test_draining(self, http: httpx.AsyncClient):
        """A server that drains is alive and not ready: 503 with the error's body and when to come again."""
        State.draining = True
        assert (await http.get("/healthz")).status_code == 200
        response = await http.get("/readyz")
        check_error(response, 503, 4015, "server_draining")
        assert int(response.headers["retry-after"]) >= 1


class TestErrors:
    """Every error has the same body."""

    @pytest.mark.parametrize(
        "path", ["/nope", "/api/nope", "/healthz/x", "/app.js.map", "/../passwd", "/%00", "/ä"]
    )
    async def test_not_found(self, http: httpx.AsyncClient, bare: httpx.AsyncClient, path: str):
        """What is not there is ``not_found``, with the page as without."""
        for one in (http, bare):
            check_error(await one.get(path), 404, 4004, "not_found")

    async def test_without_the_page(self, bare: httpx.AsyncClient):
        """With the demo off there is nothing at ``/``."""
        check_error(await bare.get("/"), 404, 4004, "not_found")

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
    @pytest.mark.parametrize("path", ["/healthz", "/readyz"])
    async def test_wrong_method(
        self, http: httpx.AsyncClient, bare: httpx.AsyncClient, method: str, path: str
    ):
        """A wrong method is 405 with ``bad_request``, and says which are right (RFC 9110, section 15.5.6)."""
        for one in (http, bare):
            response = await one.request(method, path)
            check_error(response, 405, 4000, "bad_request")
            assert "GET" in response.headers["allow"]

    async def test_a_fault_of_ours(self, monkeypatch: pytest.MonkeyPatch):
        """What we did not expect is ``server_error`` and tells nothing of itself."""

        def broken() -> bool:
            raise RuntimeError("password=hunter2")

        async with client(routes.build(unready=broken, demo=False)) as one:
            response = await one.get("/readyz")
        check_error(response, 500, 4500, "server_error")
        assert "hunter2" not in response.text

    async def test_any_error_of_the_list(self):
        """An error of the closed list becomes its own status and body."""

        def refused() -> bool:
            raise RtError(ROOM_FULL, "no place", retry_after=2.4)

        async with client(routes.build(unready=refused, demo=False)) as one:
            response = await one.get("/readyz")
        check_error(response, 409, 4011, "room_full")
        assert response.json()["error"]["retry_after"] == 2.4
        assert response.headers["retry-after"] in ("2", "3")

    async def test_long_paths_are_not_repeated(self, bare: httpx.AsyncClient):
        """An answer does not grow with the question."""
        assert len((await bare.get("/" + "a" * 5000)).text) < 500


class TestPage:
    """The demo page."""

    @pytest.mark.parametrize("path", ["/", "/index.html", "/app.js"])
    async def test_headers(self, http: httpx.AsyncClient, path: str):
        """Every file of the page forbids what a page could be misused for."""
        response = await http.get(path)
        assert response.status_code == 200
        policy = response.headers["content-security-policy"]
        directives = {part.split()[0]: part.split()[1:] for part in policy.split(";")}
        assert directives["default-src"] == ["'self'"]
        assert directives["frame-ancestors"] == ["'none'"]
        assert directives["base-uri"] == ["'none'"]
        assert "'unsafe-inline'" not in policy
        assert "'unsafe-eval'" not in policy
        assert "*" not in policy
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["referrer-policy"] == "no-referrer"

    async def test_every_header_once(self, http: httpx.AsyncClient):
        """No header is there twice."""
        names = [name for name, _ in (await http.get("/")).headers.multi_items()]
        assert len(names) == len(set(names))

    @pytest.mark.parametrize(
        "path",
        [
            "/../secret.txt",
            "/%2e%2e/secret.txt",
            "/..%2fsecret.txt",
            "/app.js/../../secret.txt",
        ],
    )
    async def test_nothing_outside(self, http: httpx.AsyncClient, web: Path, path: str):
        """Only what lies in the page's folder is served."""
        (web.parent / "secret.txt").write_text("secret")
        response = await http.get(path)
        assert "secret" not in response.text.replace("secret.txt", "")
        assert response.status_code in (400, 404)

    async def test_health_is_not_hidden(self, http: httpx.AsyncClient, web: Path):
        """A file of the same name does not take the place of an endpoint."""
        (web / "healthz").write_text("no")
        assert (await http.get("/healthz")).json() == {"status": "ok"}

    @pytest.mark.parametrize(
        ("path", "forever"), [("/", False), ("/app.js", False), ("/assets/index-1a2b.js", True)]
    )
    async def test_caching(self, http: httpx.AsyncClient, web: Path, path: str, forever: bool):
        """Files whose names carry a hash are kept for ever, all others are asked for again."""
        (web / "assets").mkdir()
        (web / "assets" / "index-1a2b.js").write_text("1")
        assert ("immutable" in (await http.get(path)).headers["cache-control"]) is forever
        missing = await http.get("/assets/gone.js")
        assert "immutable" not in missing.headers.get("cache-control", "")

    async def test_unchanged_files(self, http: httpx.AsyncClient):
        """A browser that has a file already is told so."""
        first = await http.get("/app.js")
        again = await http.get("/app.js", headers={"if-none-match": first.headers["etag"]})
        assert again.status_code == 304

    async def test_a_page_that_was_not_built(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        """Without a built page the server runs all the same."""
        monkeypatch.setattr(routes, "WEB", tmp_path / "none")
        async with client(routes.build(unready=lambda: None, demo=True)) as one:
            assert (await one.get("/healthz")).status_code == 200
            check_error(await one.get("/"), 404, 4004, "not_found")

    def test_the_page_lies_in_the_package(self):
        """The page is served from where the package is installed."""
        assert pages.WEB.name == "web"
        assert pages.WEB.parent.name == "rtserver"

    async def test_can_be_mounted(self, web: Path):
        """The page is an ASGI application of its own."""
        async with client(Starlette(routes=[Mount("/", DemoPage(web))])) as one:
            assert "demo" in (await one.get("/")).text
