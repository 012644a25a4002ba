"""The command with which backends publish, on a real node with webhooks and a store in memory."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rtserver.protocol.errors import RtError
from rtserver.protocol.messages import parse
from rtserver.protocol.publish import Publish
from rtserver.publishing import Publishing
from rtserver.webhooks.journal import Receipt
from tests.unit.handlers.table import Table
from tests.unit.node.stand_ins import done, heard


@pytest.fixture
def table() -> Table:
    """A server where a message may have 100 bytes."""
    return Table({"limits": {"rate": None, "message_size": 100}})


@pytest.fixture
def publishing(table: Table) -> Publishing:
    """Its command."""
    return Publishing(table.node, 100)


def ask(publishing: Publishing, **fields: Any) -> dict[str, Any]:
    """What a publication is answered."""
    return done(publishing.publish(parse(Publish, fields)))


class TestTargets:
    """Whom it reaches."""

    def test_a_room(self, table: Table, publishing: Publishing):
        """Who is in the room gets the contract's object, by nobody and called SYSTEM, with the offset of the answer."""
        ann, bob = table.person("ann", "lobby"), table.person("bob")
        heard(ann)
        answer = ask(publishing, room="lobby", message="hi", data={"n": 1})
        assert answer["recipients"] == 1
        [[event, payload]] = heard(ann)
        assert event == "broadcast"
        assert payload == {
            "id": answer["id"],
            "room": "lobby",
            "sender": None,
            "username": "SYSTEM",
            "message": "hi",
            "data": {"n": 1},
            "timestamp": payload["timestamp"],
            "offset": answer["offset"],
        }
        assert heard(bob) == []

    def test_all(self, table: Table, publishing: Publishing):
        """Every client gets it, but for the sids in `except`."""
        ann, bob = table.person("ann"), table.person("bob")
        heard(ann), heard(bob)
        answer = ask(publishing, all=True, event="task_update", data=[1], **{"except": [bob.sid]})
        assert answer["recipients"] == 1
        assert heard(ann) == [["task_update", [1]]]
        assert heard(bob) == []

    def test_a_user(self, table: Table, publishing: Publishing):
        """Every connection of the user gets it, `except` apart; offsets rise by one for each user."""
        tabs = [table.person("ann") for _ in range(2)]
        for tab in tabs:
            heard(tab)
        answers = [ask(publishing, user="ann", event="job", data=n) for n in range(2)]
        assert [answer["recipients"] for answer in answers] == [2, 2]
        assert answers[1]["offset"] == answers[0]["offset"] + 1
        assert ask(publishing, user="bob", event="job", data=0)["offset"] == answers[0]["offset"]
        for tab in tabs:
            assert heard(tab) == [["job", 0], ["job", 1]]
        answer = ask(publishing, user="ann", message="psst", **{"except": [tabs[0].sid]})
        assert answer["recipients"] == 1
        [[event, payload]] = heard(tabs[1])
        assert (event, payload["room"], payload["offset"]) == ("broadcast", None, answer["offset"])
        assert heard(tabs[0]) == []

    def test_a_sid(self, table: Table, publishing: Publishing):
        """One connection gets it, and not the others of the same user."""
        one, other = table.person("ann"), table.person("ann")
        heard(one)
        assert ask(publishing, sid=one.sid, event="job", message="x")["recipients"] == 1
        assert heard(one) == [["job", "x"]]
        assert heard(other) == []

    def test_an_unknown_sid(self, publishing: Publishing):
        """There is no such connection, and that is told."""
        with pytest.raises(RtError) as caught:
            ask(publishing, sid="nobody", message="x")
        assert caught.value.reason.reason == "not_found"

    @pytest.mark.parametrize("target", [{"room": "empty"}, {"user": "nobody"}, {"all": True}])
    def test_nobody_there(self, publishing: Publishing, target: dict[str, Any]):
        """Nobody hears it, and that is no error."""
        answer = ask(publishing, message="x", **target)
        assert answer["recipients"] == 0

    async def test_one_that_is_away(self, table: Table, publishing: Publishing):
        """A connection that was cut a moment ago counts, by its sid and by its user."""
        ann = table.person("ann")
        ann.format = type("Recovering", (), {"offsets": True, "event": ann.format.event})()
        await table.node.lose(ann, "transport close")
        for target in ({"sid": ann.sid}, {"user": "ann"}):
            answer = await publishing.publish(parse(Publish, {"message": "x", **target}))
            assert answer["recipients"] == 1
        table.node.close()

    def test_history(self, table: Table, publishing: Publishing):
        """What went to a room is in its history; what went to a user is in nobody's."""
        ask(publishing, room="lobby", event="task_update", data={"n": 1})
        ask(publishing, user="ann", message="x")
        ask(publishing, room="lobby", message="y")
        page = done(table.node.latest("lobby", 10))
        assert [one.event for one in page.publications] == ["task_update", "broadcast"]
        assert done(table.node.latest(None, 10)).publications == []


class TestLimits:
    """What is refused."""

    def test_message_size(self, publishing: Publishing):
        """Message and data are bounded as for clients."""
        with pytest.raises(RtError) as caught:
            ask(publishing, room="lobby", message="x" * 101)
        assert caught.value.reason.reason == "message_too_large"

    def test_data_that_json_cannot_hold(self, publishing: Publishing):
        """What cannot be written is refused before anybody gets it, and the stream goes on without a gap."""
        first = ask(publishing, room="lobby", message="x")
        with pytest.raises(RtError) as caught:
            ask(publishing, room="lobby", data=object())
        assert caught.value.reason.reason == "bad_request"
        assert ask(publishing, room="lobby", message="x")["offset"] == first["offset"] + 1


class TestBatch:
    """Many at once."""

    def test_in_order(self, table: Table, publishing: Publishing):
        """Results come in order, an item's error is that item's, and the others are delivered."""
        ann = table.person("ann", "lobby")
        heard(ann)
        results = done(
            publishing.batch(
                [
                    {"room": "lobby", "event": "n", "data": 0},
                    {"room": "lobby", "event": "connect", "data": 1},
                    "no object",
                    {"sid": "nobody", "message": "x"},
                    {"room": "lobby", "event": "n", "data": 2},
                ]
            )
        )
        reasons = [result.get("error", {}).get("reason") for result in results]
        assert reasons == [None, "bad_request", "bad_request", "not_found", None]
        assert results[4]["offset"] == results[0]["offset"] + 1
        assert heard(ann) == [["n", 0], ["n", 2]]

    def test_too_many(self, publishing: Publishing):
        """More than 1000 are refused as a whole."""
        with pytest.raises(RtError, match="1001"):
            done(publishing.batch([{}] * 1001))

    async def test_others_get_their_turn(self, publishing: Publishing):
        """A long batch lets others run in between, and keeps its order all the same."""
        turns = 0

        async def others() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        task = asyncio.ensure_future(others())
        items = [{"room": "lobby", "message": str(number)} for number in range(1000)]
        results = await publishing.batch(items)
        task.cancel()
        assert turns >= 2
        offsets = [result["offset"] for result in results]
        assert offsets == list(range(offsets[0], offsets[0] + 1000))


class TestIdempotency:
    """The same key."""

    def test_once(self, table: Table, publishing: Publishing):
        """It is delivered once and answered the same, from single requests and batches alike."""
        ann = table.person("ann", "lobby")
        heard(ann)
        fields = {"room": "lobby", "message": "x", "idempotency_key": "k"}
        first = ask(publishing, **fields)
        assert ask(publishing, **fields) == first
        assert done(publishing.batch([fields, fields])) == [first, first]
        assert len(heard(ann)) == 1

    def test_what_was_refused_is_not_remembered(self, table: Table, publishing: Publishing):
        """A request that failed may be tried again under its key."""
        fields = {"message": "x", "idempotency_key": "k"}
        with pytest.raises(RtError):
            ask(publishing, sid="nobody", **fields)
        assert ask(publishing, room="lobby", **fields)["recipients"] == 0


class TestReceipts:
    """Webhooks that are to tell of it."""

    @pytest.fixture
    def receipts(self, publishing: Publishing, monkeypatch: pytest.MonkeyPatch) -> list[Receipt]:
        """What the reporter gave out."""
        given: list[Receipt] = []

        def said(event: str, payload: dict[str, Any]) -> Receipt:
            given.append(Receipt())
            return given[-1]

        monkeypatch.setattr(publishing._node._reporter, "said", said)
        return given

    async def test_waits_for_the_commit(self, publishing: Publishing, receipts: list[Receipt]):
        """The answer to a chat or broadcast is given once the outbox has it."""
        asking = asyncio.ensure_future(publishing.publish(parse(Publish, {"room": "lobby", "message": "x"})))
        await asyncio.sleep(0)
        assert not asking.done()
        receipts[0].settle(committed=True)
        assert (await asking)["recipients"] == 0

    async def test_not_recorded(self, publishing: Publishing, receipts: list[Receipt]):
        """When it cannot be recorded that is told; the same key does not deliver it again."""
        fields = {"room": "lobby", "message": "x", "idempotency_key": "k"}
        asking = asyncio.ensure_future(publishing.batch([fields, fields]))
        await asyncio.sleep(0)
        receipts[0].settle(committed=False)
        assert [result["error"]["reason"] for result in await asking] == ["server_error"] * 2
        with pytest.raises(RtError, match="was delivered"):
            await publishing.publish(parse(Publish, fields))
        assert len(receipts) == 1

    def test_what_no_webhook_tells_of(self, publishing: Publishing, receipts: list[Receipt]):
        """Other events, and what goes to one user or connection, fire no webhook."""
        ask(publishing, room="lobby", event="task_update", data=1)
        ask(publishing, user="ann", message="x")
        assert receipts == []
