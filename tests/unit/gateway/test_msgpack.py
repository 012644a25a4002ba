"""Socket.IO's MessagePack encoding."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgpack as library
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtserver.gateway import packets
from rtserver.gateway.formats import json_format
from rtserver.gateway.msgpack import decode, msgpack_format
from rtserver.protocol.names import RESERVED_EVENTS
from rtserver.transport.outbound import Outbound
from rtserver.transport.packets import MalformedPacket
from tests.names import named

MAIN = msgpack_format("/")

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
NUMBERS = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT | st.binary(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


def packed(**fields: Any) -> bytes:
    """A packet as a client writes it."""
    return library.packb({"type": packets.EVENT, "nsp": "/", **fields})


def only(out: Outbound) -> bytes:
    """The one binary message that a packet is."""
    (data,) = out.packets
    assert isinstance(data, bytes)
    return data


class TestReading:
    """What clients send."""

    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            ({"type": 0}, (packets.CONNECT, "/", None, None)),
            ({"type": 0, "data": {"token": "x"}}, (packets.CONNECT, "/", None, {"token": "x"})),
            ({"type": 0, "nsp": "/admin?a=b"}, (packets.CONNECT, "/admin", None, None)),
            ({"type": 1}, (packets.DISCONNECT, "/", None, None)),
            ({"data": ["x", b"\1", {"a": b""}]}, (packets.EVENT, "/", None, ["x", b"\1", {"a": b""}])),
            ({"data": ["x"], "id": 7, "nsp": "/a"}, (packets.EVENT, "/a", 7, ["x"])),
            ({"type": 3, "data": [], "id": 0}, (packets.ACK, "/", 0, [])),
        ],
    )
    def test_packets(self, fields: dict[str, Any], expected: tuple[Any, ...]):
        """Type, namespace, ack id and data are read; a packet needs no attachments."""
        packet = decode(packed(**fields))
        assert (packet.type, packet.namespace, packet.id, packet.data) == expected
        assert not packet.missing

    def test_undefined_and_dates(self):
        """What JavaScript's library writes as an extension arrives as JSON would have it."""
        date = library.ExtType(0, (1_700_000_000_123).to_bytes(8, "big", signed=True))
        undefined = library.ExtType(0, b"\0")
        assert decode(packed(data=["x", date, undefined])).data == ["x", "2023-11-14T22:13:20.123Z", None]

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"\xc1",
            b"x" * 10,
            library.packb([]),
            library.packb("x"),
            packed(data=["x"])[:-1],
            packed(data=["x"]) + b"\0",
            b"\x91" * 100_000,
            library.packb({}),
            *(packed(type=kind, data=["x"]) for kind in (None, "2", True, 2.0, 4, 5, 6, 7, -1, [2], {})),
            *(packed(nsp=nsp, data=["x"]) for nsp in (None, 5, b"/", [], {})),
            *(packed(id=number, data=["x"]) for number in ("1", -1, 1.5, True, [], b"1")),
            *(packed(data=data) for data in (None, {}, [], [None], [{}], [True], "x", b"x")),
            *(packed(data=[name]) for name in sorted(RESERVED_EVENTS)),
            packed(type=0, data=[]),
            packed(type=1, data={}),
            packed(type=3, data=[]),
            packed(type=3, data={}, id=1),
            packed(data=["x", library.ExtType(5, b"abc")]),
            packed(data=["x", {1: 2}]),
            packed(data=["x", library.Timestamp(2**62, 0)]),
            packed(data=["x", b"\xff"]).replace(b"\xc4\x01\xff", b"\xa1\xff"),
        ],
        ids=lambda data: repr(data[:40]),
    )
    def test_what_is_malformed(self, data: bytes):
        """A message that is no packet, or whose data do not fit its type, is malformed."""
        with pytest.raises(MalformedPacket):
            decode(data)

    @pytest.mark.parametrize(
        ("raw", "value"),
        [
            (b"\x00", None),
            (b"\x01", b"\x01"),
            (b"abc", b"abc"),
            (bytes(8), "1970-01-01T00:00:00.000Z"),
            (b"\x7f" * 8, b"\x7f" * 8),
        ],
    )
    def test_what_javascript_writes_as_an_extension(self, raw: bytes, value: Any):
        """`undefined` is null, a date is text, and a buffer is binary: Node's parser has one code for all three."""
        assert decode(packed(data=["x", library.ExtType(0, raw)])).data == ["x", value]

    def test_namespaces_are_bounded(self):
        """A namespace of any length is not kept."""
        with pytest.raises(MalformedPacket):
            decode(packed(type=0, nsp="/" + "a" * 100_000))

    @given(
        st.binary()
        | st.dictionaries(st.sampled_from(["type", "nsp", "id", "data"]), VALUES).map(library.packb)
        | st.dictionaries(st.just("data"), VALUES).map(lambda fields: packed(**fields))
    )
    def test_any_bytes_are_a_packet_or_malformed(self, data: bytes):
        """Any bytes give a whole Packet or MalformedPacket, and nothing else."""
        try:
            packet = decode(data)
        except MalformedPacket:
            return
        assert packet.type in (packets.CONNECT, packets.DISCONNECT, packets.EVENT, packets.ACK)


class TestWriting:
    """What clients get."""

    @given(
        TEXT.filter(lambda name: name not in RESERVED_EVENTS),
        st.lists(VALUES, max_size=3),
        st.none() | st.integers(0, 2**53),
    )
    def test_round_trip(self, name: str, args: list[Any], ack_id: int | None):
        """An event arrives with its arguments as they were, binary included."""
        packet = decode(only(MAIN.event(name, tuple(args), ack_id)))
        assert (packet.type, packet.namespace, packet.id, packet.data) == (
            packets.EVENT,
            "/",
            ack_id,
            [name, *args],
        )

    @pytest.mark.parametrize(
        "value",
        [
            datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
            UUID(int=7),
            (1, 2),
            {1: "a"},
            {"a": [2**70]},
            "\ud800",
            bytearray(b"x"),
            memoryview(b"x"),
        ],
        ids=named,
    )
    def test_writes_what_json_writes(self, value: Any):
        """What one encoding can write the other can, too: who else is in the room decides nothing."""
        text, *attachments = json_format("/").event("x", ({"data": value},)).packets
        assert isinstance(text, str)
        packet = packets.decode(text[1:])
        for attachment in attachments:
            packet.attach(bytes(attachment))
        assert decode(only(MAIN.event("x", ({"data": value},)))).data == packet.data

    @pytest.mark.parametrize("value", [object(), {1, 2}, {(1,): 2}], ids=lambda value: type(value).__name__)
    def test_what_cannot_be_written(self, value: Any):
        """An error that callers know."""
        with pytest.raises((TypeError, ValueError)):
            MAIN.event("x", (value,))

    def test_depth(self):
        """Nesting without end raises an error that callers know."""
        circle: list[Any] = []
        circle.append(circle)
        with pytest.raises((TypeError, ValueError)):
            MAIN.event("x", (circle,))

    def test_control_packets(self):
        """CONNECT, CONNECT_ERROR and DISCONNECT, the last without any data."""
        admin = msgpack_format("/admin")
        assert library.unpackb(only(admin.connect("abc"))) == {
            "type": 0,
            "nsp": "/admin",
            "data": {"sid": "abc"},
        }
        assert library.unpackb(only(admin.connect_error({"message": "no"}))) == {
            "type": 4,
            "nsp": "/admin",
            "data": {"message": "no"},
        }
        assert library.unpackb(only(admin.disconnect())) == {"type": 1, "nsp": "/admin"}
        assert library.unpackb(only(admin.ack(3, [1]))) == {"type": 3, "nsp": "/admin", "data": [1], "id": 3}

    def test_one_format_per_namespace(self):
        """Formats are compared by identity."""
        assert msgpack_format("/") is MAIN
