"""Tokens of live clients: warned of, renewed, run out, and called back."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from rtserver.auth.claims import Identity
from rtserver.client import Client
from rtserver.credentials import Credentials
from rtserver.node import Node
from rtserver.protocol.errors import FORBIDDEN, TOKEN_REVOKED, UNAUTHORIZED, RtError
from tests.unit.node.stand_ins import HandLoop, app, arrive, done, heard

NOW = 5000.0


class Verifier:
    """Takes tokens that are written `user expires_at jti`."""

    def verify(self, token: str, now: float) -> Identity:
        """Read it."""
        if token == "bad":
            raise RtError(UNAUTHORIZED, "the token is not valid")
        user, end, jti = token.split()
        return Identity(user=user, expires_at=float(end), issued_at=now, jti=jti)


class House:
    """A node whose tokens run out by a clock of the test's."""

    def __init__(self, grace: float = 30.0, leeway: float = 0.0) -> None:
        self.now = NOW
        self.loop = HandLoop()
        self.node: Node = app().node
        self.node.credentials = self.credentials = Credentials(Verifier(), grace, leeway, lambda: self.now)
        self.credentials._loop = self.loop  # type: ignore[assignment]

    def come(
        self, user: str = "ann", lives: float | None = 100.0, jti: str | None = None, **more: Any
    ) -> Client:
        """A client whose token lives so long."""
        end = self.now + lives if lives is not None else None
        identity = Identity(user=user, expires_at=end, issued_at=self.now, jti=jti)
        return arrive(self.node, user, identity=identity, **more)

    def wait(self, seconds: float) -> None:
        """Let time pass, for tokens and timers alike."""
        end = self.now + seconds
        while self.now < end:
            step = min(1.0, end - self.now)
            self.now += step
            self.loop.advance(step)


@pytest.fixture
def house() -> House:
    """With a grace of 30 seconds."""
    return House()


def reasons(client: Client) -> list[str]:
    """Why a client was sent away."""
    return [error.reason.reason for sid, error in client.gateway.dismissed if sid == client.sid]  # type: ignore[attr-defined]


class TestExpiry:
    """A token is not outlived."""

    def test_warned_then_sent_away(self, house: House):
        """A client is told ahead of time, once, and sent away at the end; it may come back with a new token."""
        ann = house.come(lives=100)
        house.wait(69)
        assert heard(ann) == []
        house.wait(1)
        assert heard(ann) == [["token_expiring", {"expires_at": "1970-01-01T01:25:00.000Z"}]]
        house.wait(29)
        assert reasons(ann) == []
        house.wait(1)
        assert reasons(ann) == ["token_expired"]
        assert ann.gateway.dismissed[0][1].reason.reconnect  # type: ignore[attr-defined]
        assert heard(ann) == []
        assert not house.node.is_connected("ann")

    def test_leeway(self):
        """Clocks that may be apart give the client so much longer, and do not move the warning."""
        house = House(leeway=10.0)
        ann = house.come(lives=100)
        house.wait(70)
        assert [event for event, _ in heard(ann)] == ["token_expiring"]
        house.wait(39)
        assert reasons(ann) == []
        house.wait(1)
        assert reasons(ann) == ["token_expired"]

    def test_each_at_its_time(self, house: House):
        """One timer serves all, whatever the order in which they came."""
        clients = [house.come(f"u{lives}", lives) for lives in (300, 100, 200)]
        house.wait(150)
        assert [reasons(client) for client in clients] == [[], ["token_expired"], []]
        house.wait(150)
        assert [reasons(client) for client in clients] == [["token_expired"]] * 3
        assert house.loop.handles == []

    def test_who_left_is_left_alone(self, house: House):
        """Nobody is told, or sent away, after it went; and nothing is kept of it."""
        ann = house.come(lives=100)
        done(house.node.part(ann, "client disconnect"))
        house.wait(200)
        assert (heard(ann), reasons(ann)) == ([], [])
        assert (len(house.credentials._expiries), house.credentials._bearers) == (0, {})

    def test_without_an_end(self, house: House):
        """A token without expiry, and no token, run out never."""
        ann = house.come(lives=None)
        guest = arrive(house.node, "guest:1")
        house.wait(1000)
        assert (heard(ann), heard(guest), reasons(ann)) == ([], [], [])

    def test_a_thousand_at_once(self, house: House):
        """Tokens of one moment run out in portions, so that the others are not kept waiting."""
        tick, gone = house.credentials._tick, [0]

        def turn() -> None:
            tick()
            gone.append(1000 - house.node.connections)

        house.credentials._tick = turn  # type: ignore[method-assign]
        crowd = [house.come(f"u{number}", 100) for number in range(1000)]
        house.wait(100)
        assert all(reasons(client) == ["token_expired"] for client in crowd)
        assert max(after - before for before, after in pairwise(gone)) <= 200

    def test_the_clock_is_set(self, house: House):
        """A clock that jumps ahead is noticed within a minute."""
        ann = house.come(lives=100_000)
        house.now += 100_000
        house.loop.advance(60)
        assert reasons(ann) == ["token_expired"]


class TestRenewal:
    """`refresh_token`."""

    def test_lives_on(self, house: House):
        """With a new token the client lives to the new end, and is warned of that."""
        ann = house.come(lives=100)
        house.wait(75)
        heard(ann)
        assert done(house.credentials.renew(ann, f"ann {NOW + 500} 2")).expires_at == NOW + 500
        assert ann.identity is not None
        assert ann.identity.jti == "2"
        house.wait(390)
        assert (heard(ann), reasons(ann)) == ([], [])
        house.wait(10)
        assert [event for event, _ in heard(ann)] == ["token_expiring"]
        house.wait(30)
        assert reasons(ann) == ["token_expired"]

    @pytest.mark.parametrize("token", ["ben 9999 1", "Ann 9999 1", "bad"])
    def test_not_with_anybodys(self, house: House, token: str):
        """Another user's token, or a bad one, changes nothing."""
        ann = house.come(lives=100)
        before = ann.identity
        with pytest.raises(RtError) as refusal:
            done(house.credentials.renew(ann, token))
        assert refusal.value.reason is (UNAUTHORIZED if token == "bad" else FORBIDDEN)
        assert ann.identity is before
        house.wait(100)
        assert reasons(ann) == ["token_expired"]

    def test_guests_have_nothing_to_renew(self, house: House):
        """Who came without a token cannot become somebody on the way."""
        guest = arrive(house.node, "guest:1")
        with pytest.raises(RtError) as refusal:
            done(house.credentials.renew(guest, "ann 9999 1"))
        assert refusal.value.reason is FORBIDDEN
        assert guest.identity is None

    def test_every_namespace_of_the_connection(self, house: House):
        """The token holds for the user's other namespaces on the same connection, and for no other connection."""
        ann, tab = house.come(lives=100), house.come(lives=100)
        admin = house.come(lives=100)
        admin.session = ann.session
        done(house.credentials.renew(ann, f"ann {NOW + 500} 2"))
        house.wait(100)
        assert [reasons(client) for client in (ann, admin, tab)] == [[], [], ["token_expired"]]

    def test_the_end_of_tokens_that_end(self, house: House):
        """Who renews with a token without expiry stays, and one that has run out already changes nothing for longer."""
        ann = house.come(lives=100)
        ann.identity = Identity(user="ann")
        house.credentials.watch(ann)
        house.wait(200)
        assert reasons(ann) == []


class TestRevocation:
    """`revoke`."""

    def test_a_user(self, house: House):
        """All live clients of the user go at once, for good, and its tokens are refused from then on."""
        ann, tab, ben = house.come(), house.come(), house.come("ben")
        assert done(house.node.revoke(user="ann")) == 2
        assert reasons(ann) == reasons(tab) == ["token_revoked"]
        assert not ann.gateway.dismissed[0][1].reason.reconnect  # type: ignore[attr-defined]
        assert reasons(ben) == []
        with pytest.raises(RtError) as refusal:
            house.credentials.verify("ann 9999 1", NOW)
        assert refusal.value.reason is TOKEN_REVOKED
        assert house.credentials.verify("ann 9999 1", NOW + 1).user == "ann"

    def test_a_user_in_another_spelling(self, house: House):
        """Users are compared as everywhere, in NFC; what can be nobody's name is refused."""
        zoe = house.come("Zo\u00eb")
        assert done(house.node.revoke(user="Zoe\u0308")) == 1
        assert reasons(zoe) == ["token_revoked"]
        with pytest.raises(RtError, match="user"):
            done(house.node.revoke(user=""))

    def test_one_token(self, house: House):
        """Only the clients that came with that token go."""
        one, other = house.come(jti="1"), house.come(jti="2")
        assert done(house.node.revoke(jti="1")) == 1
        assert (reasons(one), reasons(other)) == (["token_revoked"], [])

    def test_up_to_a_time(self, house: House):
        """Everybody whose token is from before goes, whoever it is; guests have none."""
        old = house.come()
        guest = arrive(house.node, "guest:1")
        house.wait(10)
        new = house.come("ben")
        assert done(house.node.revoke(issued_before=NOW + 5)) == 1
        assert (reasons(old), reasons(new), reasons(guest)) == (["token_revoked"], [], [])

    def test_a_time_ahead(self, house: House):
        """Milliseconds for seconds would refuse everybody for ever: that is an error, and changes nothing."""
        one = house.come()
        with pytest.raises(RtError, match="lies in the future"):
            done(house.node.revoke(issued_before=NOW * 1000))
        assert reasons(one) == []
        assert house.node.credentials.unsaved == []

    def test_between_the_door_and_the_room(self, house: House):
        """A token that is revoked while its bearer is being let in does not get it in."""
        done(house.node.revoke(user="ann"))
        ann = house.come()
        house.wait(1)
        assert reasons(ann) == ["token_revoked"]

    def test_a_renewed_token_is_the_one_that_counts(self, house: House):
        """Revoking the token that a client replaced does nothing to it; nor does a revoked one renew."""
        ann = house.come(jti="1")
        done(house.credentials.renew(ann, f"ann {NOW + 500} 2"))
        assert done(house.node.revoke(jti="1")) == 0
        assert done(house.node.revoke(jti="3")) == 0
        with pytest.raises(RtError) as refusal:
            done(house.credentials.renew(ann, f"ann {NOW + 500} 3"))
        assert refusal.value.reason is TOKEN_REVOKED
        assert reasons(ann) == []

    def test_nothing_named(self, house: House):
        """A revocation without anything named must not come to mean everybody."""
        with pytest.raises(RtError):
            done(house.node.revoke())
        assert len(house.credentials.revocations) == 0
