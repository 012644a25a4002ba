"""The log for recovery: numbers, bounds, and what is given back."""

from __future__ import annotations

from collections import deque
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from rtserver.rooms.tape import _OVERHEAD, Stream, Tape


class Parcel:
    """Something to keep."""

    def __init__(self, name: Any, size: int = 10) -> None:
        self.name = name
        self.size = size

    def __len__(self) -> int:
        return self.size

    def __repr__(self) -> str:
        return f"Parcel({self.name})"


def tape(messages: int = 100, most: int = 1_000_000, horizon: float = 60.0, floors: int = 100) -> Tape[Any]:
    """A tape."""
    return Tape(messages, most, horizon, floors)


def keep(one: Tape[Any], *streams: Stream, skip: tuple[str, ...] = (), now: float = 0.0) -> Parcel:
    """Keep something, and return it."""
    parcel = Parcel(one.number + 1)
    one.keep(streams, parcel, skip, now)
    return parcel


class TestOffsets:
    """What numbers look like on the wire."""

    def test_a_string(self):
        """An offset is a string that is read back as its number, and the next one is told before it is used."""
        one = tape()
        following = one.next_offset
        keep(one, "r")
        assert one.offset == following
        assert isinstance(one.offset, str)
        assert one.parse(one.offset) == 1

    def test_nothing_heard(self):
        """Who heard nothing, or only another run of the server, heard nothing of ours."""
        one, other = tape(), tape()
        other._life = "0" * 6 if one._life != "0" * 6 else "1" * 6
        assert one.parse(None) == 0
        assert one.parse(other.offset) == 0

    @pytest.mark.parametrize(
        "offset",
        [
            "",
            ".",
            "x",
            "1",
            1,
            1.5,
            [],
            {},
            True,
            "abcdef",
            "abcdef.",
            "abcdef.-1",
            "abcdef.1x",
            "abcdefg.1",
            "abcdef.\u0661",
        ],
        ids=repr,
    )
    def test_forged(self, offset: Any):
        """What was never given to anybody is no offset."""
        assert tape().parse(offset) is None

    @pytest.mark.parametrize("number", ["2", "99999999999999999999999999"])
    def test_from_the_future(self, number: str):
        """An offset that was not reached yet is none."""
        one = tape()
        keep(one, "r")
        assert one.parse(f"{one._life}.{number}") is None


class TestMissed:
    """``missed``."""

    def test_in_order(self):
        """What followed comes in the order in which it was sent, whatever stream it went into, each once."""
        one = tape()
        a, everybody, b, own = (keep(one, *streams) for streams in (["a"], [None], ["b"], [("sid",)]))
        both = keep(one, "a", "b", ("sid",))
        streams: list[tuple[Stream, int]] = [("b", 0), (None, 0), ("a", 0), (("sid",), 0)]
        assert one.missed(0, streams, "sid") == [a, everybody, b, own, both]
        assert one.missed(2, streams, "sid") == [b, own, both]
        assert one.missed(5, streams, "sid") == []

    def test_only_what_it_hears(self):
        """Rooms it is not in, other clients' messages, and what it was left out of are not for it."""
        one = tape()
        keep(one, "other")
        keep(one, ("other",))
        keep(one, "r", skip=("sid",))
        mine = keep(one, "r", skip=("other",))
        assert one.missed(0, [("r", 0), (("sid",), 0)], "sid") == [mine]

    def test_since_it_came(self):
        """What was said in a room before it joined was not missed, nor is a gap from then one of its own."""
        one = tape(messages=1)
        keep(one, "r")
        keep(one, "r")
        assert one.missed(0, [("r", 1)], "sid") is not None
        assert one.missed(0, [("r", 2)], "sid") == []
        assert one.missed(0, [("r", 0)], "sid") is None

    def test_a_room_named_like_a_client(self):
        """A room may be named like a sid; they are two streams."""
        one = tape()
        keep(one, ("sid",))
        assert one.missed(0, [("sid", 0)], "x") == []


class TestBounds:
    """What is forgotten, and that it is told."""

    def test_per_stream(self):
        """A stream keeps its latest; another one's are not touched by that."""
        one = tape(messages=2)
        quiet = keep(one, "quiet")
        parcels = [keep(one, "busy") for _ in range(5)]
        assert one.missed(0, [("quiet", 0)], "s") == [quiet]
        assert one.missed(4, [("busy", 0)], "s") == parcels[3:]
        assert one.missed(3, [("busy", 0)], "s") is None
        assert len(one) == 3

    def test_old(self):
        """What is older than the horizon is forgotten; who heard all of it misses nothing."""
        one = tape(horizon=60.0)
        keep(one, "r", now=0.0)
        second = keep(one, "r", now=30.0)
        one.expire(60.0)
        assert one.missed(0, [("r", 0)], "s") is None
        assert one.missed(1, [("r", 0)], "s") == [second]
        one.expire(100.0)
        assert (len(one), one.bytes) == (0, 0)
        assert one.missed(1, [("r", 0)], "s") is None
        assert one.missed(2, [("r", 0)], "s") == []

    def test_bytes(self):
        """In all there are no more bytes than allowed: the oldest go, of whatever stream."""
        one = tape(most=3 * (_OVERHEAD + 10))
        for room in "abcde":
            keep(one, room)
        assert len(one) == 3
        assert one.bytes <= 3 * (_OVERHEAD + 10)
        assert one.missed(0, [("b", 0)], "s") is None
        assert one.missed(0, [("c", 0)], "s") is not None

    def test_quiet_rooms_wait(self):
        """A client in quiet rooms misses nothing, however long ago it heard something and whatever others say."""
        one = tape(messages=3, horizon=1.0)
        keep(one, "quiet", now=0.0)
        for second in range(100):
            keep(one, "busy", now=float(second))
        assert one.missed(1, [("quiet", 0), (None, 0)], "s") == []

    def test_floors_are_bounded(self):
        """Where it is not remembered any more what was evicted, the answer is the honest one."""
        one = tape(messages=1, floors=2)
        for room in ("a", "b", "c"):
            keep(one, room)
            keep(one, room)
        assert len(one._floors) == 2
        assert one.missed(0, [("a", 0)], "s") is None
        assert one.missed(0, [("never", 0)], "s") is None
        assert one.missed(6, [("a", 0), ("never", 0)], "s") == []

    def test_dropped(self):
        """What was for one client alone goes with it, and leaves nothing behind."""
        one = tape()
        keep(one, ("sid",))
        keep(one, "r")
        keep(one, ("sid",))
        one.drop(("sid",))
        one.drop(("never",))
        assert len(one) == 1
        one.expire(1000.0)
        assert (len(one), one.bytes, len(one._order), len(one._stale)) == (0, 0, 0, 0)

    def test_a_busy_room_leaves_no_litter(self):
        """However much a stream evicts by itself, the bookkeeping stays as small as what is kept."""
        one = tape(messages=10)
        keep(one, "quiet")
        for _ in range(10_000):
            keep(one, "busy")
        assert len(one) == 11
        assert len(one._order) < 2 * 1024


class TapeModel(RuleBasedStateMachine):
    """Everything in any order, held against a list of all that was ever sent."""

    STREAMS: tuple[Stream, ...] = ("a", "b", None, ("s",), ("t",))
    MESSAGES, HORIZON = 3, 10.0

    def __init__(self) -> None:
        super().__init__()
        self.tape: Tape[Any] = Tape(self.MESSAGES, 12 * (_OVERHEAD + 10), self.HORIZON, 4)
        self.sent: list[tuple[frozenset[Stream], tuple[str, ...], Parcel]] = []
        self.now = 0.0

    @rule(
        streams=st.sets(st.sampled_from(STREAMS), min_size=1, max_size=3),
        skip=st.sampled_from([(), ("s",), ("t",)]),
    )
    def send(self, streams: set[Stream], skip: tuple[str, ...]) -> None:
        """Something is sent."""
        parcel = Parcel(len(self.sent))
        self.tape.keep(streams, parcel, skip, self.now)
        self.sent.append((frozenset(streams), skip, parcel))

    @rule()
    def use_a_number(self) -> None:
        """A number is used for nothing."""
        self.tape.skip_number()
        self.sent.append((frozenset(), (), Parcel(None)))

    @rule(seconds=st.sampled_from([0.5, 4.0, 11.0]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds
        self.tape.expire(self.now)

    @rule()
    def gone(self) -> None:
        """A client is gone for good: nobody asks for its stream any more, and it begins anew."""
        self.tape.drop(("t",))
        self.sent = [(streams - {("t",)}, skip, parcel) for streams, skip, parcel in self.sent]

    @precondition(lambda self: self.sent)
    @rule(data=st.data(), streams=st.sets(st.sampled_from(STREAMS), min_size=1))
    def ask(self, data: st.DataObject, streams: set[Stream]) -> None:
        """What is given back is exactly what followed, or nothing at all."""
        heard = data.draw(st.integers(0, len(self.sent)))
        since = data.draw(st.integers(0, len(self.sent)))
        found = self.tape.missed(heard, [(stream, since) for stream in streams], "s")
        if found is not None:
            after = max(heard, since)
            assert found == [p for to, skip, p in self.sent[after:] if to & streams and "s" not in skip]

    @rule(stream=st.sampled_from(STREAMS))
    def who_missed_nothing(self, stream: Stream) -> None:
        """Who heard everything can always go on."""
        assert self.tape.missed(len(self.sent), [(stream, 0)], "s") == []

    @invariant()
    def bounded(self) -> None:
        """Nothing grows past its bound, and the sums are right."""
        kept: dict[Stream, deque[Any]] = self.tape._kept
        assert self.tape.number == len(self.sent)
        assert len(self.tape) == sum(map(len, kept.values()))
        assert self.tape.bytes == sum(
            len(entry[2]) + _OVERHEAD for entries in kept.values() for entry in entries
        )
        assert self.tape.bytes == sum(entries.bytes for entries in kept.values())
        assert self.tape.bytes <= 12 * (_OVERHEAD + 10)
        assert all(0 < len(entries) <= self.MESSAGES for entries in kept.values())
        assert len(self.tape._floors) <= 4
        assert all(entry[1] > self.now - self.HORIZON for entries in kept.values() for entry in entries)


TestTapeModel = TapeModel.TestCase
TestTapeModel.settings = settings(max_examples=100, stateful_step_count=40)


def test_too_much_at_once():
    """What is more than so many bytes is not given back; what counts is sent once, whatever streams it went into."""
    one = tape()
    parcels = [keep(one, "r", "q") for _ in range(5)] + [keep(one, "r", skip=("sid",))]
    both: list[tuple[Stream, int]] = [("r", 0), ("q", 0)]
    assert one.missed(0, both, "sid", 50) == parcels[:5]
    assert one.missed(0, both, "sid", 49) is None
    assert one.missed(1, both, "sid", 49) == parcels[1:5]


def test_a_room_of_large_messages():
    """A room of large messages keeps as much as can be given back at once, and costs the other rooms nothing."""
    one: Tape[Any] = Tape(100, 100_000, 60.0, most=10_000)
    other = keep(one, "other")
    large = [Parcel(number, 2_000) for number in range(100)]
    for parcel in large:
        one.keep(["large"], parcel, (), 0.0)
    assert one.missed(0, [("other", 0)], "sid", 10_000) == [other]
    assert one.missed(one.number - 5, [("large", 0)], "sid", 10_000) == large[-5:]
    assert one.missed(0, [("large", 0)], "sid") is None
    assert one.bytes < 10_000 + 101 * _OVERHEAD + 2_000
    one.drop("large")
    assert one.bytes == other.size + _OVERHEAD


def test_a_message_larger_than_all():
    """One message that alone is too large is kept, and pushes out the rest of its room."""
    one: Tape[Any] = Tape(2, 100_000, 60.0, most=100)
    keep(one, "r")
    large = Parcel("large", 5_000)
    one.keep(["r"], large, (), 0.0)
    assert one.missed(1, [("r", 0)], "sid") == [large]
    assert one.missed(0, [("r", 0)], "sid") is None
