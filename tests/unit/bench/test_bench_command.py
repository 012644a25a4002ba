"""`rtserver bench` as it is typed."""

import json
import threading
from collections.abc import Iterator

import pytest
from click.testing import CliRunner
from websockets.sync.server import ServerConnection, serve

from rtserver.cli.bench import bench


@pytest.fixture
def url() -> Iterator[str]:
    """A server in a thread of its own that takes everybody and acknowledges everything."""

    def talk(connection: ServerConnection) -> None:
        connection.send('0{"sid":"s"}')
        for packet in connection:
            text = str(packet)
            if text.startswith("40"):
                connection.send('40{"sid":"n"}')
            elif text.startswith("42"):
                connection.send(f'43{text[2 : text.index("[")]}[{{"ok":true}}]')

    with serve(talk, "127.0.0.1", 0, compression=None) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.socket.getsockname()[1]}"
        server.shutdown()


def test_json_for_machines(url: str) -> None:
    """With --json there is nothing but JSON on stdout, and no progress bar in a pipe."""
    result = CliRunner().invoke(bench, ["--url", url, "--clients", "2", "--seconds", "0.1", "--json"])
    assert result.exit_code == 0
    assert result.stderr == ""
    found = json.loads(result.stdout)
    assert found["clients"] == 2
    assert found["rooms"] == 2, "never more rooms than clients"
    assert found["ack_ms"]["p50"] > 0


def test_one_sentence_when_nobody_is_there(unused_tcp_port: int) -> None:
    """Exit code 1, one sentence on stderr, no traceback."""
    result = CliRunner().invoke(bench, ["--url", f"http://127.0.0.1:{unused_tcp_port}"])
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr == f"Cannot connect to 127.0.0.1:{unused_tcp_port}: nobody listens there.\n"


def test_a_bad_url_is_a_wrong_command_line() -> None:
    """Exit code 2, as for every option that makes no sense."""
    result = CliRunner().invoke(bench, ["--url", "ftp://example.com"])
    assert result.exit_code == 2
    assert "not a http:// or https:// address" in result.stderr
