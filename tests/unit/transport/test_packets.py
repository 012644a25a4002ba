"""Engine.IO packets and long-polling payloads."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtserver.transport import packets
from rtserver.transport.packets import MalformedPacket, decode_payload, encode_part

TEXT = st.text(st.characters(exclude_characters="\x1e", exclude_categories=["Cs"]), max_size=20)
PACKETS = st.lists(
    st.tuples(st.sampled_from("0123456"), TEXT).map("".join) | st.binary(max_size=40), min_size=1, max_size=20
)


def test_the_protocols_example() -> None:
    """The payload of the protocol's page: two messages with the separator between, binary as b and base64."""
    assert decode_payload("4hello\x1e2\x1e4world", 16) == ["4hello", "2", "4world"]
    assert decode_payload("4hello\x1ebAQIDBA==", 16) == ["4hello", b"\x01\x02\x03\x04"]
    assert encode_part(b"\x01\x02\x03\x04") == "bAQIDBA=="


@given(PACKETS)
def test_a_payload_survives_the_journey(sent: list[str | bytes]) -> None:
    """Any packets, text and binary, come out as they went in."""
    assert decode_payload(packets.SEPARATOR.join(map(encode_part, sent)), 20) == sent


def test_as_many_packets_as_allowed() -> None:
    """The limit itself is allowed, one more is not, and the refusal does not depend on what they are."""
    assert len(decode_payload("\x1e".join(["4x"] * 16), 16)) == 16
    for one_more in (["4x"] * 17, [""] * 17, ["b!"] * 100):
        with pytest.raises(MalformedPacket, match="more than 16 packets"):
            decode_payload("\x1e".join(one_more), 16)


@pytest.mark.parametrize("body", ["", "\x1e", "4a\x1e", "\x1e4a", "4a\x1e\x1e4b"])
def test_an_empty_packet_is_malformed(body: str) -> None:
    """A packet has at least its type."""
    with pytest.raises(MalformedPacket, match="empty packet"):
        decode_payload(body, 16)


@pytest.mark.parametrize("part", ["b!", "bA", "bAAA", "bAA==A", "b AQID", "bé", "bAQ==\n", "b=AQI"])
def test_bad_base64_is_malformed(part: str) -> None:
    """The standard alphabet with its padding, nothing around it and nothing else."""
    with pytest.raises(MalformedPacket, match="bad base64"):
        decode_payload(part, 16)


def test_binary_may_be_empty() -> None:
    """A binary message of no bytes is one."""
    assert decode_payload("b", 16) == [b""]
    assert encode_part(b"") == "b"


@given(st.text(max_size=60))
def test_anything_is_read_or_malformed(body: str) -> None:
    """Any text gives packets or MalformedPacket; text packets are never empty."""
    try:
        found = decode_payload(body, 8)
    except MalformedPacket:
        return
    assert 1 <= len(found) <= 8
    assert all(packet != "" for packet in found)


@given(st.binary(max_size=100))
def test_base64_is_the_standard_one(data: bytes) -> None:
    """With padding, as browsers and Node write and read it."""
    assert encode_part(data) == "b" + base64.standard_b64encode(data).decode()


def test_a_malformed_packet_is_a_value_error() -> None:
    """So that who knows nothing of us can catch it."""
    assert issubclass(MalformedPacket, ValueError)
