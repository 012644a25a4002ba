"""The load test counts what was published, delivered, refused and lost."""

from typing import Any

import pytest

from rtserver.bench import report
from rtserver.bench.client import Address
from rtserver.bench.load import CannotConnect, Plan, run
from tests.unit.bench.chatty_peer import Peer


def _plan(peer: Peer, **options: Any) -> Plan:
    given = {"clients": 6, "rooms": 2, "rate": 200, "seconds": 0.25} | options
    return Plan(Address.of(peer.url), **given)


async def test_every_member_gets_every_message(peer: Peer) -> None:
    """Two rooms of three: each publication is delivered three times and timed."""
    heard: list[float] = []
    outcome = await run(_plan(peer), heard.append)
    assert outcome.published >= 45
    assert outcome.accepted == outcome.published
    assert outcome.delivered == 3 * outcome.published
    assert outcome.delivery.count == outcome.delivered
    assert outcome.missing == outcome.lost == 0
    assert heard == sorted(heard)
    assert heard[-1] == 0.25


async def test_refusals_are_counted_by_reason(peer: Peer) -> None:
    """What the server's limits turn away is told, and nobody waits for its delivery."""

    def every_second(event: str, payload: dict[str, Any]) -> dict[str, Any]:
        every_second.turn = not every_second.turn  # type: ignore[attr-defined]
        if event == "join" or every_second.turn:  # type: ignore[attr-defined]
            return {"ok": True}
        return {
            "ok": False,
            "error": {"code": 4008, "reason": "rate_limited", "message": "", "retry_after": 1},
        }

    every_second.turn = False  # type: ignore[attr-defined]
    peer.answer = every_second
    found = report.figures(await run(_plan(peer), lambda at: None))
    assert found["refused"]["rate_limited"] == pytest.approx(found["published"] / 2, abs=1)
    assert found["missing"] == 0


async def test_a_busy_server_is_tried_again(peer: Peer) -> None:
    """A server that limits how fast clients come gets them a little later."""
    peer.busy = 4
    outcome = await run(_plan(peer, seconds=0.05), lambda at: None)
    assert outcome.lost == 0
    assert outcome.accepted


async def test_a_join_that_is_refused_ends_the_test(peer: Peer) -> None:
    """Without members there is nothing to measure."""
    peer.answer = lambda event, payload: {
        "ok": False,
        "error": {"code": 4003, "reason": "forbidden", "message": ""},
    }
    with pytest.raises(CannotConnect, match="forbidden"):
        await run(_plan(peer), lambda at: None)


async def test_nobody_there(unused_tcp_port: int) -> None:
    """A port where nobody listens is told in words."""
    plan = Plan(Address.of(f"127.0.0.1:{unused_tcp_port}"), clients=3, rooms=1, rate=1, seconds=1)
    with pytest.raises(CannotConnect, match=r"^nobody listens there$"):
        await run(plan, lambda at: None)


async def test_the_report_shows_a_histogram(peer: Peer) -> None:
    """The text holds the quantiles and a bar for the commonest latency."""
    text = report.text(await run(_plan(peer), lambda at: None))
    assert "6 clients in 2 rooms" in text
    assert "p99.9" in text
    assert "█" * report.BAR in text
    assert "refused" not in text
