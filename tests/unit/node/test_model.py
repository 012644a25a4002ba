"""Any order of coming, going, joining, leaving, blinking and being sent away, against a naive model."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, precondition, rule

from rtserver.client import Client
from tests.unit.node.stand_ins import Farewell, app, by_hand, done, heard, person

GRACE = 5.0
PEOPLE = st.sampled_from(["ann", "ben"])
ROOMS = st.sampled_from(["red", "blue"])


class Tab:
    """What the model knows of a connection: who, where, and whether it is there or its line was cut."""

    def __init__(self, client: Client, who: str) -> None:
        self.client = client
        self.who = who
        self.rooms: set[str] = set()
        self.live = True
        self.until: float | None = None
        self.cut = 0
        self.heir: Tab | None = None

    @property
    def last_heir(self) -> Tab | None:
        """The one that came after it, and after that one."""
        heir = self.heir
        while heir is not None and heir.heir is not None:
            heir = heir.heir
        return heir


class Model(RuleBasedStateMachine):
    """The node beside the model."""

    tabs = Bundle("tabs")

    def __init__(self) -> None:
        super().__init__()
        self.app = app(
            {
                "announce": {"connections": True, "welcome": False},
                "recovery": {"grace": GRACE},
                "rooms": [{"match": "*"}],
            }
        )
        self.node = self.app.node
        self.clock = by_hand(self.node)
        self.gateway = Farewell(self.node)
        self.here: list[Tab] = []
        self.cuts = 0
        self.expected: dict[str, list[Any]] = {}

    # What the model says.

    @property
    def live(self) -> list[Tab]:
        """Who is there."""
        return [tab for tab in self.here if tab.live]

    def members(self, room: str) -> list[str]:
        """Whose name a room shows."""
        return sorted({tab.who for tab in self.here if room in tab.rooms})

    def tell(self, event: str, body: dict[str, Any], to: list[Tab]) -> None:
        """Let them expect an event with these fields."""
        for tab in to:
            self.expected.setdefault(tab.client.sid, []).append((event, body))

    def announce(self, event: str, room: str, actor: Tab) -> None:
        """Let everybody else in the room expect it."""
        others = [tab for tab in self.live if room in tab.rooms and tab is not actor]
        body = {"room": room, "client_id": actor.who, "count": len(self.members(room))}
        self.tell(event, body, others)

    def quit(self, tab: Tab, room: str) -> None:
        """Leave a room; the others hear of it when it was the last connection."""
        tab.rooms.discard(room)
        if tab.who not in self.members(room):
            self.announce("user_left", room, tab)

    def depart(self, tab: Tab) -> None:
        """Be gone altogether."""
        for room in [room for room in tab.client.rooms or () if room in tab.rooms]:
            self.quit(tab, room)
        if tab.heir is None:
            body = {"client_id": tab.who, "total_connections": len(self.live)}
            self.tell("client_disconnected", body, self.live)
        self.here.remove(tab)

    def predecessors(self, tab: Tab) -> list[Tab]:
        """The former lives of a connection that are still held."""
        found = [held for held in self.here if not held.live and held.last_heir is tab]
        return sorted(found, key=lambda one: one.cut)

    def let_go(self, tab: Tab) -> None:
        """Be gone at once, with all former lives."""
        tab.live = False
        for held in self.predecessors(tab):
            self.depart(held)
        self.depart(tab)

    def pass_time(self, seconds: float) -> None:
        """Let those depart whose time is over."""
        now = self.clock.now + seconds
        held = [tab for tab in self.here if tab.until is not None and tab.until <= now]
        for tab in sorted(held, key=lambda one: one.cut):
            self.depart(tab)

    # What happens.

    @rule(target=tabs, who=PEOPLE)
    def connect(self, who: str) -> Tab:
        """Somebody comes, or comes back."""
        tab = Tab(person(self.node, who, gateway=self.gateway), who)
        lost = [held for held in self.here if held.who == who and not held.live and held.heir is None]
        lost.sort(key=lambda one: one.cut)
        self.here.append(tab)
        if lost:
            lost[0].heir = tab
        else:
            body = {"client_id": who, "total_connections": len(self.live)}
            self.tell("client_connected", body, self.live)
        done(self.node.connect(tab.client))
        return tab

    @rule(tab=tabs, room=ROOMS)
    def join(self, tab: Tab, room: str) -> None:
        """Somebody joins, perhaps again, perhaps too late."""
        if not tab.live:
            done(self.node.join(tab.client, room))
            if tab in self.here:
                self.held_join(tab, room)
            return
        new = tab.who not in self.members(room)
        tab.rooms.add(room)
        if new:
            self.announce("user_joined", room, tab)
        assert done(self.node.join(tab.client, room)) == len(self.members(room))

    def held_join(self, tab: Tab, room: str) -> None:
        """Whether code that comes late still lets a held client in is not ours to say; it must be one or the other."""
        if room in tab.rooms or room not in (tab.client.rooms or ()):
            return
        new = tab.who not in self.members(room)
        tab.rooms.add(room)
        if new:
            self.announce("user_joined", room, tab)

    @rule(tab=tabs, room=ROOMS)
    def leave(self, tab: Tab, room: str) -> None:
        """Somebody leaves a room, and with it what it left there before its line was cut."""
        if not tab.live or room not in tab.rooms:
            return
        done(self.node.leave(tab.client, room))
        for held in self.predecessors(tab):
            if room in held.rooms:
                held.rooms.discard(room)
        tab.rooms.discard(room)
        if tab.who not in self.members(room):
            self.announce("user_left", room, tab)

    @rule(tab=tabs)
    def cut(self, tab: Tab) -> None:
        """A line is cut, perhaps that of one who is gone already."""
        if tab.live:
            tab.live = False
            tab.until = self.clock.now + GRACE
            self.cuts += 1
            tab.cut = self.cuts
        done(self.node.lose(tab.client, "transport close"))

    @rule(target=tabs, tab=tabs, again=st.booleans())
    def blink(self, tab: Tab, again: bool) -> Tab:
        """A line is cut and there is another at once, which joins the same rooms again or does not."""
        rooms = sorted(tab.rooms) if again else []
        self.cut(tab)
        back = self.connect(tab.who)
        for room in rooms:
            self.join(back, room)
        return back

    @rule(tab=consumes(tabs))
    def goodbye(self, tab: Tab) -> None:
        """Somebody says goodbye, perhaps twice."""
        if tab.live:
            self.let_go(tab)
            done(self.node.part(tab.client, "client disconnect"))
        done(self.node.part(tab.client, "client disconnect"))

    @rule(who=PEOPLE)
    def send_away(self, who: str) -> None:
        """The server disconnects somebody, with all tabs and what they left behind."""
        tabs = [tab for tab in self.live if tab.who == who]
        for tab in tabs:
            self.let_go(tab)
        held = [tab for tab in self.here if tab.who == who]
        for tab in sorted(held, key=lambda one: one.cut):
            self.depart(tab)
        assert done(self.node.disconnect(who)) == len(tabs)

    @rule(seconds=st.sampled_from([1.0, 2.0, 4.0, 6.0]))
    def time_passes(self, seconds: float) -> None:
        """Those whose time of grace is over leave."""
        self.pass_time(seconds)
        self.clock.advance(seconds)

    @precondition(lambda self: self.live)
    @rule(room=ROOMS)
    def speak(self, room: str) -> None:
        """A message reaches exactly those who are in the room and there."""
        inside = [tab for tab in self.live if room in tab.rooms]
        published = done(self.node.publish(room, "news", data=room))
        assert published.recipients == len(inside)
        self.tell("news", {}, inside)

    # What must hold.

    @invariant()
    def announcements_are_exact(self) -> None:
        """Everybody heard exactly what the model says, in its order, and who is gone heard nothing."""
        for tab in self.here:
            found = heard(tab.client)
            told = self.expected.pop(tab.client.sid, [])
            assert [event for event, _ in found] == [event for event, _ in told]
            for (_, body), (_, expected) in zip(found, told, strict=True):
                assert {key: body[key] for key in expected} == expected
        self.expected.clear()

    @invariant()
    def state_is_true(self) -> None:
        """Presence, counts, connections and subscriptions are what the model says."""
        node = self.node
        assert node.connections == len(self.live)
        assert sorted(node.connected()) == sorted({tab.who for tab in self.live})
        for who in ("ann", "ben"):
            mine = sorted(tab.client.sid for tab in self.live if tab.who == who)
            assert sorted(client.sid for client in node.connections_of(who)) == mine
            assert node.is_connected(who) is bool(mine)
        for room in ("red", "blue"):
            members = node.members(room)
            assert sorted(member["client_id"] for member in members) == self.members(room)
            assert node.registry.count(room) == len(members)
            for member in members:
                there = [tab for tab in self.live if tab.who == member["client_id"] and room in tab.rooms]
                assert member["connections"] == (len(there) or 1)
            hearing = sorted(tab.client.sid for tab in self.live if room in tab.rooms)
            assert sorted(node._fanout.sids(room)) == hearing
        assert sorted(node._fanout.sids(None)) == sorted(tab.client.sid for tab in self.live)

    def teardown(self) -> None:
        """When everybody is gone and time has passed, nothing is left in any collection."""
        for tab in self.live:
            done(self.node.part(tab.client, "client disconnect"))
        self.clock.advance(GRACE + 1)
        node = self.node
        assert node._roster._by_sid == {}
        assert node._roster._by_id == {}
        assert len(node.registry) == 0
        assert node._holding._held == {}
        assert list(node._fanout.sids(None)) == []
        assert node._fanout._everybody == {}
        assert node._fanout._rooms == {}
        assert self.clock.handles == []


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
