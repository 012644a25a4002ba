"""The commands: check-config, serve with a broken config, a port in use, stopping (CONTRACT sections 1 and 10)."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

import pytest
import yaml

from .harness import raw
from .harness.node_client import Node, until
from .harness.server import Server, free_port, run_command
from .harness.shapes import SECRET, check_event, token

PAGE = Path(__file__).resolve().parents[2] / "rtserver" / "web" / "index.html"


def written(path: Path, config: object) -> Path:
    """A config file."""
    file = path / "config.yaml"
    file.write_text(config if isinstance(config, str) else yaml.safe_dump(config))
    return file


def check(path: Path, config: object, **env: str) -> tuple[int, str]:
    """What `check-config` makes of it: exit code and everything it says."""
    done = run_command("check-config", "--config", str(written(path, config)), cwd=path, env=env)
    said = done.stdout + done.stderr
    assert "Traceback" not in said, said
    return done.returncode, said


BROKEN = {
    "server": {"prot": 8000},
    "auth": {"mode": "sometimes"},
    "limits": {"rate": {"messages": "many"}, "message_size": "64 KBit"},
    "rooms": [{"match": "a-*", "join": "anybody"}, {"match": "b-*", "max_membres": 3}],
    "recovery": {"grace": "soon"},
    "webhoks": {},
}
EXPECTED = {
    "server.prot": "port",
    "auth.mode": "optional",
    "limits.rate.messages": "",
    "limits.message_size": "",
    "rooms[0].join": "anyone",
    "rooms[1].max_membres": "max_members",
    "recovery.grace": "",
    "webhoks": "webhooks",
}


class TestCheckConfig:
    def test_every_problem_at_once(self, tmp_path: Path):
        """Every problem is listed with its path, a misspelt key with the nearest right one, and the exit code is 2."""
        code, said = check(tmp_path, BROKEN)
        assert code == 2, said
        for path, hint in EXPECTED.items():
            lines = [line for line in said.splitlines() if path in line]
            assert lines, f"{path} is not named:\n{said}"
            assert any(hint in line.replace(path, "") for line in lines), f"{hint} is not suggested:\n{said}"

    @pytest.mark.parametrize(
        "config", ["", "# nothing but a comment\n", {}, {"server": {"port": 9000}}, "server:\n"]
    )
    def test_good_ones(self, tmp_path: Path, config: object):
        """An empty file is all defaults; a good one is 0."""
        code, said = check(tmp_path, config)
        assert code == 0, said

    @pytest.mark.parametrize(
        "config", ["a: [", "- 1\n- 2\n", "text", "\t{", "a: 1\na: 2\n", "server: 5", "server: [1]"]
    )
    def test_no_config_at_all(self, tmp_path: Path, config: str):
        """What is no YAML mapping is a problem like others."""
        code, said = check(tmp_path, config)
        assert code == 2, said

    def test_no_file(self, tmp_path: Path):
        """A file that is not there is named."""
        done = run_command("check-config", "--config", "missing.yaml", cwd=tmp_path)
        assert done.returncode == 2
        assert "missing.yaml" in done.stdout + done.stderr
        assert "Traceback" not in done.stdout + done.stderr

    def test_environment(self, tmp_path: Path):
        """${NAME} is read from the environment; an unset one without a default is named."""
        config = "server:\n  port: ${RTS_TEST_PORT}\n  host: ${RTS_TEST_HOST:-127.0.0.1}\n"
        code, said = check(tmp_path, config, RTS_TEST_PORT="9000")
        assert code == 0, said
        code, said = check(tmp_path, config)
        assert code == 2
        assert "RTS_TEST_PORT" in said
        assert "server.port" in said
        assert "RTS_TEST_HOST" not in said

    def test_override(self, tmp_path: Path):
        """RTSERVER__SECTION__KEY overrides a key, and is checked like one."""
        code, said = check(tmp_path, {}, RTSERVER__RECOVERY__GRACE="soon")
        assert code == 2, said
        assert "recovery.grace" in said
        code, said = check(tmp_path, {"recovery": {"grace": "soon"}}, RTSERVER__RECOVERY__GRACE="2s")
        assert code == 0, said

    def test_secrets_are_not_shown(self, tmp_path: Path):
        """A secret shows in no message, not even in one about itself."""
        jwt = {"secret": "tooshort-s3cr3t", "algorithms": ["HS257"]}
        code, said = check(
            tmp_path, {"auth": {"mode": "required", "jwt": jwt}, "api": {"keys": [{"k3y": "s3cr3t"}]}}
        )
        assert code == 2, said
        assert "s3cr3t" not in said

    def test_open_to_the_network(self, tmp_path: Path):
        """Mode none on a host that others reach is refused unless auth.open_to_network says so."""
        code, said = check(tmp_path, {"server": {"host": "0.0.0.0"}, "auth": {"mode": "none"}})
        assert code == 2, said
        assert "open_to_network" in said
        code, said = check(
            tmp_path, {"server": {"host": "0.0.0.0"}, "auth": {"mode": "none", "open_to_network": True}}
        )
        assert code == 0, said

    def test_required_needs_a_key(self, tmp_path: Path):
        """Tokens cannot be required without anything to verify them by."""
        code, said = check(tmp_path, {"auth": {"mode": "required"}})
        assert code == 2, said
        assert "auth.jwt" in said


class TestServe:
    def test_a_broken_config_never_starts(self, tmp_path: Path):
        """`serve` with a broken config lists every problem, exits with 2 and opens no port."""
        port = free_port()
        done = run_command(
            "serve", "--config", str(written(tmp_path, BROKEN)), "--port", str(port), cwd=tmp_path
        )
        said = done.stdout + done.stderr
        assert done.returncode == 2, said
        assert "Traceback" not in said
        for path in EXPECTED:
            assert path in said
        assert "http://" not in done.stdout

    def test_no_config_file(self, tmp_path: Path):
        """`serve` with a config that is not there says so in one line."""
        done = run_command("serve", "--config", "missing.yaml", cwd=tmp_path)
        assert done.returncode == 2
        assert "missing.yaml" in done.stdout + done.stderr
        assert "Traceback" not in done.stdout + done.stderr

    def test_the_port_is_in_use(self, tmp_path: Path):
        """A port in use is said in one line, and the exit code is not 0."""
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            done = run_command(
                "serve", "--config", str(written(tmp_path, {})), "--port", str(port), cwd=tmp_path
            )
        said = done.stdout + done.stderr
        assert done.returncode not in (0, None), said
        assert "Traceback" not in said
        assert [line for line in said.splitlines() if str(port) in line and "in use" in line], said
        assert "http://" not in done.stdout

    def test_one_line_with_the_url(self, serve):
        """Exactly one line of stdout has the URL."""
        server: Server = serve()
        lines = [line for line in server.stdout if server.url in line]
        assert len(lines) == 1, server.stdout

    async def test_the_command_line_wins(self, serve):
        """--port overrides the environment, which overrides the file."""
        server: Server = serve({"server": {"port": 1}}, env={"RTSERVER__SERVER__PORT": "2"})
        async with raw.http(server.url) as web:
            assert (await web.get("/healthz")).status_code == 200

    async def test_the_environment_overrides(self, servers, node: Node):
        """RTSERVER__… overrides a key of the file, and lists and booleans are understood."""
        server = servers.serve(
            {"announce": {"welcome": True, "connections": False}},
            env={"RTSERVER__ANNOUNCE__WELCOME": "false", "RTSERVER__ANNOUNCE__CONNECTIONS": "true"},
        )
        witness = await node.connect(server.url)
        await node.connect(server.url)
        await witness.next("client_connected")
        await witness.none("welcome")

    async def test_a_secret_from_a_file(self, serve, node: Node, tmp_path: Path):
        """Every secret has a _file twin; a newline at the file's end is not part of it."""
        file = tmp_path / "secret"
        file.write_text(SECRET + "\n")
        server = serve(
            {"auth": {"mode": "required", "jwt": {"secret_file": str(file), "algorithms": ["HS256"]}}}
        )
        client = await node.connect(server.url, auth={"token": token("ada")})
        assert (await client.next("welcome"))["verified"] is True
        assert SECRET not in server.logs()

    async def test_another_path(self, serve, node: Node):
        """engine.path is where the server listens, for socket.io-client's `path`."""
        server = serve({"engine": {"path": "/rt/"}})
        client = await node.connect(server.url, transports="upgrade", path="/rt/")
        await client.sync()

    async def test_one_transport(self, serve, node: Node):
        """engine.transports says which ones there are."""
        server = serve({"engine": {"transports": ["websocket"]}})
        await (await node.connect(server.url, transports="websocket")).sync()
        await node.open(server.url, transports="polling").until_refused()

    async def test_the_log(self, serve, node: Node):
        """One line per connect, join, leave and disconnect with sid and client_id; nothing per message."""
        server: Server = serve({"logging": {"level": "info", "format": "json"}})
        client = await node.member(server.url, "lobby", "ada")
        for number in range(50):
            await client.emit("chat", {"room": "lobby", "message": f"secret words {number}"})
        await client.emit("leave", {"room": "lobby"})
        client.disconnect()
        await client.until_disconnected()
        server.stop()
        lines = [line for line in server.logs().splitlines() if '"ada"' in line]
        assert 4 <= len(lines) <= 6, server.logs()
        assert all(client.sid in line for line in lines), server.logs()
        assert "secret words" not in server.logs()


class TestHttp:
    async def test_health(self, server: Server):
        """/healthz and /readyz are 200 while the server is well."""
        async with raw.http(server.url) as web:
            for path in ("/healthz", "/readyz"):
                assert (await web.get(path)).status_code == 200

    async def test_what_is_not_there(self, server: Server):
        """Another path is 404."""
        async with raw.http(server.url) as web:
            assert (await web.get("/nothing/here")).status_code == 404

    @pytest.mark.skipif(
        not PAGE.exists() and not os.environ.get("CI"), reason="pages missing: run `make pages`"
    )
    async def test_the_demo_page(self, server: Server):
        """The demo page is at /."""
        async with raw.http(server.url) as web:
            answer = await web.get("/")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/html")
        assert "<html" in answer.text.lower()

    async def test_without_the_demo_page(self, serve):
        """demo.enabled false: no page, and the rest works."""
        server = serve({"demo": {"enabled": False}})
        async with raw.http(server.url) as web:
            assert (await web.get("/")).status_code == 404
            assert (await web.get("/healthz")).status_code == 200


class TestStopping:
    async def test_clients_come_back(self, servers, node: Node, transports: str):
        """On SIGTERM clients are told, their transport closes, and stock clients come back to the next server."""
        server: Server = servers.serve()
        client = await node.connect(
            server.url,
            transports=transports,
            auth={"client_id": "ada"},
            reconnection=True,
            reconnectionDelay=50,
            reconnectionDelayMax=200,
        )
        server.terminate()
        told = check_event("disconnecting_by_server", await client.next("disconnecting_by_server"))
        assert (told["reason"], told["code"], told["reconnect"]) == ("server_draining", 4015, True)
        reason = await client.until_disconnected()
        assert reason in ("transport close", "transport error"), reason
        assert await asyncio.to_thread(server.wait) == 0
        servers.serve(port=server.port)
        await client.until_reconnected()
        await client.sync()

    async def test_bounded(self, servers, node: Node):
        """SIGTERM stops the server within its time, with idle, busy, half-open and stalled connections alike."""
        server: Server = servers.serve()
        stalled = await node.member(server.url, "lobby", "stalled")
        stalled.pause()
        busy = await node.member(server.url, "lobby", "busy")
        for _ in range(40):
            await busy.emit("chat", {"room": "lobby", "message": "x" * 60_000})
        idle = await node.connect(server.url, transports="polling")
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n")
        await writer.drain()
        server.terminate()
        assert await asyncio.to_thread(server.wait) == 0
        assert server.stopped_in < 8
        await idle.until_disconnected()
        await busy.until_disconnected()
        stalled.resume()
        writer.close()

    async def test_not_ready_while_draining(self, servers, node: Node):
        """While it drains /readyz is 503 and /healthz is 200, and clients are served until the delay is over."""
        server: Server = servers.serve(
            {"server": {"drain": {"delay": "2s", "spread": "0s", "timeout": "5s"}}}
        )
        client = await node.connect(server.url)
        async with raw.http(server.url) as web:
            assert (await web.get("/readyz")).status_code == 200
            server.terminate()
            await until(lambda: web.get("/readyz"), lambda answer: answer.status_code == 503, 1.8)
            assert (await web.get("/healthz")).status_code == 200
            await client.sync()
        await client.until_disconnected()
        assert await asyncio.to_thread(server.wait) == 0

    def test_the_interrupt_key(self, servers):
        """SIGINT, the interrupt key, stops it as cleanly."""
        server: Server = servers.serve()
        os.kill(server.pid, signal.SIGINT)
        assert server.wait() in (0, 130)
        server.check_log()

    def test_before_anybody_came(self, servers):
        """A server without clients stops at once."""
        server: Server = servers.serve({"server": {"drain": {"spread": "5s", "timeout": "10s"}}})
        assert server.stop() == 0
        assert server.stopped_in < 3

    def test_module_and_script(self, servers):
        """`python -m rtserver` is the same command."""
        where = servers.directory()
        port = free_port()
        written(where, {})
        argv = [sys.executable, "-m", "rtserver", "serve", "--port", str(port)]
        server = servers.start(Server(argv, where, port))
        assert server.stop() == 0
