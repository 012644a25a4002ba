"""Who is in which room."""

from typing import NamedTuple

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from rtserver.rooms.registry import Change, Registry


class Client(NamedTuple):
    sid: str
    client_id: str


ANNA, ANNA2, BEN = Client("s1", "anna"), Client("s2", "anna"), Client("s3", "ben")


def test_the_first_one_in_occupies_the_room() -> None:
    """The first join changes connection, member and room; the next member's does not change the room."""
    registry = Registry()
    assert registry.join("r", ANNA, "Anna", True, 1.0) == Change(True, True, True, 1)
    assert registry.join("r", BEN, "Ben", False, 2.0) == Change(True, True, False, 2)


def test_a_second_connection_is_the_same_member() -> None:
    """It counts once, keeps the time and name of the first, and lists both connections."""
    registry = Registry()
    registry.join("r", ANNA, "Anna", True, 1.0)
    assert registry.join("r", ANNA2, "Anna on the phone", False, 2.0) == Change(True, False, False, 1)
    member = registry.member("r", "anna")
    assert member is not None
    assert (member.client_id, member.name, member.verified, member.joined_at) == ("anna", "Anna", True, 1.0)
    assert member.sids == ("s1", "s2")


def test_joining_twice_changes_nothing() -> None:
    """The same connection in the same room is there once."""
    registry = Registry()
    registry.join("r", ANNA, "Anna", True, 1.0)
    assert registry.join("r", ANNA, "Other", False, 2.0) == Change(False, False, False, 1)
    member = registry.member("r", "anna")
    assert member is not None
    assert member.sids == ("s1",)


def test_the_member_goes_with_its_last_connection() -> None:
    """And the room with its last member."""
    registry = Registry()
    registry.join("r", ANNA, "Anna", True, 1.0)
    registry.join("r", ANNA2, "Anna", True, 1.0)
    registry.join("r", BEN, "Ben", True, 1.0)
    assert registry.leave("r", ANNA) == Change(True, False, False, 2)
    assert registry.leave("r", ANNA2) == Change(True, True, False, 1)
    assert registry.leave("r", BEN) == Change(True, True, True, 0)
    assert list(registry) == []


def test_leaving_where_one_is_not() -> None:
    """Nothing happens, for a room that is not there, a member that is not, or another's connection."""
    registry = Registry()
    assert registry.leave("r", ANNA) == Change(False, False, False, 0)
    registry.join("r", ANNA, "Anna", True, 1.0)
    assert registry.leave("r", ANNA2) == Change(False, False, False, 1)
    assert registry.leave("r", BEN) == Change(False, False, False, 1)
    assert len(registry) == 1


def test_asking_for_what_is_not_there() -> None:
    """An unknown room is empty, and asking does not create it."""
    registry = Registry()
    assert registry.count("r") == 0
    assert registry.members("r") == []
    assert registry.member("r", "anna") is None
    assert len(registry) == 0


def test_members_are_listed_as_they_came() -> None:
    """Order is of arrival; who comes back comes last; the list is the caller's own."""
    registry = Registry()
    for client in (BEN, ANNA):
        registry.join("r", client, client.client_id, True, 1.0)
    registry.leave("r", BEN)
    registry.join("r", BEN, "ben", True, 2.0)
    listed = registry.members("r")
    assert [member.client_id for member in listed] == ["anna", "ben"]
    listed.clear()
    assert registry.count("r") == 2


CLIENTS = st.builds(lambda number: Client(f"s{number}", f"c{number % 3}"), st.integers(0, 6))
ROOMS = st.sampled_from(["a", "b", "c"])


class RegistryModel(RuleBasedStateMachine):
    """Any order of joins and leaves, held against a set of (room, client_id, sid)."""

    def __init__(self) -> None:
        super().__init__()
        self.registry = Registry()
        self.facts: set[tuple[str, str, str]] = set()
        self.now = 0.0

    def _members(self, room: str) -> set[str]:
        return {client_id for where, client_id, _ in self.facts if where == room}

    @rule(room=ROOMS, client=CLIENTS)
    def join(self, room: str, client: Client) -> None:
        """A join tells exactly what it changed."""
        self.now += 1
        before = self._members(room)
        happened = (room, client.client_id, client.sid) not in self.facts
        self.facts.add((room, client.client_id, client.sid))
        change = self.registry.join(room, client, client.client_id, True, self.now)
        assert change == Change(
            happened, client.client_id not in before, not before, len(self._members(room))
        )

    @rule(room=ROOMS, client=CLIENTS)
    def leave(self, room: str, client: Client) -> None:
        """A leave tells exactly what it changed."""
        happened = (room, client.client_id, client.sid) in self.facts
        self.facts.discard((room, client.client_id, client.sid))
        after = self._members(room)
        change = self.registry.leave(room, client)
        gone = happened and client.client_id not in after
        assert change == Change(happened, gone, gone and not after, len(after))

    @rule(client=CLIENTS)
    def disconnect(self, client: Client) -> None:
        """A connection that goes leaves each of its rooms."""
        for room in [where for where, _, sid in self.facts if sid == client.sid]:
            self.leave(room, client)

    @invariant()
    def the_same_members(self) -> None:
        """Rooms, members, counts and connections are those of the facts; nothing is left of the others."""
        assert set(self.registry) == {room for room, _, _ in self.facts}
        for room in ("a", "b", "c"):
            listed = self.registry.members(room)
            assert {member.client_id for member in listed} == self._members(room)
            assert self.registry.count(room) == len(listed)
            assert [m.joined_at for m in listed] == sorted(m.joined_at for m in listed)
            for member in listed:
                assert self.registry.member(room, member.client_id) is member
                sids = {sid for where, who, sid in self.facts if (where, who) == (room, member.client_id)}
                assert set(member.sids) == sids
                assert len(member.sids) == len(sids)


TestRegistryModel = RegistryModel.TestCase
TestRegistryModel.settings = settings(max_examples=60, stateful_step_count=30)
