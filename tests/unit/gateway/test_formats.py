"""How events are written, read back by our own decoder."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rtserver.gateway import packets
from rtserver.gateway.formats import JsonFormat, json_format
from rtserver.gateway.packets import Packet, decode
from rtserver.transport.outbound import Outbound
from rtserver.transport.packets import MalformedPacket

MAIN = json_format("/")
ADMIN = json_format("/admin")

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
KEYS = TEXT.filter(lambda key: key != "_placeholder")
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT | st.binary(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)


def read(out: Outbound) -> Packet:
    """Decode what was written, attachments and all; refuse anything beside it."""
    text, *attachments = out.packets
    assert isinstance(text, str)
    assert text.startswith("4")
    packet = decode(text[1:])
    for attachment in attachments:
        assert isinstance(attachment, bytes)
        packet.attach(attachment)
    assert not packet.missing
    return packet


def plain(value: Any) -> Any:
    """A value as JavaScript gets it: tuples are arrays, all binary is the same."""
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    return value


class TestRoundTrip:
    """What is written is what is read."""

    @given(
        st.sampled_from(["/", "/admin", "/a/b"]),
        TEXT,
        st.lists(VALUES, max_size=3),
        st.none() | st.integers(0, 10**15 - 1),
    )
    def test_event(self, namespace: str, name: str, args: list[Any], ack_id: int | None):
        """An event arrives with its name, arguments, namespace and ack id, binary at any depth."""
        if name in packets.RESERVED_EVENTS:
            return
        try:
            out = json_format(namespace).event(name, tuple(args), ack_id)
        except ValueError:
            assert too_many_attachments(args)
            return
        packet = read(out)
        assert (packet.type, packet.namespace, packet.id) == (packets.EVENT, namespace, ack_id)
        assert packet.data == [name, *args]

    @given(st.integers(0, 10**15 - 1), st.lists(VALUES, max_size=3))
    def test_ack(self, ack_id: int, args: list[Any]):
        """An acknowledgement arrives with its id and values."""
        try:
            out = ADMIN.ack(ack_id, args)
        except ValueError:
            assert too_many_attachments(args)
            return
        packet = read(out)
        assert (packet.type, packet.namespace, packet.id, packet.data) == (
            packets.ACK,
            "/admin",
            ack_id,
            args,
        )

    @pytest.mark.parametrize(
        "binary", [b"", b"\0\xff", bytearray(b"ab"), memoryview(b"abc"), memoryview(b"abcdef")[::2]]
    )
    def test_kinds_of_binary(self, binary: Any):
        """Every kind of bytes is an attachment of its own, in the order of its appearance."""
        value = {"a": [binary, ("x", binary)], "b": {"c": binary}}
        packet = read(MAIN.event("x", (value, binary)))
        assert packet.data == ["x", plain(value), bytes(binary)]
        assert packet.attachments == [bytes(binary)] * 4

    def test_attachments_do_not_change_with_what_they_came_from(self):
        """An event is written once: who changes a buffer later changes nothing of it."""
        buffer = bytearray(b"before")
        out = MAIN.event("x", (buffer,))
        buffer[:] = b"after!"
        assert read(out).data == ["x", b"before"]

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            (2**64, float(2**64)),
            ((1, 2), [1, 2]),
            ({1: "a"}, {"1": "a"}),
            (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02T03:04:05+00:00"),
            (UUID(int=7), str(UUID(int=7))),
            (float("nan"), None),
        ],
        ids=repr,
    )
    @pytest.mark.parametrize("beside", [(), (b"binary",)])
    def test_what_python_has_and_json_has_not(self, value: Any, expected: Any, beside: tuple[bytes, ...]):
        """What has an obvious JSON form is written in it, beside binary as without."""
        assert read(MAIN.event("x", (value, *beside))).data == ["x", expected, *beside]


def too_many_attachments(args: list[Any]) -> bool:
    """Whether there is more binary in it than a stock client takes in one packet."""

    def count(value: Any) -> int:
        if isinstance(value, list):
            return sum(map(count, value))
        if isinstance(value, dict):
            return sum(map(count, value.values()))
        return isinstance(value, bytes)

    return count(args) > packets.MAX_ATTACHMENTS


class TestWhatCannotBeWritten:
    """An error that callers know, and never half a packet."""

    @given(
        st.recursive(
            st.sampled_from(
                [
                    object(),
                    {1, 2},
                    2j,
                    float("nan"),
                    2**70,
                    "\ud800",
                    b"x",
                    None,
                    type,
                    {"_placeholder": True, "num": 9},
                ]
            ),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.tuples(inner)
                | st.dictionaries(
                    st.sampled_from([1, None, "a", "_placeholder", "num", (1,), b"k", "\ud800"]),
                    inner,
                    max_size=3,
                )
            ),
            max_leaves=6,
        ),
    )
    @example([{"_placeholder": True, "num": 9}, b"x"])
    @example({"_placeholder": True, "num": 0})
    def test_type_or_value_error(self, value: Any):
        """Whatever Python value is emitted is readable on the other side, or raises TypeError or ValueError."""
        try:
            out = MAIN.event("x", (value,))
        except (TypeError, ValueError):
            return
        try:
            read(out)
        except MalformedPacket:
            pytest.fail(f"a stock client would hang up on {out.packets!r}")

    @pytest.mark.parametrize("depth", [100, 190, 200, 210, 253, 254, 300, 1000, 100_000])
    @pytest.mark.parametrize("leaf", [1, b"x", 2**70])
    def test_depth(self, depth: int, leaf: Any):
        """A value nested too deeply raises ValueError or TypeError; one that is written can be read."""
        value = leaf
        for _ in range(depth):
            value = [value]
        try:
            out = MAIN.event("x", (value,))
        except (TypeError, ValueError):
            assert depth > 100
        else:
            read(out)

    @pytest.mark.parametrize("count", [packets.MAX_ATTACHMENTS, packets.MAX_ATTACHMENTS + 1, 300])
    def test_more_attachments_than_a_client_takes(self, count: int):
        """More binary than a stock client takes in one packet is refused: it would hang up."""
        parts = [bytes([number % 256]) for number in range(count)]
        try:
            out = MAIN.event("x", (parts,))
        except ValueError:
            assert count > packets.MAX_ATTACHMENTS
        else:
            assert read(out).data == ["x", parts]

    def test_a_value_that_holds_itself(self):
        """A circle is nested too deeply."""
        circle: list[Any] = []
        circle.append(circle)
        for value in (circle, [circle, b"x"], {"a": circle, "b": 2**70}):
            with pytest.raises((TypeError, ValueError)):
                MAIN.event("x", (value,))

    @pytest.mark.parametrize("num", [0, 1, 99])
    def test_a_forged_placeholder_beside_binary(self, num: int):
        """What looks like a placeholder never takes the place of one: clients hang up on "illegal attachments"."""
        forged = {"_placeholder": True, "num": num}
        for value in (
            [forged, b"x"],
            [b"x", {"data": forged}],
            {"history": [{"data": forged}, {"data": b"x"}]},
        ):
            try:
                out = MAIN.ack(1, [value])
            except ValueError:
                continue
            assert read(out).data == [value]


class TestControlPackets:
    """CONNECT, CONNECT_ERROR and DISCONNECT."""

    @pytest.mark.parametrize(
        ("form", "kind", "text"),
        [
            (MAIN, "connect", '40{"sid":"abc"}'),
            (ADMIN, "connect", '40/admin,{"sid":"abc"}'),
            (MAIN, "connect_error", '44{"message":"no","data":{"code":1}}'),
            (ADMIN, "connect_error", '44/admin,{"message":"no","data":{"code":1}}'),
            (MAIN, "disconnect", "41"),
            (ADMIN, "disconnect", "41/admin,"),
        ],
    )
    def test_are_what_the_protocol_says(self, form: JsonFormat, kind: str, text: str):
        """They are written as the protocol shows them; a DISCONNECT has no payload."""
        arguments = {
            "connect": ("abc",),
            "connect_error": ({"message": "no", "data": {"code": 1}},),
            "disconnect": (),
        }
        out = getattr(form, kind)(*arguments[kind])
        (packet,) = out.packets
        if kind == "disconnect":
            # With or without the comma: the JavaScript parser takes both.
            assert packet.rstrip(",") == text.rstrip(",")
        else:
            assert packet == text

    def test_one_format_per_namespace(self):
        """Formats are compared by identity, so there is one object per namespace."""
        assert json_format("/admin") is ADMIN
        assert json_format("/other") is not ADMIN

    def test_events_in_json_have_no_spaces(self):
        """The common case is as short as JSON can be."""
        assert MAIN.event("chat", ({"a": [1, "é"]},)).packets == ('42["chat",{"a":[1,"é"]}]',)
        assert ADMIN.event("chat", (), 7).packets == ('42/admin,7["chat"]',)
        assert orjson.loads(MAIN.ack(3, [{"ok": True}]).packets[0][3:]) == [{"ok": True}]
