"""Whose session does a CONNECT ask for?"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtserver.auth.claims import Identity
from rtserver.gateway.handshake import Introduction
from rtserver.gateway.recovery import Claim, Recovery, belongs_to
from tests.unit.node.stand_ins import app, person

RECOVERY: Recovery = app().sio._recovery


class TestPids:
    """Private ids."""

    @given(st.text(alphabet=st.characters(max_codepoint=127), max_size=30))
    def test_there_and_back(self, sid: str):
        """A pid leads to its session, whatever the sid is made of."""
        assert RECOVERY.claim({"pid": RECOVERY.pid(sid)}) == Claim(sid, 0)

    def test_of_another_process(self):
        """A pid of another process means nothing here, though the sid be the same."""
        assert RECOVERY.claim({"pid": app().sio._recovery.pid("sid")}) is None

    @given(st.text() | st.none() | st.integers() | st.lists(st.text()))
    def test_anything_else(self, pid: Any):
        """Anything else is none, and no reason to fail."""
        assert RECOVERY.claim({"pid": pid, "offset": "x"}) is None
        assert RECOVERY.claim({"pid": pid}) is None

    @given(
        st.text()
        | st.integers()
        | st.lists(st.text())
        | st.booleans()
        | st.dictionaries(st.text(), st.text())
    )
    def test_offsets(self, offset: Any):
        """A good pid with an offset that was never given out asks for nothing."""
        assert RECOVERY.claim({"pid": RECOVERY.pid("sid"), "offset": offset}) is None

    def test_switched_off(self):
        """Without recovery no pid is looked at."""
        off: Recovery = app({"recovery": {"enabled": False}}).sio._recovery
        assert not off.offered
        assert off.claim({"pid": off.pid("sid")}) is None


ANN = Identity("ann", None)


@pytest.mark.parametrize(
    ("session", "who", "same"),
    [
        (("ann", None), ("ann", None), True),
        (("ann", ANN), ("ann", ANN), True),
        (("ann", None), ("ben", None), False),
        (("ann", ANN), ("ann", None), False),
        (("ann", None), ("ann", ANN), False),
    ],
)
def test_belongs_to(session: tuple[str, Any], who: tuple[str, Any], same: bool):
    """A session is its own user's only: a name that nobody vouches for is not the same as one with a token."""
    client = person(app().node, session[0], identity=session[1])
    assert belongs_to(client, Introduction(who[0], who[0], who[1])) is same
