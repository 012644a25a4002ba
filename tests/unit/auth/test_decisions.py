"""What a backend decided."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtserver.auth.decisions import ABSENT, Decision, Memory, read_decision

YES, NO = Decision(allow=True), Decision(allow=False)


def read(**answer: Any) -> Decision:
    """The decision in an answer."""
    return read_decision(json.dumps(answer).encode())


def test_yes_and_no() -> None:
    """An answer says whether it is allowed, and if not, why."""
    assert read(allow=True) == YES
    assert read(allow=False) == NO
    assert read(allow=False, reason="not today") == Decision(allow=False, reason="not today")
    assert len(read(allow=False, reason="x" * 5000).reason or "") == 200


def test_who_it_is() -> None:
    """A backend may name a client and its rooms, as a token would, in the same normal form."""
    identity = read(allow=True, client_id="Zoe\u0308", name="Z", rooms=["team-*"]).identity
    assert identity is not None
    assert (identity.user, identity.name, identity.rooms) == ("Zo\u00eb", "Z", ("team-*",))
    assert read(allow=True, client_id="ann").identity is not None
    assert read(allow=True, client_id=None, name=None).identity is None


def test_other_data() -> None:
    """Data in an answer takes the place of the message's, null too; without it the message's own stays."""
    assert read(allow=True, data={"clean": True}).data == {"clean": True}
    assert read(allow=True, data=None).data is None
    assert read(allow=True).data is ABSENT


@pytest.mark.parametrize(
    "body",
    [
        b"", b"yes", b"true", b"[]", b"{}", b"\xff", b'{"allow": 1}', b'{"allow": "true"}', b'{"allow": null}',
        b'{"allow": true, "alow": false}', b'{"allow": true, "reason": 5}', b'{"allow": true, "client_id": 5}',
        b'{"allow": true, "client_id": ""}', b'{"allow": true, "client_id": "guest:1"}',
        b'{"allow": true, "client_id": "a\\u202eb"}', b'{"allow": true, "client_id": "a", "rooms": "*"}',
        b'{"allow": true, "rooms": ["*"]}', b'{"allow": true, "name": "Root"}',
        b'{"allow": true, "data": {"_placeholder": true, "num": 0}}',
    ],
)  # fmt: skip
def test_an_answer_that_cannot_be_meant(body: bytes) -> None:
    """An answer that is not exactly one of the contract's is no answer: a slip must not let anybody in."""
    with pytest.raises(ValueError):  # noqa: PT011
        read_decision(body)


@given(st.binary() | st.text().map(str.encode))
def test_any_answer(body: bytes) -> None:
    """Whatever comes back is a decision or a ValueError."""
    try:
        assert isinstance(read_decision(body).allow, bool)
    except ValueError:
        pass


def test_remembered_for_a_while() -> None:
    """A decision holds for its time, and not longer."""
    memory = Memory(5)
    memory.put("a", NO, 100)
    assert memory.get("a", 104.9) is NO
    assert memory.get("a", 105) is None
    assert memory.get("b", 100) is None


def test_a_newer_decision_counts() -> None:
    """What was decided last holds, for its own time."""
    memory = Memory(5)
    memory.put("a", NO, 100)
    memory.put("a", YES, 103)
    assert memory.get("a", 107) is YES


def test_nothing_is_remembered_for_no_time() -> None:
    """With a time of nothing every question is asked."""
    memory = Memory(0)
    memory.put("a", YES, 100)
    assert memory.get("a", 100) is None
    assert len(memory) == 0


def test_memory_is_bounded() -> None:
    """However many rooms are asked for, only so many decisions are kept, and old ones go by themselves."""
    memory = Memory(5, most=100)
    for number in range(1000):
        memory.put(number, YES, number / 1000)
    assert len(memory) == 100
    assert memory.get(999, 1) is YES
    memory.put("late", YES, 50)
    assert len(memory) == 1
