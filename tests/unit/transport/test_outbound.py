"""What goes out is encoded once per wire format."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import PerMessageDeflate

from rtserver.transport import frames, outbound, packets
from rtserver.transport.outbound import Outbound
from tests.unit.transport.stand_ins import frames_of

PARTS = st.lists(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
    | st.text(alphabet="ab é", min_size=500, max_size=600)
    | st.binary(max_size=30)
    | st.binary(min_size=500, max_size=700),
    min_size=1,
    max_size=4,
)


def _inflater() -> PerMessageDeflate:
    """Return the client's half of a permessage-deflate without context takeover."""
    return PerMessageDeflate(
        remote_no_context_takeover=True,
        local_no_context_takeover=True,
        remote_max_window_bits=15,
        local_max_window_bits=15,
    )


def test_text_gets_its_type_and_binary_none() -> None:
    """An event and its attachment are a message packet and bytes."""
    out = Outbound.message('51-["x",{"_placeholder":true,"num":0}]', b"\x01\x02")
    assert out.packets == ('451-["x",{"_placeholder":true,"num":0}]', b"\x01\x02")


def test_size_counts_all_parts() -> None:
    """What a lane counts grows with everything that is sent."""
    assert Outbound("4abc").size == 4
    assert Outbound.message("abc", b"12345").size == 9


@given(PARTS)
def test_a_client_reads_the_frames(parts: list[str | bytes]) -> None:
    """One frame per packet, in order, text as UTF-8."""
    out = Outbound.message(*parts)
    read = [
        bytes(frame.data).decode() if frame.opcode == frames.TEXT else bytes(frame.data)
        for frame in frames_of(out.frames)
    ]
    assert tuple(read) == out.packets


@given(PARTS)
def test_a_client_inflates_the_frames(parts: list[str | bytes]) -> None:
    """The library's permessage-deflate reads each packet, compressed or not, without any that came before."""
    out = Outbound.message(*parts)
    read = [
        bytes(frame.data).decode() if frame.opcode == frames.TEXT else bytes(frame.data)
        for frame in frames_of(out.deflated, _inflater())
    ]
    assert tuple(read) == out.packets
    for one in out.packets:
        assert len(frames_of(Outbound(one).deflated, _inflater())) == 1


def test_what_is_long_is_compressed_and_what_is_short_is_not() -> None:
    """A long text shrinks and is marked by RSV1; a short one goes as it is."""
    long, short = Outbound("4" + "hello " * 500), Outbound("4hello")
    assert len(long.deflated) < len(long.frames) / 10
    assert long.deflated[0] == 0xC1
    assert short.deflated == short.frames


def test_the_polling_form() -> None:
    """The packets with separators between, binary as base64."""
    assert Outbound.message("a", b"\x01", "b").payload == "4a\x1ebAQ==\x1e4b"
    assert Outbound(packets.PING).payload == "2"


def test_each_form_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many clients ask, encoding, compressing and base64 happen once."""
    made: list[str] = []

    def counted(name: str) -> None:
        real = getattr(outbound, name)
        monkeypatch.setattr(outbound, name, lambda packet: (made.append(name), real(packet))[1])

    counted("_frame")
    counted("_deflated_frame")
    out = Outbound("4" + "x" * 1000)
    assert out.frames is out.frames
    assert out.deflated is out.deflated
    assert out.payload is out.payload
    assert made == ["_frame", "_deflated_frame"]


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=300))
def test_text_given_as_utf_8(text: str) -> None:
    """The short way gives the same bytes, packets, payload and size as the long one."""
    short, long = Outbound.text(("4" + text).encode()), Outbound.message(text)
    assert short.frames == long.frames
    assert short.deflated == long.deflated
    assert short.packets == long.packets
    assert short.payload == long.payload
    assert short.size == long.size


def test_the_constants_of_the_protocol() -> None:
    """PING, NOOP, CLOSE and the answer to a probe, as the protocol's page shows them."""
    assert [o.payload for o in (outbound.PING, outbound.NOOP, outbound.CLOSE, outbound.PROBE_ANSWER)] == [
        "2",
        "6",
        "1",
        "3probe",
    ]


def test_bytearray_and_memoryview_are_binary() -> None:
    """Whatever holds bytes is sent as bytes."""
    assert Outbound.message(bytearray(b"ab")).frames == b"\x82\x02ab"
    assert Outbound.message(bytearray(b"ab")).payload == "bYWI="
