"""The demo page in a real browser."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from .harness.line import line
from .harness.server import Server, Servers
from .harness.shapes import SECRET, token, unique

ROOT = Path(__file__).resolve().parents[2]
ARTIFACTS = ROOT / "artifacts"
HERE = Path(__file__).resolve().parent / "browser"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
LIMIT = 240.0


def browser() -> str | None:
    """The browser to drive: the one that CHROMIUM names, or the first that is installed."""
    named = os.environ.get("CHROMIUM")
    return shutil.which(named) if named else next(filter(None, map(shutil.which, BROWSERS)), None)


def missing() -> str | None:
    """What has to be installed before the page can be clicked, in one line; None when nothing."""
    if shutil.which("node") is None:
        return "Node.js is missing: install it, then run `make test`"
    if not (HERE / "node_modules" / "playwright-core").is_dir():
        return "npm packages are missing in tests/acceptance/browser: run `make test` (or `npm ci` there)"
    if not (ROOT / "rtserver" / "web" / "index.html").is_file():
        return "the demo page is not built: run `make pages`"
    if browser() is None:
        return "no browser was found: install chromium, or say where it is in CHROMIUM"
    return None


@pytest.fixture(scope="module")
def chromium() -> str:
    """The browser; without one the tests are skipped, but fail in CI."""
    lacking = missing()
    if lacking is not None:
        if os.environ.get("CI", "").lower() in ("1", "true", "yes"):
            pytest.fail(lacking, pytrace=False)
        pytest.skip(lacking)
    found = browser()
    assert found is not None
    return found


def test_two_people_use_the_page(chromium: str, server: Server):
    """People in two browsers join, talk, see who is here and who types, write privately and survive a lost line."""
    pictures = [ARTIFACTS / f"demo-{look}.png" for look in ("light", "dark", "phone")]
    for picture in pictures:
        picture.unlink(missing_ok=True)
    done = subprocess.run(
        ["node", "demo.mjs", server.url, str(ARTIFACTS)],
        cwd=HERE,
        env={**os.environ, "CHROMIUM": chromium},
        check=False,
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert done.returncode == 0, (
        f"{done.stdout}\n{done.stderr}\npictures of the moment: artifacts/demo-failed-*.png"
    )
    assert all(picture.stat().st_size > 10_000 for picture in pictures)


@pytest.mark.parametrize("half", [False, True], ids=["cut", "half-open"])
async def test_the_network_is_cut(chromium: str, server: Server, half: bool):
    """A page whose network is cut says so, and when it is back: reconnected, nothing missed; and that is true."""
    async with line(server.port) as wire:
        script = await asyncio.create_subprocess_exec(
            "node",
            "recovery.mjs",
            wire.url,
            server.url,
            unique("tunnel"),
            str(ARTIFACTS),
            cwd=HERE,
            env={**os.environ, "CHROMIUM": chromium},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert script.stdout is not None
        assert script.stderr is not None
        async with asyncio.timeout(LIMIT):
            async for said in script.stdout:
                if said.strip() == b"cut":
                    wire.down = True
                    wire.cut(half=half)
                elif said.strip() == b"mend":
                    wire.down = False
            errors = (await script.stderr.read()).decode()
            assert await script.wait() == 0, errors


def test_the_inbox_of_the_page(chromium: str, servers: Servers):
    """Two tabs of a user count and mark notifications in step, after a lost line as well; a guest has no inbox."""
    server = servers.serve(
        {"auth": {"mode": "optional", "jwt": {"secret": SECRET}}, "api": {"keys": ["browser-key"]}}
    )
    done = subprocess.run(
        ["node", "inbox.mjs", server.url, "browser-key", token("ada", name="Ada"), "ada"],
        cwd=HERE,
        env={**os.environ, "CHROMIUM": chromium},
        check=False,
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def test_the_docs_page(chromium: str, server: Server):
    """/docs shows calls, webhooks and events under a strict policy, and loads nothing from elsewhere."""
    done = subprocess.run(
        ["node", "docs.mjs", server.url],
        cwd=HERE,
        env={**os.environ, "CHROMIUM": chromium},
        check=False,
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
