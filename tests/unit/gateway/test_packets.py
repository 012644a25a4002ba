"""Socket.IO v5 packets, against the text of https://socket.io/docs/v4/socket-io-protocol/."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rtserver.gateway.packets import (
    ACK,
    BINARY_ACK,
    BINARY_EVENT,
    CONNECT,
    DISCONNECT,
    EVENT,
    MAX_ATTACHMENTS,
    Packet,
    decode,
)
from rtserver.protocol.names import RESERVED_EVENTS
from rtserver.transport.packets import MalformedPacket

PLACEHOLDER = {"_placeholder": True, "num": 0}


def read(text: str, *attachments: bytes) -> Packet:
    """Decode a packet and give it its attachments."""
    packet = decode(text)
    for attachment in attachments:
        assert packet.missing
        packet.attach(attachment)
    assert not packet.missing
    return packet


def shown(packet: Packet) -> tuple[Any, ...]:
    """What a packet says, for comparing."""
    return packet.type, packet.namespace, packet.id, packet.data


class TestWhatTheProtocolShows:
    """The examples of the protocol's own text."""

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("0", (CONNECT, "/", None, None)),
            ('0{"sid":"oSO0OpakMV_3jnilAAAA"}', (CONNECT, "/", None, {"sid": "oSO0OpakMV_3jnilAAAA"})),
            ('0{"token":"123"}', (CONNECT, "/", None, {"token": "123"})),
            ("0/admin,", (CONNECT, "/admin", None, None)),
            ("0/admin", (CONNECT, "/admin", None, None)),
            ('0/admin,{"token":"123"}', (CONNECT, "/admin", None, {"token": "123"})),
            ('0/admin?token=1,{"a":1}', (CONNECT, "/admin", None, {"a": 1})),
            ("0/admin?token=1&x=a/b,", (CONNECT, "/admin", None, None)),
            ("1", (DISCONNECT, "/", None, None)),
            ("1/admin,", (DISCONNECT, "/admin", None, None)),
            ("1/admin", (DISCONNECT, "/admin", None, None)),
            ('2["foo"]', (EVENT, "/", None, ["foo"])),
            ('2["foo",1,"bar",[{"a":null}]]', (EVENT, "/", None, ["foo", 1, "bar", [{"a": None}]])),
            ('2/admin,["bar"]', (EVENT, "/admin", None, ["bar"])),
            ('212["foo"]', (EVENT, "/", 12, ["foo"])),
            ('20["foo"]', (EVENT, "/", 0, ["foo"])),
            ('2/admin,456["project:delete",123]', (EVENT, "/admin", 456, ["project:delete", 123])),
            ("312[]", (ACK, "/", 12, [])),
            ('312["bar"]', (ACK, "/", 12, ["bar"])),
            ("3/admin,456[]", (ACK, "/admin", 456, [])),
            ('2["a,b/c-d",{"/x,":"1-"}]', (EVENT, "/", None, ["a,b/c-d", {"/x,": "1-"}])),
            ("2[5]", (EVENT, "/", None, [5])),
        ],
    )
    def test_packets_without_attachments(self, text: str, expected: tuple[Any, ...]):
        """Type, namespace without its query, ack id and payload are read as the protocol lays them out."""
        assert shown(read(text)) == expected

    @pytest.mark.parametrize(
        ("text", "attachments", "expected"),
        [
            (
                '51-["baz",{"_placeholder":true,"num":0}]',
                [b"\1\2"],
                (EVENT, "/", None, ["baz", b"\1\2"]),
            ),
            (
                '52-/admin,["baz",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]',
                [b"\1", b"\2"],
                (EVENT, "/admin", None, ["baz", b"\1", b"\2"]),
            ),
            (
                '51-/admin,456["x",{"a":[{"_placeholder":true,"num":0}]}]',
                [b""],
                (EVENT, "/admin", 456, ["x", {"a": [b""]}]),
            ),
            ('61-15["bar",{"_placeholder":true,"num":0}]', [b"z"], (ACK, "/", 15, ["bar", b"z"])),
            (
                '61-/admin,1[{"_placeholder":true,"num":0}]',
                [b"z"],
                (ACK, "/admin", 1, [b"z"]),
            ),
            (
                '52-["x",{"_placeholder":true,"num":1},{"_placeholder":true,"num":0}]',
                [b"a", b"b"],
                (EVENT, "/", None, ["x", b"b", b"a"]),
            ),
        ],
    )
    def test_packets_with_attachments(self, text: str, attachments: list[bytes], expected: tuple[Any, ...]):
        """A binary packet is complete with its last attachment, whose placeholders are then in place."""
        assert shown(read(text, *attachments)) == expected

    @pytest.mark.parametrize("kind", [BINARY_EVENT, BINARY_ACK])
    def test_ten_attachments(self, kind: int):
        """As many attachments as the JavaScript parser takes by default are taken, at any depth and in any order."""
        assert MAX_ATTACHMENTS == 10
        numbers = [3, 1, 4, 0, 5, 9, 2, 6, 8, 7]
        data: list[Any] = ["x"]
        inside = data
        for number in numbers:
            inside.append({"_placeholder": True, "num": number})
            inside.append({"below": []})
            inside = inside[-1]["below"]
        attachments = [bytes([number]) for number in range(10)]
        packet = read(f"{kind}10-7{json.dumps(data)}", *attachments)
        found = []
        inside = packet.data[1:]
        while inside:
            found.append(inside[0][0])
            inside = inside[1]["below"]
        assert found == numbers
        assert packet.id == 7

    def test_one_attachment_has_at_most_one_place(self):
        """One that nothing names is dropped; one in two places would weigh more than it was measured."""
        with pytest.raises(MalformedPacket):
            read(f"51-{json.dumps(['x', PLACEHOLDER, PLACEHOLDER])}", b"a")
        assert read('51-["x"]', b"a").data == ["x"]

    def test_a_placeholder_without_attachments_is_an_object(self):
        """In a packet that announces no attachments nothing is replaced."""
        assert read(f'2["x",{json.dumps(PLACEHOLDER)}]').data == ["x", PLACEHOLDER]

    @pytest.mark.parametrize("fake", [{"_placeholder": 1, "num": 0}, {"_placeholder": "true"}, {"num": 0}])
    def test_what_only_looks_like_a_placeholder_stays(self, fake: dict[str, Any]):
        """Only ``_placeholder: true`` marks a placeholder."""
        assert read(f"51-{json.dumps(['x', fake, PLACEHOLDER])}", b"a").data == ["x", fake, b"a"]

    def test_size_counts_bytes(self):
        """The size of a packet is that of its text in UTF-8 with all its attachments."""
        text = '52-["é𝄞",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]'
        assert read(text, b"abc", b"de").size == len(text.encode()) + 5


class TestWhatIsMalformed:
    """What the protocol does not know."""

    @pytest.mark.parametrize(
        "text",
        [
            *("", "7", "8[]", "9", "a", " 2[]", "-1", "２", "\x00", "x2", "b", "[]", '"2"'),
            *('4{"message":"no"}', "4", "4/admin,{}"),
            *("0[]", '0"x"', "0true", "0/x,[]", "0{", "0{}{}", "0null x"),
            *("1{}", "1[]", "1/admin,{}"),
            *(
                "2",
                "2{}",
                "2[]",
                "2null",
                '2"chat"',
                "25",
                "2[",
                "2[1,",
                "2[{}]",
                "2[null]",
                "2[true]",
                "2[[]]",
            ),
            *("2abc", '2x["chat"]', '2["chat"]]', '2["chat"]x', '2["chat",NaN]', '2["chat",Infinity]'),
            *('2["chat",01]', "2['chat']", '2["chat",]', '2["chat"', '2["\\ud800"', '2"\\u0041"'),
            *('2/admin["x"]', '2/admin,,["x"]'),
            *("3", "3[]", "31", "31{}", '31"x"', "31null", "3/admin,[]"),
            *("5", "5-", "5-[]", '5["x"]', '51["x"]', '50-["x"]', '5x-["x"]', '5 1-["x"]', '5+1-["x"]'),
            *(
                '5-1-["x"]',
                '51.0-["x"]',
                '5¹-["x"]',
                '5٣-["x"]',
                '511-["x"]',
                '5100-["x"]',
                '59999999999-["x"]',
            ),
            *("51-", "51-[]", "51-{}", "51-5", "61-[]", "6", "60-1[]", "61-1{}", "61-1"),
        ],
    )
    def test_is_refused(self, text: str):
        """A packet that fits no type, or whose payload does not fit its type, is malformed."""
        with pytest.raises(MalformedPacket):
            decode(text)

    @pytest.mark.parametrize("name", sorted(RESERVED_EVENTS))
    @pytest.mark.parametrize("head", ["2", "27", "2/x,", "51-"])
    def test_reserved_names(self, name: str, head: str):
        """An event of a name that Socket.IO keeps for itself is malformed, in every namespace."""
        with pytest.raises(MalformedPacket):
            decode(f'{head}["{name}",{{}}]')

    def test_reserved_names_however_written(self):
        """Escapes do not smuggle a reserved name in."""
        with pytest.raises(MalformedPacket):
            decode('2["\\u0063onnect"]')

    @pytest.mark.parametrize(
        "number", [-1, 1, 10, 2**63, 2**70, 0.0, 0.5, "0", "x", None, True, False, [], {}, [0]], ids=repr
    )
    @pytest.mark.parametrize("kind", ["51-", "61-1"])
    def test_wrong_placeholders(self, number: Any, kind: str):
        """A placeholder that names no attachment is malformed, as "illegal attachments" are in JavaScript."""
        packet = decode(kind + json.dumps(["x", {"a": [{"_placeholder": True, "num": number}]}]))
        with pytest.raises(MalformedPacket):
            packet.attach(b"a")

    def test_placeholder_without_a_number(self):
        """A placeholder has a number."""
        with pytest.raises(MalformedPacket):
            decode('51-["x",{"_placeholder":true}]').attach(b"a")

    @pytest.mark.parametrize("digits", ["1" * 16, "9" * 400])
    def test_ack_ids_are_bounded(self, digits: str):
        """An ack id that a JavaScript number cannot count is malformed."""
        with pytest.raises(MalformedPacket):
            decode(f'2{digits}["x"]')

    def test_namespaces_are_bounded(self):
        """A namespace of any length is not kept."""
        assert decode(f"0/{'a' * 200},").namespace == f"/{'a' * 200}"
        for text in (f"0/{'a' * 300},", f"0/{'a' * 300}", f'2/{"a" * 100_000},["x"]'):
            with pytest.raises(MalformedPacket):
                decode(text)

    @pytest.mark.parametrize("opening", ["[", '{"a":', '[{"a":'])
    @pytest.mark.parametrize("head", ["2", '2["x",', '51-["x",', '2["\\ud800",', "0", '0{"a":'])
    def test_deep_nesting(self, opening: str, head: str):
        """Nesting without end is malformed and exhausts nothing."""
        with pytest.raises(MalformedPacket):
            decode(head + opening * 100_000)

    @pytest.mark.parametrize("head", ['2["x",', '51-["x",', '2["\\ud800",', '51-["\\ud800",'])
    @pytest.mark.parametrize("depth", [50, 300, 900, 1000, 1020, 1100, 5000])
    def test_closed_deep_nesting(self, head: str, depth: int):
        """Well-formed JSON of any depth gives a packet or is malformed."""
        try:
            packet = decode(head + "[" * depth + "]" * depth + "]")
            if packet.missing:
                packet.attach(b"a")
        except MalformedPacket:
            assert depth > 50

    @pytest.mark.parametrize("digits", [20, 400, 5000])
    @pytest.mark.parametrize("name", ["x", "\\ud800"])
    def test_huge_numbers(self, digits: int, name: str):
        """A number of any length gives a packet or is malformed."""
        for number in ("9" * digits, "-" + "9" * digits, f"1e{'9' * digits}", f"0.{'9' * digits}"):
            try:
                assert decode(f'2["{name}",{number}]').data[0] in ("x", "?")
            except MalformedPacket:
                pass


class TestHalfSurrogates:
    """JavaScript strings may hold half a pair; JSON.stringify writes it as an escape."""

    def test_becomes_a_question_mark(self):
        """Half a surrogate pair cannot be written in UTF-8: it is replaced, the rest is kept."""
        assert decode('2["chat",{"message":"a\\ud83db","k\\udc00":"\\u00e9\\ud83d\\ude00"}]').data == [
            "chat",
            {"message": "a?b", "k?": "é😀"},
        ]

    @pytest.mark.parametrize("text", ['2["\ud800"]', "0/\ud800,", '2["\ud800","\\u0041"]', "0\ud800"])
    def test_text_that_no_utf8_can_hold(self, text: str):
        """Half a pair that is not even escaped gives a packet or is malformed, and nothing else."""
        try:
            decode(text)
        except MalformedPacket:
            pass


PIECES = st.sampled_from(
    [
        *(
            "0",
            "1",
            "2",
            "3",
            "4",
            "5",
            "6",
            "7",
            "-",
            "/",
            ",",
            "?",
            "[",
            "]",
            "{",
            "}",
            '"',
            ":",
            "\\u",
            "\\ud8",
        ),
        *(
            "/admin",
            "null",
            "true",
            "NaN",
            "1e999",
            "-0",
            "99999999999999999999",
            "51-",
            "52-",
            "510-",
            "511-",
        ),
        *('["x"', '["x",', '"_placeholder":true', '"num":0', '{"_placeholder":true,"num":0}', '["connect"'),
        *("\ud800", "\u2028", "\x00", "é", "[" * 1100),
    ]
)


class TestAnything:
    """The decoder is total."""

    @given(
        st.one_of(st.text(), st.lists(PIECES, max_size=12).map("".join)), st.lists(st.binary(), max_size=11)
    )
    @example("0\ud800,", [])
    @example('2["' + "\\u0041" * 10, [])
    def test_any_text_is_a_packet_or_malformed(self, text: str, attachments: list[bytes]):
        """Any text, with any attachments, gives a whole Packet or MalformedPacket, and nothing else."""
        try:
            packet = decode(text)
            for attachment in attachments:
                if not packet.missing:
                    break
                packet.attach(attachment)
        except MalformedPacket:
            return
        if packet.missing:
            return
        assert packet.type in (CONNECT, DISCONNECT, EVENT, ACK)
        assert packet.namespace.startswith("/")
        assert packet.id is None or packet.id >= 0
        if packet.type in (EVENT, ACK):
            assert isinstance(packet.data, list)
        if packet.type == EVENT:
            assert packet.data[0] not in RESERVED_EVENTS

    @given(
        st.sampled_from([EVENT, ACK]),
        st.sampled_from(["", "/a,", "/a?b=c,"]),
        st.integers(0, 10**15 - 1),
        st.recursive(
            st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
            | st.text(st.characters(exclude_categories=["Cs"])),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
            max_leaves=8,
        ),
    )  # fmt: skip
    def test_reads_what_javascript_writes(self, kind: int, namespace: str, number: int, value: Any):
        """Whatever value JSON can hold arrives as it was, ASCII-escaped or not."""
        if "\ud800" in repr(value):
            return
        for ascii_only in (True, False):
            text = json.dumps(["x", value], ensure_ascii=ascii_only, separators=(",", ":"))
            packet = read(f"{kind}{namespace}{number}{text}")
            assert shown(packet) == (kind, "/a" if namespace else "/", number, ["x", value])
