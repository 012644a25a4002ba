"""How many may come in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtserver.config.schema import ConnectionLimits
from rtserver.gateway.admission import Admission
from rtserver.protocol.errors import TOO_MANY_CONNECTIONS, RtError


def full(admission: Admission, client_id: str = "x", ip: str = "y") -> bool:
    """Whether one more is one too many; it has not come in then."""
    try:
        admission.enter(client_id, ip)
    except RtError as refusal:
        return refusal.reason is TOO_MANY_CONNECTIONS
    admission.exit(client_id, ip)
    return False


class TestCounts:
    """At once, per user, per address."""

    @pytest.mark.parametrize(
        ("limits", "same", "other"),
        [
            ({"total": 2}, ("ann", "ip"), None),
            ({"per_user": 2}, ("ann", "ip"), ("ben", "ip")),
            ({"per_ip": 2}, ("ann", "ip"), ("ann", "pi")),
        ],
    )
    def test_one_too_many(self, limits: dict[str, int], same: tuple[str, str], other: tuple[str, str] | None):
        """Two come in, the third is refused, another one is not, and who leaves makes place."""
        admission = Admission(ConnectionLimits(**limits), now=0.0)
        admission.enter(*same)
        admission.enter(*same)
        assert full(admission, *same)
        if other is not None:
            assert not full(admission, *other)
        admission.exit(*same)
        assert not full(admission, *same)

    @pytest.mark.parametrize(
        ("one", "another", "same"),
        [
            ("2001:db8::1", "2001:db8::2", True),
            ("2001:db8::1", "2001:db8:0:0:ffff::", True),
            ("2001:db8::1", "2001:db8:0:1::1", False),
            ("fe80::1%eth0", "fe80::2%eth0", True),
            ("192.0.2.1", "192.0.2.2", False),
            ("no:address", "no:other", False),
        ],
    )
    def test_whose_address(self, one: str, another: str, same: bool):
        """Of IPv6 the first 64 bits are one holder's, of IPv4 the whole address."""
        admission = Admission(ConnectionLimits(per_ip=1), now=0.0)
        admission.enter("ann", one)
        assert full(admission, "ben", another) is same
        admission.exit("ann", one)
        assert not full(admission, "ben", another)

    def test_a_refusal_takes_no_place(self):
        """Who is refused by one limit is counted under none."""
        admission = Admission(ConnectionLimits(total=3, per_user=1, per_ip=3), now=0.0)
        admission.enter("ann", "ip")
        for _ in range(10):
            assert full(admission, "ann", "ip")
        admission.enter("ben", "ip")
        admission.enter("cat", "ip")
        assert full(admission, "dan", "other")

    def test_nothing_is_left_behind(self):
        """When everybody has gone, nothing of anybody is kept."""
        admission = Admission(ConnectionLimits(per_user=5, per_ip=5), now=0.0)
        for number in range(100):
            admission.enter(f"p{number}", f"ip{number}")
        for number in range(100):
            admission.exit(f"p{number}", f"ip{number}")
        assert (admission._total, dict(admission._users), dict(admission._ips)) == (0, {}, {})

    def test_what_is_not_limited_is_not_kept(self):
        """Without limits per user and address nothing is remembered of either."""
        admission = Admission(ConnectionLimits(), now=0.0)
        for number in range(100):
            admission.enter(f"p{number}", f"ip{number}")
        assert (dict(admission._users), dict(admission._ips)) == ({}, {})

    @given(
        st.lists(
            st.tuples(st.sampled_from(["ann", "ben"]), st.sampled_from(["a", "b"]), st.booleans()),
            max_size=40,
        )
    )
    def test_any_order(self, steps: list[tuple[str, str, bool]]):
        """However they come and go, never are more in than allowed, and nobody is refused without need."""
        admission = Admission(ConnectionLimits(total=5, per_user=3, per_ip=4), now=0.0)
        here: list[tuple[str, str]] = []
        for who, ip, comes in steps:
            if not comes:
                if (who, ip) in here:
                    here.remove((who, ip))
                    admission.exit(who, ip)
                continue
            fits = (
                len(here) < 5 and [w for w, _ in here].count(who) < 3 and [i for _, i in here].count(ip) < 4
            )
            assert full(admission, who, ip) is not fits
            if fits:
                admission.enter(who, ip)
                here.append((who, ip))


class TestDoorstep:
    """``accept_rate``."""

    def test_without_a_rate(self):
        """Without a rate everybody may knock."""
        admission = Admission(ConnectionLimits(), now=0.0)
        assert all(admission.knock(0.0) == 0 for _ in range(10_000))

    def test_rate(self):
        """So many per second come in; the next is told in whole seconds, at least one, when to come again."""
        admission = Admission(ConnectionLimits(accept_rate=10), now=100.0)
        assert [admission.knock(100.0) for _ in range(12)] == [0] * 10 + [1, 1]
        assert [admission.knock(100.5) for _ in range(6)] == [0] * 5 + [1]

    def test_slow_rate(self):
        """A rate below one per second is one that waits."""
        admission = Admission(ConnectionLimits(accept_rate=0.25), now=0.0)
        assert admission.knock(0.0) == 0
        assert admission.knock(0.0) == 4
        assert admission.knock(3.0) == 1
        assert admission.knock(4.0) == 0
