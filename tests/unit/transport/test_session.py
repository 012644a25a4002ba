"""One client's session: its states, its heartbeat, its upgrade."""

from collections.abc import Callable

import pytest

from rtserver.protocol.errors import BAD_REQUEST
from rtserver.transport.lane import LaneLimits
from rtserver.transport.outbound import NOOP, PING, Outbound
from rtserver.transport.packets import MalformedPacket
from rtserver.transport.polling import PollingLane
from rtserver.transport.session import TRANSITIONS, Session, State, Upgrade
from tests.unit.transport.stand_ins import Hearer, Owner, PlainLane


def _polling(owner: Owner | None = None, limits: LaneLimits | None = None) -> Session:
    lane = PollingLane(limits or LaneLimits(), Hearer())
    session = Session("s1", lane, owner or Owner())
    lane.receiver = session
    return session


def _websocket(owner: Owner | None = None) -> tuple[Session, PlainLane]:
    lane = PlainLane()
    session = Session("s1", lane, owner or Owner())
    lane.receiver = session
    return session, lane


def _in(state: State) -> tuple[Session, Owner]:
    """Return a session brought to *state* by what a client does."""
    owner = Owner()
    session = _polling(owner)
    if state in (State.UPGRADING, State.WEBSOCKET):
        assert session.probe()
    if state is State.WEBSOCKET:
        assert session.upgrade(PlainLane())
    if state is State.CLOSED:
        session.close(1000, "")
    assert session.state is state
    owner.endings.clear()
    return session, owner


# The table.

EVENTS: dict[str, Callable[[Session], object]] = {
    "probe": lambda session: session.probe(),
    "upgrade": lambda session: session.upgrade(PlainLane()),
    "probe lost": lambda session: session.probe_lost(),
    "close": lambda session: session.close(1000, ""),
}
EXPECTED = {
    State.POLLING: {"probe": State.UPGRADING, "close": State.CLOSED},
    State.UPGRADING: {"upgrade": State.WEBSOCKET, "probe lost": State.POLLING, "close": State.CLOSED},
    State.WEBSOCKET: {"close": State.CLOSED},
    State.CLOSED: {},
}


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("state", State, ids=lambda state: state.value)
def test_every_event_in_every_state(state: State, event: str) -> None:
    """What the protocol knows leads on; everything else leaves the session where it was."""
    session, owner = _in(state)
    EVENTS[event](session)
    assert session.state is EXPECTED[state].get(event, state)
    assert TRANSITIONS.get((state, event)) is EXPECTED[state].get(event)
    assert owner.endings == (["server disconnect"] if event == "close" and state is not State.CLOSED else [])


def test_the_table_has_no_other_events() -> None:
    """Nothing happens to a session that this table does not show."""
    assert {event for _, event in TRANSITIONS} == set(EVENTS)


def test_a_session_begins_on_the_transport_it_has() -> None:
    """A polling session has not been upgraded, a WebSocket one counts as upgraded, as in python-engineio."""
    assert (_polling().state, _polling().upgraded) == (State.POLLING, False)
    session, _ = _websocket()
    assert (session.state, session.upgraded, session.closed) == (State.WEBSOCKET, True, False)


@pytest.mark.parametrize(
    ("end", "asked", "reason"),
    [
        (lambda s: s.close(4016, "kicked"), ("close", 4016, "kicked"), "server disconnect"),
        (lambda s: s.close(1000, "", "ping timeout"), ("close", 1000, ""), "ping timeout"),
        (lambda s: s.refuse("nonsense"), ("close", BAD_REQUEST.code, "nonsense"), "transport error"),
        (lambda s: s.abort(), ("abort",), "server disconnect"),
        (lambda s: s.end("transport close"), ("end",), "transport close"),
        (lambda s: s.on_lost("transport close"), None, "transport close"),
        (lambda s: s.on_text("1"), ("end",), "transport close"),
    ],
)  # fmt: skip
def test_every_end_is_told_once(
    end: Callable[[Session], None], asked: tuple[object, ...] | None, reason: str
) -> None:
    """Whatever ends it: the lane is told how, the owner why, and a second end of any kind is nothing."""
    owner = Owner()
    session, lane = _websocket(owner)
    end(session)
    assert session.closed
    assert lane.asked == ([asked] if asked else [])
    session.close(1000, "")
    session.refuse("again")
    session.abort()
    session.end("again")
    session.on_lost("again")
    assert lane.asked == ([asked] if asked else [])
    assert owner.endings == [reason]


# What the client says.


def test_messages_reach_the_owner() -> None:
    """Text without its type digit, binary as it is, empty ones too."""
    owner = Owner()
    session, _ = _websocket(owner)
    for packet in ("4hello", "4", "44"):
        session.on_text(packet)
    session.on_binary(b"")
    assert owner.messages == ["hello", "", "4", b""]


@pytest.mark.parametrize("packet", ["3", "3probe", "6", "5"])
def test_packets_without_meaning_here_are_ignored(packet: str) -> None:
    """PONG, NOOP and a late UPGRADE change nothing."""
    owner = Owner()
    session, lane = _websocket(owner)
    session.on_text(packet)
    assert (owner.messages, owner.endings, lane.asked) == ([], [], [])


@pytest.mark.parametrize(
    "packet", ["", "0", "0{}", "2", "2probe", "7", "9x", "x", "hello", " 4a", "é", "\x00", "４x"]
)
def test_a_malformed_packet_closes_the_session(packet: str) -> None:
    """OPEN and PING are the server's to send, other types do not exist: bad_request."""
    owner = Owner()
    session, lane = _websocket(owner)
    session.on_text(packet)
    ((verb, code, why),) = lane.asked
    assert (verb, code) == ("close", 4000)
    assert "unexpected packet" in why
    assert owner.endings == ["transport error"]


def test_a_message_that_the_owner_finds_malformed() -> None:
    """Text or binary: the session is refused with the owner's words."""
    for say in (lambda s: s.on_text("4x"), lambda s: s.on_binary(b"x")):
        owner = Owner()
        owner.objection = MalformedPacket("no such thing")
        session, lane = _websocket(owner)
        say(session)
        assert lane.asked == [("close", 4000, "no such thing")]
        assert owner.endings == ["transport error"]


def test_a_closed_session_hears_nothing() -> None:
    """What arrives behind a goodbye, in the same payload or chunk, never reaches the owner."""
    owner = Owner()
    session = _polling(owner)
    for packet in ("4before", "1", "4after"):
        session.on_text(packet)
    session.on_binary(b"after")
    session.on_text("nonsense")
    assert owner.messages == ["before"]
    assert owner.endings == ["transport close"]


def test_reading_is_paused_on_the_lane() -> None:
    """A full mailbox holds the client's own line back."""
    session, lane = _websocket()
    session.pause_reading()
    session.resume_reading()
    assert lane.asked == [("pause",), ("resume",)]


# The heartbeat's judgement.


@pytest.mark.parametrize("answer", ["3", "4message", "6", b"binary"])
def test_hearing_anything_answers_a_ping(answer: str | bytes) -> None:
    """Not only a PONG proves that the client lives."""
    session, lane = _websocket()
    number = session.ping(PING)
    assert lane.sent == ["2"]
    assert not session.answered(number)
    session.on_text(answer) if isinstance(answer, str) else session.on_binary(answer)
    assert session.answered(number)


def test_what_was_heard_before_is_no_answer() -> None:
    """Each PING wants to hear something after it; one answer counts for all before."""
    session, _ = _websocket()
    session.on_text("4early")
    first = session.ping(PING)
    second = session.ping(PING)
    assert not session.answered(first)
    session.on_text("3")
    assert session.answered(first)
    assert session.answered(second)
    assert not session.answered(session.ping(PING))


def test_a_ping_behind_a_backlog_is_not_judged() -> None:
    """A WebSocket whose line is full cannot have got it: the lane's own clock judges that client."""
    session, lane = _websocket()
    number = session.ping(PING)
    lane.stalled = True
    assert session.answered(number)
    lane.stalled = False
    assert not session.answered(number)


def test_a_polling_client_that_never_polls_is_judged() -> None:
    """Nobody else would: a backlog that nobody fetches must not keep its session for ever."""
    session = _polling(limits=LaneLimits(max_bytes=100))
    session.send(Outbound("4" + "x" * 80))
    number = session.ping(PING)
    assert not session.answered(number)


# The upgrade.


def test_an_upgrade_takes_what_waits_along() -> None:
    """Everything written before and during the probe arrives on the new lane, once and in order."""
    session, lane = _polling(), PlainLane()
    session.send(Outbound("4before"))
    upgrade = Upgrade(session, lane)
    lane.receiver = upgrade
    upgrade.on_text("2probe")
    assert lane.sent == ["3probe"]
    session.send(Outbound("4during"))
    upgrade.on_text("5")
    session.send(Outbound("4after"))
    assert lane.sent == ["3probe", "4before", "4during", "4after"]
    assert lane.receiver is session
    assert session.lane is lane
    assert session.upgraded
    assert lane.asked == []


async def test_during_the_probe_polls_are_let_go_and_messages_wait() -> None:
    """The pending poll is answered with NOOP and takes nothing of what waits."""
    session = _polling()
    assert isinstance(session.lane, PollingLane)
    polling = session.lane
    assert session.probe()
    session.send(Outbound("4x"))
    assert await polling.poll() == NOOP.payload
    session.probe_lost()
    assert await polling.poll() == "4x"


@pytest.mark.parametrize("packet", ["5", "2", "2probe!", "3probe", "4hello", "", "0", "1", "6", "x"])
def test_a_probe_begins_with_a_probe(packet: str) -> None:
    """Anything else ends this line only, and the session goes on over polling."""
    session, lane = _polling(), PlainLane()
    upgrade = Upgrade(session, lane)
    lane.receiver = upgrade
    upgrade.on_text(packet)
    assert lane.asked == [("close", 4000, "not an upgrade")]
    assert session.state is State.POLLING


@pytest.mark.parametrize("packet", ["2probe", "4hello", "3", "6", "", "5x", "1"])
def test_after_the_probe_comes_the_upgrade(packet: str) -> None:
    """Anything else ends the line; the session is released and stays on polling."""
    session, lane = _polling(), PlainLane()
    upgrade = Upgrade(session, lane)
    lane.receiver = upgrade
    upgrade.on_text("2probe")
    session.send(Outbound("4waits"))
    upgrade.on_text(packet)
    assert lane.sent == ["3probe"]
    assert lane.asked == [("close", 4000, "not an upgrade")]
    assert session.state is State.POLLING
    assert isinstance(session.lane, PollingLane)
    assert [out.packets for out in session.lane.take_over()] == [("4waits",)]


def test_binary_is_no_part_of_an_upgrade() -> None:
    """Before and after the probe it ends the line."""
    for begin in ([], ["2probe"]):
        session, lane = _polling(), PlainLane()
        upgrade = Upgrade(session, lane)
        lane.receiver = upgrade
        for packet in begin:
            upgrade.on_text(packet)
        upgrade.on_binary(b"5")
        assert lane.asked == [("close", 4000, "not an upgrade")]
        assert session.state is State.POLLING


def test_half_an_upgrade_changes_nothing() -> None:
    """A line that dies after its probe leaves a session that polls as before, and may be upgraded again."""
    session, first, second = _polling(), PlainLane(), PlainLane()
    upgrade = Upgrade(session, first)
    upgrade.on_text("2probe")
    upgrade.on_lost("transport close")
    assert session.state is State.POLLING
    again = Upgrade(session, second)
    again.on_text("2probe")
    again.on_text("5")
    assert session.lane is second


def test_of_two_upgrades_the_first_to_probe_wins() -> None:
    """The other line is closed, and its end does not disturb the one under way."""
    session, first, second = _polling(), PlainLane(), PlainLane()
    winner, loser = Upgrade(session, first), Upgrade(session, second)
    first.receiver, second.receiver = winner, loser
    winner.on_text("2probe")
    loser.on_text("2probe")
    assert second.sent == []
    assert second.asked == [("close", 4000, "not an upgrade")]
    loser.on_lost("transport close")
    assert session.state is State.UPGRADING
    winner.on_text("5")
    assert session.lane is first


def test_a_failed_probe_is_deaf() -> None:
    """A line that lingers while it closes can neither upgrade the session nor undo another's probe."""
    session, first, second = _polling(), PlainLane(), PlainLane()
    failed, good = Upgrade(session, first), Upgrade(session, second)
    failed.on_text("2probe")
    failed.on_text("nonsense")
    good.on_text("2probe")
    failed.on_lost("transport close")
    failed.on_text("5")
    failed.on_text("2probe")
    failed.on_binary(b"x")
    assert session.state is State.UPGRADING
    assert first.asked[0] == ("close", 4000, "not an upgrade")
    good.on_text("5")
    assert session.lane is second


@pytest.mark.parametrize("state", [State.UPGRADING, State.WEBSOCKET, State.CLOSED], ids=lambda s: s.value)
def test_a_session_that_cannot_be_upgraded(state: State) -> None:
    """While another probe is under way, after an upgrade, after the end: the line is closed at once."""
    session, _ = _in(state)
    lane = PlainLane()
    Upgrade(session, lane).begin()
    assert lane.asked == [("close", 4000, "not an upgrade")]
    assert session.state is state


def test_a_polling_session_can_be_upgraded() -> None:
    """The line is left open for its probe."""
    lane = PlainLane()
    Upgrade(_polling(), lane).begin()
    assert lane.asked == []


def test_a_probe_that_takes_too_long_ends() -> None:
    """An expired probe gives the session back to polling; one that was completed is not concerned."""
    session, slow, quick = _polling(), PlainLane(), PlainLane()
    upgrade = Upgrade(session, slow)
    slow.receiver = upgrade
    upgrade.on_text("2probe")
    upgrade.expire()
    assert slow.asked == [("close", 4000, "not an upgrade")]
    assert session.state is State.POLLING
    done = Upgrade(session, quick)
    quick.receiver = done
    done.on_text("2probe")
    done.on_text("5")
    done.expire()
    assert quick.asked == []
    assert session.upgraded


def test_a_session_that_ends_during_a_probe() -> None:
    """The probe's line cannot revive it: its upgrade is refused and its owner was told once."""
    owner = Owner()
    session, lane = _polling(owner), PlainLane()
    upgrade = Upgrade(session, lane)
    lane.receiver = upgrade
    upgrade.on_text("2probe")
    session.close(1000, "")
    upgrade.on_text("5")
    assert lane.asked == [("close", 4000, "not an upgrade")]
    assert session.closed
    assert owner.endings == ["server disconnect"]


async def test_a_post_that_waits_is_not_left_behind_by_an_upgrade() -> None:
    """Reading paused on the old lane would otherwise never be resumed there; the new lane takes the pause over."""
    session, lane = _polling(), PlainLane()
    polling = session.lane
    assert isinstance(polling, PollingLane)
    session.pause_reading()
    session.probe()
    session.upgrade(lane)
    assert polling._readable is None
    await polling.readable()
    assert lane.asked in ([], [("pause",)])
    session.resume_reading()
    assert lane.asked[-1:] == [("resume",)]
