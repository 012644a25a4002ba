"""The heartbeat of all sessions."""

from rtserver.transport.heartbeat import Heartbeat
from rtserver.transport.session import Session
from tests.unit.transport.stand_ins import Clock, Owner, PlainLane


def _session(owner: Owner) -> tuple[Session, PlainLane]:
    lane = PlainLane()
    session = Session("s1", lane, owner)
    lane.receiver = session
    return session, lane


def test_a_ping_every_interval(clock: Clock) -> None:
    """The first comes one interval after the open, not at once, and goes on as long as it is answered."""
    heartbeat, owner = Heartbeat(25, 20), Owner()
    session, lane = _session(owner)
    heartbeat.watch(session)
    clock.advance(24.9)
    assert lane.sent == []
    for number in range(1, 5):
        clock.advance(0.2)
        assert lane.sent == ["2"] * number
        session.on_text("3")
        clock.advance(24.8)
    assert owner.endings == []


def test_silence_ends_the_session(clock: Clock) -> None:
    """No answer within the timeout: closed normally on the wire, for the reason "ping timeout", and no ping more."""
    heartbeat, owner = Heartbeat(25, 20), Owner()
    session, lane = _session(owner)
    heartbeat.watch(session)
    clock.advance(44.9)
    assert owner.endings == []
    clock.advance(0.2)
    assert owner.endings == ["ping timeout"]
    assert lane.asked == [("close", 1000, "ping timeout")]
    clock.advance(100)
    assert lane.sent == ["2"]
    assert clock.pending == 0


def test_a_timeout_longer_than_the_interval(clock: Clock) -> None:
    """An answer to a later ping answers the earlier ones, too."""
    heartbeat, owner = Heartbeat(1, 5), Owner()
    session, lane = _session(owner)
    heartbeat.watch(session)
    clock.advance(4.5)
    session.on_text("4still here")
    clock.advance(4)
    assert owner.endings == []
    clock.advance(2)
    assert owner.endings == ["ping timeout"]
    assert lane.sent.count("2") >= 8


def test_a_closed_session_is_forgotten(clock: Clock) -> None:
    """It gets no ping, is not judged, and nothing of it stays in the queues."""
    heartbeat, owner = Heartbeat(25, 20), Owner()
    closed_before, early = _session(owner)
    closed_between, late = _session(owner)
    heartbeat.watch(closed_before)
    heartbeat.watch(closed_between)
    closed_before.close(1000, "")
    clock.advance(30)
    closed_between.close(1000, "")
    clock.advance(100)
    assert (early.sent, late.sent) == ([], ["2"])
    assert owner.endings == ["server disconnect"] * 2
    assert clock.pending == 0


def test_a_stalled_line_is_spared(clock: Clock) -> None:
    """The ping lies behind a backlog; once the backlog is gone, silence counts again."""
    heartbeat, owner = Heartbeat(25, 20), Owner()
    session, lane = _session(owner)
    heartbeat.watch(session)
    lane.stalled = True
    clock.advance(60)
    assert owner.endings == []
    lane.stalled = False
    clock.advance(60)
    assert owner.endings == ["ping timeout"]


def test_many_sessions_share_two_timers(clock: Clock) -> None:
    """The loop holds two calls however many are watched, and each is judged for itself."""
    heartbeat, owner = Heartbeat(25, 20), Owner()
    watched = [_session(owner) for _ in range(200)]
    for session, _ in watched:
        heartbeat.watch(session)
        clock.advance(0.01)
    assert clock.pending == 1
    clock.advance(25)
    assert clock.pending == 2
    for session, _ in watched[::2]:
        session.on_text("3")
    clock.advance(22)
    assert [session.closed for session, _ in watched] == [False, True] * 100


def test_stopping(clock: Clock) -> None:
    """After close no ping is sent and nobody is judged."""
    heartbeat, owner = Heartbeat(25, 20), Owner()
    session, lane = _session(owner)
    heartbeat.watch(session)
    clock.advance(26)
    heartbeat.close()
    clock.advance(1000)
    assert (lane.sent, owner.endings) == (["2"], [])
