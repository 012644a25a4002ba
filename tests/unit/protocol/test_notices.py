"""What may be said in a notification, and how it looks on the wire."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtserver.protocol.errors import RtError
from rtserver.protocol.messages import parse, parse_texts
from rtserver.protocol.notices import MarkRead, Notice, Notifications, as_sent, topic_stream

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)


def refused(model: Any, payload: Any) -> str:
    """The sentence with which it is refused."""
    with pytest.raises(RtError) as caught:
        parse(model, payload)
    assert caught.value.reason.reason == "bad_request"
    return caught.value.message


def test_what_a_notice_has():
    """Title and message are required, the type is ``info`` when none is given, and data may be left out."""
    notice = parse(Notice, {"title": "t", "message": ""})
    assert (notice.type, notice.written_data()) == ("info", None)
    assert parse(Notice, {"title": "t", "message": "", "data": None}).written_data() == b"null"
    assert "type" in refused(Notice, {"title": "t", "message": "", "type": "INFO"})
    assert "title" in refused(Notice, {"title": "\ud800", "message": ""})


@pytest.mark.parametrize(
    ("model", "payload", "sentence"),
    [
        (MarkRead, {"notification_ids": "a"}, "notification_ids: must be a list"),
        (MarkRead, {"notification_ids": ["a"] * 1001}, "notification_ids: must have at most 1000 entries"),
        (MarkRead, {"notification_ids": ["a" * 129]}, "notification_ids.0: must have at most 128 characters"),
        (MarkRead, {"notification_ids": [5]}, "notification_ids.0: must be a string"),
        (Notifications, {"limit": 0}, "limit: must be at least 1"),
        (Notifications, {"limit": 1001}, "limit: must be at most 1000"),
        (Notifications, {"before": "a" * 129}, "before: must have at most 128 characters"),
        (Notifications, {"unread": "yes"}, "unread: must be true or false"),
    ],
)
def test_sentences(model: Any, payload: Any, sentence: str):
    """A refusal says in plain words what was wrong with which field."""
    assert refused(model, payload) == sentence


def test_the_size_of_a_notice():
    """All that people and programs read counts, in bytes; exactly as much as is allowed is not too much."""
    notice = Notice(title="é", message="abc", data={"a": "é"})
    notice.check_size(2 + 3 + 10)
    with pytest.raises(RtError) as caught:
        notice.check_size(14)
    assert caught.value.reason.reason == "message_too_large"
    assert "15" in caught.value.message


def test_data_that_is_no_json():
    """Data that JSON cannot hold is ``bad_request``, not an error of ours."""
    with pytest.raises(RtError) as caught:
        Notice(title="t", message="m", data={"when": object()}).written_data()
    assert caught.value.reason.reason == "bad_request"


@given(ANYTHING)
def test_data_comes_back(data: Any):
    """What was given as data is what is sent, and its absence is not null."""
    try:
        written = Notice(title="t", message="m", data=data).written_data()
    except (RtError, ValueError):
        return  # half a surrogate pair is no text
    assert as_sent({"topic": "a"}, "1", "info", "t", "m", written, "now")["data"] == data
    assert "data" not in as_sent({"topic": "a"}, "1", "info", "t", "m", None, "now")


def test_both_names_of_the_kind():
    """The kind of a notification is its type and its level."""
    body = as_sent({"user": "ann"}, "1", "error", "t", "m", None, "now")
    assert body == {
        "id": "1",
        "user": "ann",
        "type": "error",
        "level": "error",
        "title": "t",
        "message": "m",
        "timestamp": "now",
    }


def test_topics_are_no_rooms():
    """The name under which a topic is heard begins as no room may."""
    assert topic_stream("a") == "topic:a"


def test_a_query_is_texts():
    """Numbers and booleans of a query are read from their texts; those of an event are not."""
    asked = parse_texts(Notifications, {"unread": "true", "limit": "5"})
    assert (asked.unread, asked.limit, asked.before) == (True, 5, None)
    assert "limit" in refused(Notifications, {"limit": "5"})
    with pytest.raises(RtError, match="unraed"):
        parse_texts(Notifications, {"unraed": "true"})


@pytest.mark.parametrize("ids", [None, "x", [1], [None], [["x"]], ["x" * 129], ["x"] * 1001])
def test_what_can_be_marked(ids: Any):
    """Identifiers are a list of short texts, a thousand at most."""
    assert "notification_ids" in refused(MarkRead, {"notification_ids": ids})
