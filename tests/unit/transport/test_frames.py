"""WebSocket frames, held against RFC 6455 and the websockets library."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame as TheirFrame
from websockets.frames import Opcode

from rtserver.transport import frames
from rtserver.transport.frames import Frame, FrameReader, FrameViolation
from tests.unit.transport.stand_ins import frames_of

MASK = b"\x37\xfa\x21\x3d"


def masked(opcode: int, payload: bytes, *, fin: bool = True) -> bytes:
    """Return the frame that a client would send, by the library."""
    return TheirFrame(Opcode(opcode), payload, fin).serialize(mask=True)


def header(first: int, length: int, *, is_masked: bool = True) -> bytes:
    """Return a frame's first two bytes and a mask that changes nothing."""
    return bytes((first, (0x80 if is_masked else 0) | length)) + (b"\0\0\0\0" if is_masked else b"")


def read(data: bytes, max_size: int = 1000, *, compression: bool = False) -> list[Frame]:
    """Return what a fresh reader makes of *data*."""
    return list(FrameReader(max_size, compression=compression).feed(data))


def violation(data: bytes, max_size: int = 1000, *, compression: bool = False) -> int:
    """Return the close code that *data* gives."""
    with pytest.raises(FrameViolation) as violated:
        read(data, max_size, compression=compression)
    return violated.value.code


# Out.


def test_the_examples_of_the_rfc() -> None:
    """Section 5.7: a text frame, a masked one, a fragmented one, ping and pong, 256 bytes and 64 KiB of binary."""
    assert frames.encode(frames.TEXT, b"Hello") == b"\x81\x05Hello"
    assert read(b"\x81\x85" + MASK + b"\x7f\x9f\x4d\x51\x58") == [Frame(frames.TEXT, b"Hello")]
    assert read(header(0x01, 3) + b"Hel" + header(0x80, 2) + b"lo") == [Frame(frames.TEXT, b"Hello")]
    assert frames.encode(frames.PING, b"Hello") == b"\x89\x05Hello"
    assert read(b"\x8a\x85" + MASK + b"\x7f\x9f\x4d\x51\x58") == [Frame(frames.PONG, b"Hello")]
    assert frames.encode(frames.BINARY, bytes(256))[:4] == b"\x82\x7e\x01\x00"
    assert frames.encode(frames.BINARY, bytes(65536))[:10] == b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00"


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 65535, 65536, 70000])
def test_a_frame_has_the_shortest_length_field(length: int) -> None:
    """At every border of the three forms the frame is the library's, byte for byte."""
    payload = b"x" * length
    assert frames.encode(frames.BINARY, payload) == TheirFrame(Opcode.BINARY, payload).serialize(mask=False)


@given(st.sampled_from([frames.TEXT, frames.BINARY]), st.binary(max_size=300), st.booleans())
def test_a_client_reads_what_is_encoded(opcode: int, payload: bytes, compressed: bool) -> None:
    """Opcode and payload come out as they went in, and RSV1 says whether the payload is compressed."""
    data = frames.encode(opcode, payload, compressed=compressed)
    assert bool(data[0] & 0x40) is compressed
    plain = bytes((data[0] & ~0x40,)) + data[1:]
    (frame,) = frames_of(plain)
    assert (frame.opcode, bytes(frame.data), frame.fin) == (opcode, payload, True)


@given(st.integers(3000, 4999), st.text(max_size=200))
def test_a_close_frame_is_always_well_formed(code: int, reason: str) -> None:
    """However long the reason and wherever it is cut: at most 125 bytes, the code, and a beginning of it in UTF-8."""
    (frame,) = frames_of(frames.encode_close(code, reason))
    payload = bytes(frame.data)
    assert frame.opcode == frames.CLOSE
    assert len(payload) <= 125
    assert int.from_bytes(payload[:2], "big") == code
    assert reason.startswith(payload[2:].decode())
    assert frames.close_code(payload) == code


def test_a_reason_is_cut_between_characters() -> None:
    """As many whole characters as fit are kept."""
    (frame,) = frames_of(frames.encode_close(4000, "é" * 100))
    assert bytes(frame.data)[2:].decode() == "é" * 61


# In: what a peer may send.


MESSAGES = st.tuples(
    st.sampled_from([frames.TEXT, frames.BINARY]),
    st.binary(max_size=40) | st.integers(100, 700).map(bytes),
    st.lists(st.integers(0, 700), max_size=4),
)
CONTROLS = st.tuples(st.sampled_from([frames.PING, frames.PONG]), st.binary(max_size=125))
CUTS = st.lists(st.integers(1, 9), max_size=40)


def fragmented(opcode: int, payload: bytes, cuts: list[int]) -> list[bytes]:
    """Return a message's frames, cut where *cuts* say."""
    ends = sorted(min(cut, len(payload)) for cut in cuts)
    parts = [payload[start:end] for start, end in zip([0, *ends], [*ends, len(payload)], strict=True)]
    return [
        masked(opcode if number == 0 else 0, part, fin=number == len(parts) - 1)
        for number, part in enumerate(parts)
    ]


def chunks(data: bytes, sizes: list[int]) -> list[bytes]:
    """Return *data* in pieces of these sizes, the rest in one."""
    pieces, at = [], 0
    for size in sizes:
        pieces.append(data[at : at + size])
        at += size
    return [*pieces, data[at:]]


@given(st.lists(st.tuples(MESSAGES, st.lists(CONTROLS, max_size=2)), max_size=5), CUTS, st.booleans())
def test_messages_come_out_whole(
    sent: list[tuple[tuple[int, bytes, list[int]], list[tuple[int, bytes]]]], sizes: list[int], bytewise: bool
) -> None:
    """Fragmented at will, control frames in between, chunked at will: every message and control frame, in order."""
    data, expected = b"", []
    for (opcode, payload, cuts), controls in sent:
        first, *rest = fragmented(opcode, payload, cuts)
        data += first
        whole = Frame(opcode, payload)
        if not rest:
            expected.append(whole)
        for kind, content in controls:
            data += masked(kind, content)
            expected.append(Frame(kind, content))
        data += b"".join(rest)
        if rest:
            expected.append(whole)
    reader = FrameReader(700)
    pieces = [bytes((byte,)) for byte in data] if bytewise else chunks(data, sizes)
    assert [frame for piece in pieces for frame in reader.feed(piece)] == expected
    assert reader.idle


def test_a_reader_is_idle_between_messages_only() -> None:
    """Half a header, half a payload and half a message are not idle."""
    reader = FrameReader(100)
    assert reader.idle
    assert list(reader.feed(b"\x81")) == []
    assert not reader.idle
    assert list(reader.feed(header(0x81, 2)[1:] + b"a")) == []
    assert not reader.idle
    assert list(reader.feed(b"b")) == [Frame(frames.TEXT, b"ab")]
    assert reader.idle
    assert list(reader.feed(masked(frames.TEXT, b"a", fin=False))) == []
    assert not reader.idle
    assert list(reader.feed(masked(0, b"b"))) == [Frame(frames.TEXT, b"ab")]
    assert reader.idle


def test_a_message_of_exactly_the_maximum() -> None:
    """The limit itself is allowed, whole and fragmented, and a control frame in between does not count."""
    assert read(masked(frames.BINARY, bytes(100)), 100) == [Frame(frames.BINARY, bytes(100))]
    data = masked(1, b"x" * 90, fin=False) + masked(frames.PING, b"y" * 125) + masked(0, b"z" * 10)
    assert read(data, 100) == [Frame(frames.PING, b"y" * 125), Frame(frames.TEXT, b"x" * 90 + b"z" * 10)]
    assert read(masked(frames.PING, b"y" * 20), 10) == [Frame(frames.PING, b"y" * 20)]


def test_one_message_leaves_nothing_for_the_next() -> None:
    """Size and kind of a fragmented message are forgotten when it is complete."""
    data = (masked(1, b"x" * 60, fin=False) + masked(0, b"x" * 40)) * 3 + masked(2, b"y" * 100)
    assert [len(frame.payload) for frame in read(data, 100)] == [100, 100, 100, 100]


def test_endless_empty_fragments_take_no_memory() -> None:
    """A message that never grows and never ends is held in a bounded list."""
    reader = FrameReader(100)
    list(reader.feed(masked(1, b"a", fin=False)))
    assert list(reader.feed(masked(0, b"", fin=False) * 10_000)) == []
    assert len(reader._fragments) < 2000
    assert list(reader.feed(masked(0, b"b"))) == [Frame(frames.TEXT, b"ab")]


def test_compression_is_marked_once_per_message() -> None:
    """RFC 7692, section 6: RSV1 of the first frame holds for the message, and for that message only."""
    data = header(0x41, 1) + b"a" + header(0x80, 1) + b"b" + header(0x81, 1) + b"c"
    assert read(data, compression=True) == [Frame(frames.TEXT, b"ab", True), Frame(frames.TEXT, b"c", False)]


# In: what no peer may send.


@pytest.mark.parametrize("bits", [0x40, 0x20, 0x10, 0x70])
@pytest.mark.parametrize("opcode", [frames.TEXT, frames.BINARY, frames.PING, frames.CLOSE])
def test_reserved_bits_are_refused(bits: int, opcode: int) -> None:
    """Section 5.2: without an extension that gives them a meaning they must be 0."""
    assert violation(header(0x80 | bits | opcode, 0)) == frames.PROTOCOL_ERROR


@pytest.mark.parametrize("first", [0xC9, 0xC8, 0xA1, 0x91])
def test_with_compression_only_rsv1_of_data_is_allowed(first: int) -> None:
    """RFC 7692, section 6.1: control frames are never compressed, and RSV2 and RSV3 still mean nothing."""
    assert violation(header(first, 0), compression=True) == frames.PROTOCOL_ERROR


def test_with_compression_a_continuation_carries_no_mark() -> None:
    """RFC 7692, section 6.1: RSV1 stands on a message's first frame only."""
    data = header(0x41, 1) + b"a" + header(0xC0, 1) + b"b"
    assert violation(data, compression=True) == frames.PROTOCOL_ERROR


@pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 0xB, 0xC, 0xD, 0xE, 0xF])
def test_unknown_opcodes_are_refused(opcode: int) -> None:
    """Section 5.2: they are reserved."""
    assert violation(header(0x80 | opcode, 0)) == frames.PROTOCOL_ERROR


@pytest.mark.parametrize("opcode", [frames.TEXT, frames.BINARY, frames.PING, frames.PONG, frames.CLOSE])
def test_unmasked_frames_are_refused(opcode: int) -> None:
    """Section 5.1: a server must close on a frame that is not masked."""
    assert violation(header(0x80 | opcode, 0, is_masked=False)) == frames.PROTOCOL_ERROR


@pytest.mark.parametrize("opcode", [frames.PING, frames.PONG, frames.CLOSE])
def test_control_frames_are_short_and_whole(opcode: int) -> None:
    """Section 5.5: at most 125 bytes, never fragmented."""
    assert violation(header(opcode, 0)) == frames.PROTOCOL_ERROR
    assert violation(bytes((0x80 | opcode, 0xFE, 0, 126)) + bytes(130)) == frames.PROTOCOL_ERROR
    assert violation(bytes((0x80 | opcode, 0xFF)) + bytes(20)) == frames.PROTOCOL_ERROR


def test_fragments_out_of_order_are_refused() -> None:
    """Section 5.4: a continuation continues something, and nothing else begins before it is finished."""
    assert violation(masked(0, b"x")) == frames.PROTOCOL_ERROR
    assert violation(masked(0, b"x", fin=False)) == frames.PROTOCOL_ERROR
    assert violation(masked(1, b"x", fin=False) + masked(1, b"y")) == frames.PROTOCOL_ERROR
    assert violation(masked(2, b"x", fin=False) + masked(2, b"y", fin=False)) == frames.PROTOCOL_ERROR
    assert violation(masked(1, b"x") + masked(0, b"y")) == frames.PROTOCOL_ERROR


@pytest.mark.parametrize(
    "data",
    [
        bytes((0x81, 0xFE)) + (101).to_bytes(2, "big"),
        bytes((0x82, 0xFF)) + (101).to_bytes(8, "big"),
        bytes((0x82, 0xFF)) + (2**63 - 1).to_bytes(8, "big"),
        bytes((0x81, 0x80 | 101)),
    ],
)
def test_too_long_is_refused_by_the_header_alone(data: bytes) -> None:
    """A frame over the limit is refused before any of its payload is kept."""
    assert violation(data, 100) == frames.TOO_BIG


def test_a_length_with_the_highest_bit_is_refused() -> None:
    """Section 5.2: the most significant bit of the 64 must be 0."""
    assert violation(bytes((0x82, 0xFF)) + b"\xff" * 8, 100) in (frames.PROTOCOL_ERROR, frames.TOO_BIG)


def test_too_long_in_fragments_is_refused() -> None:
    """The limit is the message's, however it is cut."""
    data = masked(1, b"x" * 60, fin=False) + masked(0, b"x" * 41, fin=False)[:2]
    assert violation(data, 100) == frames.TOO_BIG


def test_what_came_before_a_violation_is_still_read() -> None:
    """Whole messages in the same chunk as a violation come out first, as they would in chunks of their own."""
    seen = []
    with pytest.raises(FrameViolation):
        for frame in FrameReader(100).feed(masked(1, b"a") + masked(frames.PING, b"b") + b"\xff\xff"):
            seen.append(frame)  # noqa: PERF402  # the list must hold what came before the raise
    assert seen == [Frame(frames.TEXT, b"a"), Frame(frames.PING, b"b")]


def test_nothing_after_a_close_is_read() -> None:
    """Section 5.5.1: what follows a close frame is no longer of the conversation, were it garbage."""
    assert read(masked(frames.CLOSE, b"\x03\xe8") + b"\xff\xff\xff") == [Frame(frames.CLOSE, b"\x03\xe8")]


# Close frames.


@pytest.mark.parametrize(
    "code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 4999]
)
def test_codes_that_may_be_sent(code: int) -> None:
    """Section 7.4 and the registry it opened: these are taken, with and without a reason."""
    assert frames.close_code(code.to_bytes(2, "big")) == code
    assert frames.close_code(code.to_bytes(2, "big") + "warum nicht ☺".encode()) == code


@pytest.mark.parametrize("code", [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1999, 2000, 2999, 5000, 65535])
def test_codes_that_may_not(code: int) -> None:
    """Section 7.4: unused, reserved, and never to be sent."""
    with pytest.raises(FrameViolation) as violated:
        frames.close_code(code.to_bytes(2, "big"))
    assert violated.value.code == frames.PROTOCOL_ERROR


def test_half_a_code_and_a_broken_reason() -> None:
    """Section 5.5.1: no payload, or two bytes and UTF-8; a single byte and other bytes are refused."""
    assert frames.close_code(b"") is None
    with pytest.raises(FrameViolation) as violated:
        frames.close_code(b"\x03")
    assert violated.value.code == frames.PROTOCOL_ERROR
    with pytest.raises(FrameViolation) as violated:
        frames.close_code(b"\x03\xe8\xff\xfe")
    assert violated.value.code == frames.INVALID_DATA


# Anything.


@given(st.lists(st.binary(max_size=30), max_size=8), st.booleans())
def test_random_bytes_are_read_or_violate(pieces: list[bytes], compression: bool) -> None:
    """Nothing but FrameViolation is ever raised, its code is one that may be sent, and memory stays bounded."""
    reader = FrameReader(20, compression=compression)
    try:
        for piece in pieces:
            for frame in reader.feed(piece):
                assert len(frame.payload) <= 125
    except FrameViolation as violated:
        code = violated.code
    else:
        code = frames.PROTOCOL_ERROR
    assert code in (frames.PROTOCOL_ERROR, frames.TOO_BIG)
    assert reader._held <= 20
