"""The fast lane, over a transport without a socket; on the wire it is tested in integration."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode

from rtserver.transport import frames
from rtserver.transport.direct import CLOSE_TIMEOUT, SLICE, DirectLane, Wire
from rtserver.transport.lane import LaneLimits
from rtserver.transport.outbound import Outbound
from tests.unit.transport.stand_ins import Clock, Hearer, PlainTransport, frames_of

MAX = 300


class _Line:
    """A direct lane on a plain transport."""

    def __init__(self, *, compression: bool = False, limits: LaneLimits | None = None) -> None:
        self.limits = limits or LaneLimits(max_bytes=1000, stall=10)
        self.lane = DirectLane(Wire(self.limits, MAX))
        self.lane.inflates = self.lane.deflates = compression
        self.hearer = Hearer()
        self.lane.receiver = self.hearer
        self.transport = PlainTransport()
        self.connections: set[Any] = set()
        self.lane.attach(self.transport, self.connections)

    @property
    def heard(self) -> list[tuple[str, str | bytes]]:
        """What the receiver heard."""
        return self.hearer.heard

    @property
    def sent(self) -> list[tuple[int, bytes]]:
        """The frames that were written, as a client reads them."""
        return [(int(frame.opcode), bytes(frame.data)) for frame in frames_of(self.transport.written)]

    def closed_with(self) -> int:
        """Return the code of the close frame, which must be the last thing written, and the only one."""
        codes = [int.from_bytes(data[:2], "big") for opcode, data in self.sent if opcode == frames.CLOSE]
        assert self.sent[-1][0] == frames.CLOSE
        (code,) = codes
        return code


def masked(opcode: int, payload: bytes, *, fin: bool = True) -> bytes:
    """Return the frame that a client would send, by the library."""
    return Frame(Opcode(opcode), payload, fin).serialize(mask=True)


def squeezed(text: bytes) -> bytes:
    """Return a client's compressed text frame, by the library."""
    deflate = PerMessageDeflate(True, True, 15, 15)
    return Frame(Opcode.TEXT, text).serialize(mask=True, extensions=[deflate])


# In.


def test_the_common_case(clock: Clock) -> None:
    """Whole text frames, several to a chunk, need no reader."""
    line = _Line()
    line.lane.data_received(masked(1, b"4a") + masked(1, b"") + masked(1, ("4" + "é" * 100).encode()))
    assert line.heard == [("text", "4a"), ("text", ""), ("text", "4" + "é" * 100)]
    assert line.lane._reader is None


def test_the_reader_is_there_only_while_it_is_needed(clock: Clock) -> None:
    """Half a frame takes it, the end of the message frees it, and what follows is common again."""
    line = _Line()
    data = masked(1, b"4hello")
    line.lane.data_received(data[:5])
    assert line.lane._reader is not None
    line.lane.data_received(data[5:])
    assert line.lane._reader is None
    line.lane.data_received(masked(2, b"\x00\x01") + masked(1, b"4x"))
    assert line.lane._reader is None
    assert line.heard == [("text", "4hello"), ("binary", b"\x00\x01"), ("text", "4x")]


def test_a_ping_is_answered_with_its_payload(clock: Clock) -> None:
    """RFC 6455, section 5.5.2; a pong of the peer's own is nothing."""
    line = _Line()
    line.lane.data_received(masked(9, b"are you there?") + masked(10, b"unasked"))
    assert line.sent == [(frames.PONG, b"are you there?")]
    assert line.heard == []


def test_a_peer_that_takes_nothing_gets_no_pongs(clock: Clock) -> None:
    """They would pile up in the line."""
    line = _Line()
    line.lane.pause_writing()
    line.lane.data_received(masked(9, b"x") * 100)
    assert line.transport.writes == []


@pytest.mark.parametrize(
    ("payload", "answer", "reason"),
    [
        (b"", b"", "transport close"),
        (b"\x03\xe8", b"\x03\xe8", "client disconnect"),
        (b"\x03\xe9going", b"\x03\xe9", "transport close"),
        (b"\x0f\xa0", b"\x0f\xa0", "transport close"),
    ],
)
def test_a_close_is_answered_and_the_line_closed(
    clock: Clock, payload: bytes, answer: bytes, reason: str
) -> None:
    """Section 5.5.1: with the same code; the receiver hears once how the line ended, and nothing that follows."""
    line = _Line()
    line.lane.data_received(masked(1, b"4a") + masked(8, payload) + masked(1, b"4b"))
    assert line.sent == [(frames.CLOSE, answer)]
    assert line.transport.closing
    assert line.heard == [("text", "4a"), ("lost", reason)]
    line.lane.connection_lost(None)
    assert line.heard[2:] == []


VIOLATIONS: list[tuple[str, bytes, int]] = [
    ("unmasked", Frame(Opcode.TEXT, b"4a").serialize(mask=False), 1002),
    ("reserved bit", b"\xc1\x80\0\0\0\0", 1002),
    ("unknown opcode", b"\x83\x80\0\0\0\0", 1002),
    ("continuation first", masked(0, b"x"), 1002),
    ("long ping", b"\x89\xfe\x00\x7e", 1002),
    ("too long", b"\x81\xfe\x01\x2d", 1009),
    ("much too long", b"\x82\xff" + b"\x7f" + b"\xff" * 7, 1009),
    ("text not UTF-8", masked(1, b"4\xff\xfe"), 1007),
    ("half a character", masked(1, "4é".encode()[:2]), 1007),
    ("a surrogate", masked(1, b"4\xed\xa0\x80"), 1007),
    ("fragments not UTF-8", masked(1, b"4\xc3", fin=False) + masked(0, b"x"), 1007),
    ("close with a bad code", masked(8, b"\x03\xed"), 1002),
    ("close of one byte", masked(8, b"\x03"), 1002),
    ("close not UTF-8", masked(8, b"\x03\xe8\xff"), 1007),
]


@pytest.mark.parametrize(
    ("data", "code"), [case[1:] for case in VIOLATIONS], ids=[case[0] for case in VIOLATIONS]
)
def test_a_violation_closes_with_its_code(clock: Clock, data: bytes, code: int) -> None:
    """What came before is heard, then the line is lost, once; the offender is told and, if it lingers, dropped."""
    line = _Line()
    line.lane.write(Outbound("4last words"))
    line.lane.data_received(masked(1, b"4before") + data)
    assert line.closed_with() == code
    assert line.sent[0] == (frames.TEXT, b"4last words")
    assert line.heard == [("text", "4before"), ("lost", "transport error")]
    assert not line.transport.aborted
    clock.advance(CLOSE_TIMEOUT)
    assert line.transport.aborted
    line.lane.connection_lost(None)
    assert len(line.heard) == 2
    assert clock.pending == 0


def test_fragments_cut_inside_a_character_are_fine(clock: Clock) -> None:
    """Section 5.6: only the whole message has to be UTF-8."""
    line = _Line()
    line.lane.data_received(masked(1, b"4\xc3", fin=False) + masked(0, b"\xa9"))
    assert line.heard == [("text", "4é")]


def test_an_exact_limit(clock: Clock) -> None:
    """As many bytes as allowed are taken on both ways in; one more is 1009."""
    for opcode, kind in ((1, "text"), (2, "binary")):
        line = _Line()
        line.lane.data_received(masked(opcode, b"x" * MAX))
        assert [what for what, _ in line.heard] == [kind]
        line.lane.data_received(masked(opcode, b"x" * (MAX + 1)))
        assert line.closed_with() == 1009


def test_compressed_messages(clock: Clock) -> None:
    """Each is inflated by itself, and counts with its whole size."""
    line = _Line(compression=True)
    line.lane.data_received(squeezed(b"4" + b"a" * 200) + masked(1, b"4plain") + squeezed(b"4b"))
    assert line.heard == [("text", "4" + "a" * 200), ("text", "4plain"), ("text", "4b")]
    line.lane.data_received(squeezed(b"x" * MAX))
    assert line.heard[-1] == ("text", "x" * MAX)


@pytest.mark.parametrize("size", [MAX + 1, 50_000, 5_000_000])
def test_a_decompression_bomb(clock: Clock, size: int) -> None:
    """It is never inflated further than the limit, and refused as too big."""
    data = squeezed(bytes(size))
    line = _Line(compression=True)
    line.lane.data_received(data)
    assert line.closed_with() == 1009
    assert line.heard == [("lost", "transport error")]


def test_broken_compression(clock: Clock) -> None:
    """What does not inflate is invalid data."""
    line = _Line(compression=True)
    line.lane.data_received(b"\xc1\x84\0\0\0\0\xff\xff\xff\xff")
    assert line.closed_with() == 1007


def test_without_the_extension_nothing_is_compressed(clock: Clock) -> None:
    """The bit that marks it is reserved then."""
    line = _Line()
    line.lane.data_received(squeezed(b"4" + b"a" * 100))
    assert line.closed_with() == 1002


# The same bytes, however they arrive.

OPCODES = st.sampled_from([0, 1, 1, 1, 2, 3, 8, 9, 10, 11])
PAYLOADS = (
    st.text("4aé€😀", max_size=40).map(str.encode)
    | st.binary(max_size=40)
    | st.integers(100, MAX + 5).map(lambda size: b"y" * size)
)


@st.composite
def _hostile_frame(draw: st.DrawFn) -> bytes:
    """Draw a frame that is mostly well-formed, and sometimes wrong in one place."""
    payload = draw(PAYLOADS)
    data = (
        bytearray((0x80, 0x80))
        if len(payload) < 126
        else bytearray((0x80, 0xFE, *len(payload).to_bytes(2, "big")))
    )
    if len(payload) < 126:
        data[1] |= len(payload)
    data[0] |= draw(OPCODES)
    if draw(st.integers(0, 4)) == 0:
        data[0] &= 0x7F
    if draw(st.integers(0, 9)) == 0:
        data[draw(st.integers(0, 1))] ^= 1 << draw(st.integers(0, 7))
    mask = draw(st.binary(min_size=4, max_size=4))
    return bytes(data) + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


STREAMS = st.lists(_hostile_frame() | st.binary(max_size=10), max_size=8).map(b"".join)


def _outcome(data: bytes, sizes: list[int], *, compression: bool) -> tuple[Any, ...]:
    line = _Line(compression=compression)
    at = 0
    for size in [*sizes, len(data)]:
        if line.transport.closing or ("lost", "transport error") in line.heard:
            break
        if data[at : at + size]:
            line.lane.data_received(data[at : at + size])
        at += size
    return line.heard, line.sent, line.transport.closing


@given(STREAMS, st.lists(st.integers(1, 30), max_size=20), st.booleans())
async def test_chunks_do_not_matter(data: bytes, sizes: list[int], compression: bool) -> None:
    """In one chunk, byte by byte, or cut at will: the same is heard, the same is answered, and nothing is raised."""
    whole = _outcome(data, [], compression=compression)
    assert _outcome(data, [1] * len(data), compression=compression) == whole
    assert _outcome(data, sizes, compression=compression) == whole


@given(st.binary(max_size=200), st.booleans())
async def test_random_bytes_do_no_harm(data: bytes, compression: bool) -> None:
    """Whatever comes, nothing is raised, and all that is written is well-formed."""
    heard, sent, _ = _outcome(data, [], compression=compression)
    assert sum(kind == "lost" for kind, _ in heard) <= 1
    assert sum(opcode == frames.CLOSE for opcode, _ in sent) <= 1


@given(st.lists(st.text("4aé", max_size=150), min_size=1, max_size=6), st.randoms(use_true_random=False))
async def test_text_of_any_length_in_any_chunks(texts: list[str], chance: random.Random) -> None:
    """The common case and the reader take turns without losing their place."""
    data = b"".join(masked(1, text.encode()) for text in texts)
    line = _Line()
    while data:
        size = chance.randint(1, len(data))
        line.lane.data_received(data[:size])
        data = data[size:]
    assert line.heard == [("text", text) for text in texts]


# Out.


def test_one_write_per_turn(clock: Clock) -> None:
    """Everything a turn produced leaves in one piece, in order."""
    line = _Line()
    for text in ("4a", "4b", "4c"):
        line.lane.write(Outbound(text))
    assert line.transport.writes == []
    clock.advance(0)
    assert len(line.transport.writes) == 1
    assert line.sent == [(1, b"4a"), (1, b"4b"), (1, b"4c")]
    line.lane.write(Outbound.message("d", b"\x01"))
    clock.advance(0)
    assert line.sent[3:] == [(1, b"4d"), (2, b"\x01")]


def test_what_is_written_before_the_line_is_there_is_kept(clock: Clock) -> None:
    """A connect handler may already send: its packets leave when the handshake is done."""
    lane = DirectLane(Wire(LaneLimits(), MAX))
    lane.receiver = Hearer()
    lane.write(Outbound("4early"))
    clock.advance(0)
    transport = PlainTransport()
    lane.attach(transport, set())
    assert transport.written == b"\x81\x064early"
    assert transport.protocol is lane


def test_lanes_that_got_the_same_share_one_copy(clock: Clock) -> None:
    """A room's frames of one turn are joined once, and lanes that got something else get just that."""
    wire = Wire(LaneLimits(), MAX)
    transports = []
    out = [Outbound("4a"), Outbound("4b")]
    for number in range(4):
        lane, transport = DirectLane(wire), PlainTransport()
        lane.receiver = Hearer()
        lane.attach(transport, set())
        transports.append(transport)
        for one in out if number != 2 else reversed(out):
            lane.write(one)
    clock.advance(0)
    same = out[0].frames + out[1].frames
    assert [t.written for t in transports] == [same, same, out[1].frames + out[0].frames, same]


def test_compressed_where_it_was_agreed(clock: Clock) -> None:
    """Only a line that negotiated it gets compressed frames."""
    out = Outbound("4" + "hello " * 200)
    for compression in (False, True):
        line = _Line(compression=compression)
        line.lane.write(out)
        clock.advance(0)
        assert line.transport.written == (out.deflated if compression else out.frames)


# A peer that does not read.


def test_a_line_that_takes_nothing_is_dropped(clock: Clock) -> None:
    """After the stall time: aborted at once, counted, and the receiver knows why, once."""
    line = _Line()
    line.transport.waiting = 500
    line.lane.pause_writing()
    assert line.lane.stalled
    clock.advance(9.9)
    assert not line.transport.aborted
    clock.advance(0.2)
    assert line.transport.aborted
    assert line.heard == [("lost", "slow consumer")]
    assert line.limits.evicted == 1
    line.lane.connection_lost(None)
    assert len(line.heard) == 1
    assert clock.pending == 0
    assert line.connections == set()


def test_a_line_that_moves_again_is_spared(clock: Clock) -> None:
    """Resumed in time, the clock stops; paused again, it starts afresh."""
    line = _Line()
    line.transport.waiting = 500
    for _ in range(3):
        line.lane.pause_writing()
        clock.advance(9)
        line.lane.resume_writing()
        assert not line.lane.stalled
    clock.advance(100)
    assert line.heard == []
    assert clock.pending == 0


def test_a_line_that_is_slow_but_moves_is_spared(clock: Clock) -> None:
    """The limit is on time without any progress: who took something since gets the time again."""
    line = _Line()
    line.transport.waiting = 900
    line.lane.pause_writing()
    for waiting in (800, 700, 699):
        clock.advance(9.9)
        line.transport.waiting = waiting
    clock.advance(9.9)
    assert line.heard == []
    clock.advance(10)
    assert line.heard == [("lost", "slow consumer")]


def test_a_line_that_moves_while_more_is_written_is_spared(clock: Clock) -> None:
    """Progress is what the peer takes, not whether the backlog shrinks: what was added since does not count."""
    line = _Line()
    line.transport.waiting = 500
    line.lane.pause_writing()
    clock.advance(5)
    line.transport.waiting = 300
    out = Outbound("4" + "x" * 250)
    line.lane.write(out)
    clock.advance(0)
    line.transport.waiting += len(out.frames)
    assert line.transport.waiting > 500
    clock.advance(5)
    assert line.heard == []


def test_too_much_for_a_line_that_takes_nothing(clock: Clock) -> None:
    """Past max_bytes of buffer and new frames it is dropped without waiting; none of it is written."""
    line = _Line()
    line.transport.waiting = 900
    line.lane.pause_writing()
    line.lane.write(Outbound("4" + "x" * 90))
    clock.advance(0)
    assert line.heard == []
    line.transport.waiting = 990
    line.lane.write(Outbound("4" + "x" * 90))
    assert line.heard == []
    clock.advance(0)
    assert line.transport.aborted
    assert line.heard == [("lost", "slow consumer")]
    assert len(line.transport.writes) == 1
    assert line.limits.evicted == 1


def test_a_line_that_reads_may_get_much(clock: Clock) -> None:
    """While the transport takes it, the size of one turn is no reason to drop anybody."""
    line = _Line()
    line.lane.write(Outbound("4" + "x" * 5000))
    clock.advance(0)
    assert line.heard == []
    assert len(line.transport.written) > 5000


def test_volatile_is_dropped_first(clock: Clock) -> None:
    """While the peer is behind, and only then."""
    line = _Line()
    line.lane.write(Outbound("4a"), volatile=True)
    line.lane.pause_writing()
    line.lane.write(Outbound("4b"), volatile=True)
    line.lane.write(Outbound("4c"))
    line.lane.resume_writing()
    line.lane.write(Outbound("4d"), volatile=True)
    clock.advance(0)
    assert [data for _, data in line.sent] == [b"4a", b"4c", b"4d"]
    assert line.limits.dropped_volatile == 1


# Reading held back.


def test_reading_is_paused_and_resumed(clock: Clock) -> None:
    """On the transport; on one that is closing nothing is touched."""
    line = _Line()
    line.lane.pause_reading()
    assert not line.transport.reading
    line.lane.resume_reading()
    assert line.transport.reading
    line.transport.closing = True
    line.lane.pause_reading()
    assert line.transport.reading


# The end.


def test_closing_says_what_waits_and_then_goodbye(clock: Clock) -> None:
    """The close frame comes last; the receiver hears nothing of it, and the line is held a moment for the answer."""
    line = _Line()
    line.lane.write(Outbound("4a"))
    line.lane.close(4016, "kicked")
    assert line.sent == [(1, b"4a"), (8, b"\x0f\xb0kicked")]
    assert not line.transport.closing
    line.lane.data_received(masked(1, b"4late") + masked(8, b"\x0f\xb0"))
    assert line.transport.closing
    assert not line.transport.aborted
    assert line.sent[2:] == []
    line.lane.connection_lost(None)
    assert line.heard == []
    clock.advance(0)
    assert clock.pending == 0


def test_a_peer_that_ignores_a_close_is_dropped(clock: Clock) -> None:
    """Bounded in time, whatever it goes on sending, paused or not."""
    line = _Line()
    line.lane.pause_reading()
    line.lane.pause_writing()
    line.lane.close(1000, "")
    assert line.transport.reading
    line.lane.data_received(masked(1, b"4late") * 10 + masked(9, b"?"))
    line.lane.resume_writing()
    line.lane.pause_writing()
    clock.advance(CLOSE_TIMEOUT)
    assert line.transport.aborted
    assert line.heard == []
    assert line.limits.evicted == 0


@pytest.mark.parametrize(
    "end",
    [
        lambda line: line.lane.close(1000, ""),
        lambda line: line.lane.end(),
        lambda line: line.lane.abort(),
        lambda line: line.lane.data_received(masked(8, b"")),
        lambda line: line.lane.data_received(b"\xff\xff"),
        lambda line: line.lane.connection_lost(None),
    ],
    ids=["close", "end", "abort", "closed by the peer", "violation", "connection lost"],
)
def test_nothing_is_written_after_the_end(clock: Clock, end: Callable[[_Line], None]) -> None:
    """RFC 6455, section 5.5.1: no data follows a close frame, whoever still holds the session; nor does a second."""
    line = _Line()
    end(line)
    writes = len(line.transport.writes)
    line.lane.write(Outbound("4late"))
    line.lane.write(Outbound("4late"), volatile=True)
    clock.advance(0)
    line.lane.close(1000, "")
    line.lane.end()
    clock.advance(0)
    assert len(line.transport.writes) == writes
    assert len([None for kind, _ in line.heard if kind == "lost"]) <= 1


def test_aborting_drops_what_waits(clock: Clock) -> None:
    """At once, without a word."""
    line = _Line()
    line.lane.write(Outbound("4a"))
    line.lane.abort()
    clock.advance(0)
    assert line.transport.writes == []
    assert line.transport.aborted
    assert line.heard == []


def test_closing_before_the_line_is_there(clock: Clock) -> None:
    """A connect handler that disconnects closes a lane that has no transport yet: nothing fails."""
    lane = DirectLane(Wire(LaneLimits(), MAX))
    hearer = Hearer()
    lane.receiver = hearer
    lane.close(1000, "")
    lane.abort()
    lane.pause_reading()
    lane.resume_reading()
    assert hearer.heard == []


def test_the_line_goes_away(clock: Clock) -> None:
    """The receiver is told, once; what waits and what ticks is dropped; the server's set forgets the lane."""
    line = _Line()
    assert line.connections == {line.lane}
    line.lane.write(Outbound("4a"))
    line.lane.pause_writing()
    line.lane.connection_lost(ConnectionResetError())
    clock.advance(100)
    assert line.heard == [("lost", "transport close")]
    assert line.connections == set()
    assert line.transport.writes == []


def test_the_server_stops(clock: Clock) -> None:
    """Every line is closed with 1012, service restart, so that clients come back; the receiver is told."""
    line = _Line()
    line.lane.write(Outbound("4a"))
    line.lane.shutdown()
    assert line.sent[0] == (1, b"4a")
    assert line.closed_with() == 1012
    assert line.heard == [("lost", "transport close")]
    line.lane.shutdown()
    assert line.closed_with() == 1012
    assert len(line.heard) == 1


# One peer's flood.


def test_a_flood_is_handed_over_in_slices(clock: Clock) -> None:
    """However much one peer sends, each turn handles a slice of it, in order, and reading waits meanwhile."""
    line = _Line()
    texts = [f"4{number}" for number in range(10_000)]
    line.lane.data_received(b"".join(masked(1, text.encode()) for text in texts))
    assert len(line.heard) <= SLICE
    assert not line.transport.reading
    turns = 0
    while clock.pending:
        before = len(line.heard)
        clock.advance(0)
        turns += 1
        assert len(line.heard) >= before
    assert [text for _, text in line.heard] == texts
    assert line.transport.reading


def test_a_held_flood_waits(clock: Clock) -> None:
    """While the receiver wants no more nothing is handed over; then the rest comes, in order."""
    line = _Line()
    texts = [f"4{number}" for number in range(3000)]
    line.lane.data_received(b"".join(masked(1, text.encode()) for text in texts))
    line.lane.pause_reading()
    heard = len(line.heard)
    clock.advance(1)
    assert len(line.heard) == heard
    line.lane.resume_reading()
    clock.advance(1)
    assert [text for _, text in line.heard] == texts
    assert line.transport.reading


def test_what_one_turn_writes_is_bounded_too(clock: Clock) -> None:
    """A client that would be sent more than the limit within a turn is evicted, and not by the write itself."""
    line = _Line(limits=LaneLimits(max_bytes=1000, stall=10))
    for _ in range(5):
        line.lane.write(Outbound("4" + "x" * 400))
    assert line.heard == []
    clock.advance(0)
    assert line.limits.evicted == 1
    assert line.heard == [("lost", "slow consumer")]
    assert line.transport.aborted
