"""What is left of the queue of a node that others took for dead."""

from __future__ import annotations

from rtserver.protocol.identifiers import Clock
from rtserver.store.base import SLOT_BITS, Delivery, Life, Session, SessionRoom
from rtserver.webhooks.emitter import Emitter
from rtserver.webhooks.journal import Effect, Entry, Journal
from rtserver.webhooks.rebirth import Rebirth
from tests.unit.webhooks.ledger import Ledger

OLD, NEW = Life(1000, 1), Life(9_000_000_000_000_000, 2)


def entry(number: int, effect: Effect | None = None) -> Entry:
    """An event that was queued in the old life."""
    one = Delivery(number, f"e{number}", "audit", "x", "a", "ann", b"{}", OLD.epoch, 1.0)
    return Entry((one,), effect)


def gone_over(*entries: Entry, written: tuple[str, ...] = ()) -> list[Entry | None]:
    """What becomes of them in the new life."""
    journal = Journal(Ledger(), 10, drop_oldest=False, committed=lambda _: None, dropped=lambda _: None)
    emitter = Emitter((), journal, "one", Clock(), wait_for_commit=False)
    emitter.begin(NEW)
    rebirth = Rebirth(emitter, written)
    return [rebirth.entry(one) for one in entries]


def test_renumbered():
    """What was said goes on, in its order, with positions and a life of the new one, and the same id."""
    renewed = gone_over(entry(1), entry(2))
    deliveries = [one.deliveries[0] for one in renewed if one is not None]
    assert [one.event_id for one in deliveries] == ["e1", "e2"]
    assert {one.life for one in deliveries} == {NEW.epoch}
    assert {one.position & ((1 << SLOT_BITS) - 1) for one in deliveries} == {NEW.slot}
    assert NEW.epoch << SLOT_BITS < deliveries[0].position < deliveries[1].position


def test_what_is_written():
    """What turns out to be in the outbox is not written again."""
    assert gone_over(entry(1), written=("e1",)) == [None]


def test_sessions():
    """Of sessions that others said goodbye to nothing is said; those that nobody else knows of go on."""
    opened = Effect(opened=Session("mine", OLD.epoch, {}))
    effects = [
        Effect(closed="theirs"),
        Effect(entered=SessionRoom("theirs", "a")),
        Effect(left=SessionRoom("theirs", "a")),
        Effect(of="theirs"),
        opened,
        Effect(entered=SessionRoom("mine", "a")),
        Effect(closed="mine"),
    ]
    renewed = gone_over(*(entry(number, effect) for number, effect in enumerate(effects)))
    assert renewed[:4] == [None] * 4
    assert [one.effect for one in renewed[4:] if one is not None] == [
        Effect(opened=Session("mine", NEW.epoch, {})),
        *effects[5:],
    ]
