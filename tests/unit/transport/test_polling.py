"""HTTP long-polling: what waits for the next poll."""

import asyncio

import pytest

from rtserver.transport.lane import LaneLimits
from rtserver.transport.outbound import Outbound
from rtserver.transport.polling import PollingLane, PollOverlapError, until_gone
from tests.unit.transport.stand_ins import Hearer


def _lane(max_bytes: int = 1000) -> tuple[PollingLane, Hearer, LaneLimits]:
    hearer, limits = Hearer(), LaneLimits(max_bytes=max_bytes)
    return PollingLane(limits, hearer), hearer, limits


async def _waiting(lane: PollingLane) -> asyncio.Task[str]:
    """Return a poll that has begun to wait."""
    poll = asyncio.ensure_future(lane.poll())
    await asyncio.sleep(0)
    assert not poll.done()
    return poll


async def test_what_waits_is_given_at_once() -> None:
    """All of it, in order, as one payload; and it is then gone."""
    lane, _, _ = _lane()
    lane.write(Outbound("4a"))
    lane.write(Outbound.message("b", b"\x01"))
    assert lane.unheard
    assert await lane.poll() == "4a\x1e4b\x1ebAQ=="
    assert not lane.unheard


async def test_a_poll_waits_for_the_first_packet() -> None:
    """And takes along what else is written in the same turn."""
    lane, _, _ = _lane()
    poll = await _waiting(lane)
    lane.write(Outbound("4a"))
    lane.write(Outbound("4b"))
    assert await poll == "4a\x1e4b"


async def test_a_poll_during_a_poll_is_refused() -> None:
    """The second is told; the first goes on."""
    lane, _, _ = _lane()
    poll = await _waiting(lane)
    with pytest.raises(PollOverlapError):
        await lane.poll()
    lane.write(Outbound("4a"))
    assert await poll == "4a"


async def test_a_poll_that_is_cut_leaves_room_for_another() -> None:
    """A cancelled poll takes nothing with it."""
    lane, _, _ = _lane()
    poll = await _waiting(lane)
    poll.cancel()
    with pytest.raises(asyncio.CancelledError):
        await poll
    lane.write(Outbound("4a"))
    assert await lane.poll() == "4a"


async def test_held_for_an_upgrade() -> None:
    """The waiting poll and every other are answered with NOOP, what is written waits, and release gives it out."""
    lane, _, _ = _lane()
    poll = await _waiting(lane)
    lane.hold()
    lane.write(Outbound("4a"))
    assert await poll == "6"
    assert await lane.poll() == "6"
    lane.release()
    assert await lane.poll() == "4a"


async def test_release_without_anything_to_say() -> None:
    """A poll after it waits as ever."""
    lane, _, _ = _lane()
    lane.hold()
    lane.release()
    poll = await _waiting(lane)
    lane.write(Outbound("4a"))
    assert await poll == "4a"


async def test_written_in_the_turn_of_the_hold() -> None:
    """A poll that was about to be answered gives a NOOP, and the message is not lost."""
    lane, _, _ = _lane()
    poll = await _waiting(lane)
    lane.write(Outbound("4a"))
    lane.hold()
    assert await poll == "6"
    assert [out.packets for out in lane.take_over()] == [("4a",)]


def test_taking_over_empties_the_lane() -> None:
    """What was given away no longer counts."""
    lane, _, limits = _lane(max_bytes=10)
    for _ in range(5):
        lane.write(Outbound("4" + "x" * 9))
        assert len(lane.take_over()) == 1
    assert limits.evicted == 0
    assert lane.take_over() == []


async def test_too_much_evicts() -> None:
    """Past the cap what waits is dropped, the client is a slow consumer, once, and a late poll ends with CLOSE.

    The receiver learns it in the next turn: who writes may be walking over a room.
    """
    lane, hearer, limits = _lane(max_bytes=20)
    for _ in range(20):
        lane.write(Outbound("4" + "x" * 4))
    assert hearer.heard == []
    await asyncio.sleep(0)
    assert hearer.heard == [("lost", "slow consumer")]
    assert limits.evicted == 1
    assert await lane.poll() == "1"


async def test_one_message_over_the_cap_is_not_refused() -> None:
    """A single publication may be larger than the cap; it is the backlog that must not grow."""
    lane, hearer, _ = _lane(max_bytes=10)
    lane.write(Outbound("4" + "x" * 100))
    await asyncio.sleep(0)
    assert hearer.heard == []
    lane.write(Outbound("4x"))
    await asyncio.sleep(0)
    assert hearer.heard == [("lost", "slow consumer")]


async def test_volatile_is_dropped_when_much_waits() -> None:
    """Past a quarter of the cap it is not kept for a poll to come; a poll that waits gets it."""
    lane, _, limits = _lane(max_bytes=100)
    lane.write(Outbound("4" + "x" * 15), volatile=True)
    lane.write(Outbound("4" + "x" * 15))
    assert limits.dropped_volatile == 0
    lane.write(Outbound("4typing"), volatile=True)
    assert limits.dropped_volatile == 1
    assert "typing" not in await lane.poll()
    poll = await _waiting(lane)
    lane.write(Outbound("4typing"), volatile=True)
    assert await poll == "4typing"
    assert limits.dropped_volatile == 1


async def test_closing_ends_the_last_poll() -> None:
    """What waits, then CLOSE in a poll of its own; nothing is written after it, and a second close is nothing.

    In one payload, socket.io-client would close first and hear the events too late.
    """
    lane, hearer, _ = _lane()
    lane.write(Outbound("4a"))
    lane.close(1000, "")
    lane.close(1000, "")
    lane.write(Outbound("4b"))
    assert await lane.poll() == "4a"
    assert lane.unheard
    assert await lane.poll() == "1"
    assert not lane.unheard
    assert hearer.heard == []


async def test_the_clients_goodbye_ends_with_noop() -> None:
    """A poll under way is answered so that the request does not hang."""
    lane, _, _ = _lane()
    poll = await _waiting(lane)
    lane.end()
    assert await poll == "6"


async def test_aborting_drops_what_waits() -> None:
    """The poll under way ends with CLOSE and nothing else."""
    lane, _, _ = _lane()
    poll = await _waiting(lane)
    lane.write(Outbound("4a"))
    lane.abort()
    assert await poll == "1"


async def test_closing_during_an_upgrade_is_heard() -> None:
    """A held lane that is closed says so."""
    lane, _, _ = _lane()
    lane.hold()
    lane.close(1000, "")
    assert await lane.poll() == "1"


async def test_reading_is_held_back() -> None:
    """A POST waits while reading is paused, and goes on when it is resumed or the lane ends."""
    for go_on in ("resume_reading", "close", "abort"):
        lane, _, _ = _lane()
        await asyncio.wait_for(lane.readable(), 1)
        lane.pause_reading()
        post = asyncio.ensure_future(lane.readable())
        await asyncio.sleep(0)
        assert not post.done()
        if go_on == "close":
            lane.close(1000, "")
        else:
            getattr(lane, go_on)()
        await asyncio.wait_for(post, 1)
        lane.resume_reading()


async def test_a_poll_ends_with_its_client() -> None:
    """When the client hangs up first the poll is cancelled; when the answer is there first it is not."""
    lane, _, _ = _lane()
    hung_up = asyncio.Event()

    async def receive() -> dict[str, str]:
        await hung_up.wait()
        return {"type": "http.disconnect"}

    answered = asyncio.ensure_future(lane.poll())
    lane.write(Outbound("4a"))
    assert await until_gone(receive, answered)
    assert answered.result() == "4a"
    cut = asyncio.ensure_future(lane.poll())
    hung_up.set()
    assert not await until_gone(receive, cut)
    with pytest.raises(asyncio.CancelledError):
        await cut
    lane.write(Outbound("4b"))
    assert await lane.poll() == "4b"
