"""From something that happened to deliveries: numbered, matched, and with a place in the order of all."""

from __future__ import annotations

import time
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtserver.protocol.identifiers import Clock
from rtserver.store.base import SLOT_BITS, Delivery, Life, Session, SessionRoom
from rtserver.webhooks.emitter import Emitter
from rtserver.webhooks.journal import Effect, Entry, Journal
from rtserver.webhooks.targets import Target
from tests.unit.webhooks.ledger import Ledger

LIFE = Life(1_700_000_000_000_000, 5)


def target(name: str = "audit", **more: Any) -> Target:
    """A target nobody delivers to."""
    return Target(name, "http://127.0.0.1:9/", **more)


class Desk:
    """An emitter, and what it puts into its journal, which nobody empties."""

    def __init__(self, *targets: Target, wait_for_commit: bool = True, max_events: int = 100_000) -> None:
        self.journal = Journal(
            Ledger(), max_events, drop_oldest=False, committed=lambda _: None, dropped=lambda _: None
        )
        self.emitter = Emitter(targets, self.journal, "one", Clock(), wait_for_commit=wait_for_commit)
        self.emitter.begin(LIFE)

    @property
    def entries(self) -> list[Entry]:
        """What was written."""
        return list(self.journal._entries)

    @property
    def deliveries(self) -> list[Delivery]:
        """The deliveries that were written."""
        return [one for entry in self.entries for one in entry.deliveries]

    def data(self) -> list[dict[str, Any]]:
        """What the deliveries say."""
        return [orjson.loads(one.body)["data"] for one in self.deliveries]


class TestNumbers:
    """seq, epoch, node, ids and positions."""

    def test_seq(self) -> None:
        """Every event that is sent has a number one higher than the last, whatever its type, room or target."""
        desk = Desk(target(events=["room-*"]), target("copy", events=["client-*"]))
        for type_ in ("room-joined", "client-connected", "server-status", "room-left", "message-broadcast"):
            desk.emitter.emit(type_, {}, room="a")
        assert [data["seq"] for data in desk.data()] == [1, 2, 3]

    def test_what_cannot_be_said_leaves_no_gap(self) -> None:
        """An event that cannot be written as JSON is a TypeError, and the next one has the next number."""
        desk = Desk(target())
        desk.emitter.emit("room-joined", {})
        with pytest.raises(TypeError):
            desk.emitter.emit("room-joined", {"x": object()})
        desk.emitter.emit("room-joined", {})
        assert [data["seq"] for data in desk.data()] == [1, 2]

    def test_whose(self) -> None:
        """An event says its node and the epoch of its life, and nobody's data stands in their place."""
        desk = Desk(target())
        desk.emitter.emit("room-joined", {"node": "forged", "epoch": 1, "seq": 99, "room": "a"}, room="a")
        assert desk.data() == [{"room": "a", "node": "one", "epoch": LIFE.epoch, "seq": 1}]
        assert desk.deliveries[0].life == LIFE.epoch

    def test_one_event_for_all(self) -> None:
        """All targets get the same event: one id, one body, one number; each has its own position."""
        desk = Desk(target(), target("copy"), target("third"))
        desk.emitter.emit("room-joined", {"room": "a"}, room="a", client="ann")
        first, second, third = desk.deliveries
        assert [one.target for one in (first, second, third)] == ["audit", "copy", "third"]
        assert len({one.event_id for one in (first, second, third)}) == 1
        assert len({one.body for one in (first, second, third)}) == 1
        assert first.position < second.position < third.position
        assert {(one.room, one.client, one.type, one.state) for one in (first, second, third)} == {
            ("a", "ann", "room-joined", "pending")
        }
        assert len(desk.entries) == 1

    @given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50))
    def test_positions(self, steps: list[float]) -> None:
        """Positions and ids rise with every event, however the clock is set, and have the slot of the life."""
        desk = Desk(target(), target("copy"))
        clock = Steps(LIFE.epoch / 1_000_000)
        with clock:
            for step in steps:
                clock.now += step
                desk.emitter.emit("room-joined", {})
        positions = [one.position for one in desk.deliveries]
        assert positions == sorted(set(positions))
        assert {position & ((1 << SLOT_BITS) - 1) for position in positions} == {LIFE.slot}
        assert min(positions) >> SLOT_BITS > LIFE.epoch
        ids = [entry.deliveries[0].event_id for entry in desk.entries]
        assert ids == sorted(set(ids))

    def test_a_life_that_begins_late(self) -> None:
        """When the store names the life after events were written, later positions are still above theirs."""
        desk = Desk(target())
        clock = Steps(LIFE.epoch / 1_000_000 + 100)
        with clock:
            desk.emitter.emit("room-joined", {})
            clock.now -= 50
            desk.emitter.begin(Life(LIFE.epoch, 7))
            desk.emitter.emit("room-joined", {})
        first, second = desk.deliveries
        assert first.position < second.position
        assert [data["seq"] for data in desk.data()] == [1, 2]

    def test_behind_others(self) -> None:
        """After taking over what has higher positions than ours, what is written here still comes after it."""
        desk = Desk(target())
        ahead = (LIFE.epoch + 10**12) << SLOT_BITS | 1023
        with Steps(LIFE.epoch / 1_000_000):
            desk.emitter.go_on_from(ahead)
            desk.emitter.emit("room-joined", {})
            desk.emitter.go_on_from(5)
            desk.emitter.emit("room-joined", {})
        first, second = desk.deliveries
        assert ahead < first.position < second.position


class TestTargets:
    """Who gets what."""

    def test_filters(self) -> None:
        """An event goes to those who want its type and its room."""
        desk = Desk(target(rooms=["game-*"]), target("copy", events=["room-*"]), target("all"))
        for type_, room in (
            ("room-joined", "game-1"),
            ("room-joined", "b"),
            ("server-status", None),
            ("chat", "b"),
        ):
            desk.emitter.emit(type_, {}, room=room)
        assert [[one.target for one in entry.deliveries] for entry in desk.entries] == [
            ["audit", "copy", "all"],
            ["copy", "all"],
            ["audit", "all"],
            ["all"],
        ]

    def test_wants(self) -> None:
        """Whether anybody wants a type is known beforehand, whatever rooms they want."""
        emitter = Desk(target(events=["room-*"], rooms=["a"])).emitter
        assert emitter.wants("room-joined")
        assert not emitter.wants("server-status")
        assert not Desk().emitter.wants("room-joined")

    def test_disabled(self) -> None:
        """What happens while a target is disabled is dead from the beginning for it, and for no other."""
        desk = Desk(target(), target("copy"))
        desk.emitter._targets[0].disabled = "target_disabled"
        desk.emitter.emit("room-joined", {})
        desk.emitter._targets[0].disabled = None
        desk.emitter.emit("room-joined", {})
        assert [(one.target, one.state, one.error) for one in desk.deliveries] == [
            ("audit", "dead", "target_disabled"),
            ("copy", "pending", None),
            ("audit", "pending", None),
            ("copy", "pending", None),
        ]

    def test_due_at_once(self) -> None:
        """A new delivery has had no attempt, and is due when it happened."""
        desk = Desk(target())
        before = time.time()
        desk.emitter.emit("room-joined", {})
        (one,) = desk.deliveries
        assert before <= one.created_at == one.due_at <= time.time()
        assert one.attempts == 0

    def test_nobody(self) -> None:
        """What nobody wants is not written, not even as JSON, and takes no number."""
        desk = Desk(target(events=["room-*"]))
        assert desk.emitter.emit("server-status", {"x": object()}) is None
        assert desk.entries == []
        desk.emitter.emit("room-joined", {})
        assert [data["seq"] for data in desk.data()] == [1]


class TestEffectsAndReceipts:
    """What goes along."""

    def test_effects(self) -> None:
        """An effect is written with its event, and also when nobody wants the event."""
        desk = Desk(target(events=["client-connected"]))
        opened = Effect(opened=Session("s1", LIFE.epoch, {}))
        entered = Effect(entered=SessionRoom("s1", "a"))
        desk.emitter.emit("client-connected", {}, effect=opened)
        desk.emitter.emit("room-joined", {}, room="a", effect=entered)
        assert [(len(entry.deliveries), entry.effect) for entry in desk.entries] == [
            (1, opened),
            (0, entered),
        ]

    @pytest.mark.parametrize("wait_for_commit", [True, False])
    def test_receipts(self, wait_for_commit: bool) -> None:
        """Receipts are given out when they are asked for, and only for what somebody wants."""
        desk = Desk(target(events=["room-*"]), wait_for_commit=wait_for_commit)
        receipt = desk.emitter.emit("room-joined", {})
        assert (receipt is not None) is wait_for_commit
        assert desk.emitter.emit("server-status", {}) is None

    def test_a_full_queue(self) -> None:
        """The receipt of an event that found no place says no at once."""
        desk = Desk(target(), max_events=1)
        first, second = (desk.emitter.emit("room-joined", {}) for _ in range(2))
        assert first is not None
        assert second is not None
        assert (first.committed, second.committed) == (None, False)


class Steps:
    """Wall time that a test sets."""

    def __init__(self, now: float) -> None:
        self.now = now
        self._patch = pytest.MonkeyPatch()

    def __enter__(self) -> None:
        self._patch.setattr(time, "time", lambda: self.now)

    def __exit__(self, *exc: object) -> None:
        self._patch.undo()
