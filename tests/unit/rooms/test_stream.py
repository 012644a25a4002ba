"""What was said in a room."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from rtserver.rooms.stream import Publication, Stream


def _say(stream: Stream, now: float) -> Publication:
    offset = stream.next_offset()
    said = Publication("chat", {"message": str(offset)}, offset, f"id-{offset}", now)
    stream.append(said)
    return said


def _offsets(publications: list[Publication]) -> list[int]:
    return [publication.offset for publication in publications]


def _said(count: int, size: int = 100) -> Stream:
    stream = Stream(size, ttl=60)
    for _ in range(count):
        _say(stream, 0)
    return stream


def test_offsets_begin_at_one_and_have_no_gaps() -> None:
    """Nothing said is offset 0; each publication is one more."""
    stream = Stream(10, 60)
    assert stream.offset == 0
    assert [stream.next_offset() for _ in range(3)] == [1, 2, 3]
    assert stream.offset == 3


def test_the_latest_oldest_first() -> None:
    """The limit cuts from the old end."""
    page = _said(5).latest(3, now=0)
    assert _offsets(page.publications) == [3, 4, 5]
    assert (page.offset, page.complete) == (5, True)
    assert _offsets(_said(2).latest(3, now=0).publications) == [1, 2]


def test_a_limit_of_nothing_gives_nothing() -> None:
    """Zero is zero, not all."""
    assert _said(5).latest(0, now=0).publications == []
    page = _said(5).after(2, 0, now=0)
    assert (page.publications, page.complete) == ([], False)


def test_before_is_exclusive() -> None:
    """Paging backwards goes on before the oldest one already seen."""
    stream = _said(9)
    assert _offsets(stream.latest(3, now=0, before=7).publications) == [4, 5, 6]
    assert _offsets(stream.latest(3, now=0, before=1).publications) == []
    assert _offsets(stream.latest(3, now=0, before=99).publications) == [7, 8, 9]


def test_after_is_exclusive_and_complete_when_nothing_is_missing() -> None:
    """Who has offset 3 gets 4 and later."""
    page = _said(6).after(3, 100, now=0)
    assert (_offsets(page.publications), page.offset, page.complete) == ([4, 5, 6], 6, True)


def test_nothing_new_is_complete() -> None:
    """Who has the latest misses nothing, in an empty room, too."""
    assert _said(6).after(6, 100, now=0).complete
    assert Stream(10, 60).after(0, 100, now=0).complete


def test_what_was_evicted_is_missed() -> None:
    """A gap between the asked offset and the first that is kept makes the page incomplete."""
    stream = _said(6, size=3)
    assert not stream.after(2, 100, now=0).complete
    assert _offsets(stream.after(2, 100, now=0).publications) == [4, 5, 6]
    assert stream.after(3, 100, now=0).complete


def test_what_is_cut_by_the_limit_is_missed() -> None:
    """The latest that the limit allows are given, and the page says that there was more."""
    page = _said(6).after(1, 3, now=0)
    assert (_offsets(page.publications), page.complete) == ([4, 5, 6], False)
    assert _said(6).after(1, 5, now=0).complete


def test_an_offset_from_the_future_is_never_complete() -> None:
    """It belongs to an earlier life of the room: whoever has it must start afresh."""
    page = _said(3).after(4, 100, now=0)
    assert (page.publications, page.offset, page.complete) == ([], 3, False)
    assert not Stream(10, 60).after(1, 100, now=0).complete


def test_between_two_offsets() -> None:
    """Since and before together: what lies between, and complete only when nothing after since is gone."""
    page = _said(9).after(2, 100, now=0, before=6)
    assert (_offsets(page.publications), page.complete) == ([3, 4, 5], True)
    assert not _said(9, size=5).after(2, 100, now=0, before=6).complete


def test_publications_live_for_their_ttl() -> None:
    """At ttl seconds one is gone, a moment before it is there; its offset stays used."""
    stream = Stream(10, ttl=60)
    _say(stream, 100)
    _say(stream, 130)
    assert _offsets(stream.latest(9, now=159.9).publications) == [1, 2]
    assert _offsets(stream.latest(9, now=160).publications) == [2]
    assert not stream.after(0, 9, now=160).complete
    assert not stream.idle(189.9)
    assert stream.idle(190)
    assert stream.next_offset() == 3


def test_without_history_offsets_still_rise() -> None:
    """A room that keeps nothing counts all the same, and says that it cannot tell what was missed."""
    stream = Stream(0, 60)
    _say(stream, 0)
    assert stream.offset == 1
    assert stream.idle(0)
    assert not stream.after(0, 10, now=0).complete
    assert stream.after(1, 10, now=0).complete


def test_a_publication_is_kept_whole() -> None:
    """What comes out is what went in."""
    stream = Stream(1, 60)
    said = _say(stream, 5)
    assert stream.latest(1, now=5).publications == [said]


@pytest.mark.parametrize("since", [0, 1])
def test_an_offset_that_was_taken_and_not_recorded_is_missed(since: int) -> None:
    """A number without a publication (its publisher failed between the two) is a gap, and is said to be one."""
    stream = Stream(10, 60)
    _say(stream, 0)
    stream.next_offset()
    assert not stream.after(since, 10, now=0).complete


class StreamModel(RuleBasedStateMachine):
    """Publications and time in any order, held against a list of everything that was ever said."""

    SIZE, TTL = 5, 10.0

    def __init__(self) -> None:
        super().__init__()
        self.stream = Stream(self.SIZE, self.TTL)
        self.said: list[Publication] = []
        self.now = 0.0

    def _kept(self) -> list[Publication]:
        return [p for p in self.said[-self.SIZE :] if p.published_at > self.now - self.TTL]

    @rule(count=st.integers(1, 4))
    def say(self, count: int) -> None:
        """Publications get the next offsets."""
        for _ in range(count):
            self.said.append(_say(self.stream, self.now))

    @rule(seconds=st.sampled_from([0.5, 3.0, 9.99, 10.0, 30.0]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds

    @rule(limit=st.integers(0, 7), before=st.none() | st.integers(0, 40))
    def latest(self, limit: int, before: int | None) -> None:
        """The last ones that are neither evicted nor expired are given, and none is left out."""
        page = self.stream.latest(limit, self.now, before)
        there = [p for p in self._kept() if before is None or p.offset < before]
        assert page.publications == there[len(there) - min(limit, len(there)) :]
        assert page.offset == len(self.said)

    @rule(since=st.integers(0, 40), limit=st.integers(0, 7), before=st.none() | st.integers(0, 40))
    def after(self, since: int, limit: int, before: int | None) -> None:
        """What is given was said, and a page that calls itself complete has everything that was asked for."""
        page = self.stream.after(since, limit, self.now, before)
        wanted = [p for p in self.said if p.offset > since and (before is None or p.offset < before)]
        assert (
            page.publications
            == [p for p in wanted if p in self._kept()][-limit or len(self.said) + 1 :][:limit]
        )
        if page.complete:
            assert page.publications == wanted
            assert since <= len(self.said)

    @precondition(lambda self: self.said)
    @rule(data=st.data())
    def who_missed_little_is_told_all(self, data: st.DataObject) -> None:
        """As long as everything missed is kept, the page is complete and holds it."""
        kept = self._kept()
        since = data.draw(st.integers(len(self.said) - len(kept), len(self.said)))
        page = self.stream.after(since, len(self.said), self.now)
        assert page.complete
        assert page.publications == self.said[since:]

    @invariant()
    def idle_when_nothing_is_kept(self) -> None:
        """A stream is idle exactly when nothing is left, and never loses count."""
        assert self.stream.idle(self.now) == (not self._kept())
        assert self.stream.offset == len(self.said)


TestStreamModel = StreamModel.TestCase
TestStreamModel.settings = settings(max_examples=80, stateful_step_count=30)
