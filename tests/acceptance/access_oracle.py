"""Who may do what, written down from CONTRACT sections 3, 4 and 10, without a look at the server's code."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from .harness.shapes import SECRET, token

MODES = ("none", "optional", "required")
JOIN = ("anyone", "authenticated", "claim", "nobody")
PUBLISH = ("anyone", "authenticated", "members", "claim", "nobody")
OTHER_SECRET = "another-secret-of-more-than-thirty-two-bytes-in-all-and-then-some"


class Token(NamedTuple):
    """A state that a token can be in: what is sent, and what a server that looks at tokens makes of it."""

    make: Callable[[], Any]
    verdict: str = "unauthorized"
    rooms: tuple[str, ...] = ()
    publish: tuple[str, ...] = ()


def unsigned() -> str:
    """A token by nobody."""
    head, body = ({"alg": "none"}, {"sub": "ada", "exp": time.time() + 60})
    return (
        ".".join(
            base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (head, body)
        )
        + "."
    )


TOKENS: dict[str, Token] = {
    "absent": Token(lambda: None, "absent"),
    "empty": Token(lambda: "", "absent"),
    "plain": Token(lambda: token("ada"), "good"),
    "claims": Token(
        lambda: token("ada", rooms=["*-mine"], publish=["*-mine"]), "good", rooms=("mine",), publish=("mine",)
    ),
    "reader": Token(lambda: token("ada", rooms=["*-mine"]), "good", rooms=("mine",)),
    "writer": Token(lambda: token("ada", publish=["*-mine"]), "good", publish=("mine",)),
    "expired": Token(lambda: token("ada", ttl=-60), "token_expired"),
    "not yet": Token(lambda: token("ada", nbf=int(time.time()) + 600)),
    "forged": Token(lambda: token("ada", secret=OTHER_SECRET)),
    "unsigned": Token(unsigned),
    "other algorithm": Token(lambda: token("ada", algorithm="HS512")),
    "for others": Token(lambda: token("ada", aud="somebody")),
    "a guest's": Token(lambda: token("guest:ada")),
    "nobody's": Token(lambda: token(None)),
    "claims of no kind": Token(lambda: token("ada", rooms="*")),
    "garbage": Token(lambda: "garbage"),
    "number": Token(lambda: 42),
}


class Who(NamedTuple):
    """Who a client is, once it is in."""

    verified: bool
    rooms: tuple[str, ...] = ()
    publish: tuple[str, ...] = ()


def admitted(mode: str, state: Token) -> Who | str:
    """Who gets in with that token, or the reason why it does not."""
    if mode == "none":
        return Who(verified=False)
    if state.verdict == "absent":
        return Who(verified=False) if mode == "optional" else "unauthorized"
    if state.verdict == "good":
        return Who(True, state.rooms, state.publish)
    return state.verdict


class Room(NamedTuple):
    """A room with its policy; *kind* is what claims name."""

    join: str
    publish: str
    presence: bool
    kind: str

    @property
    def name(self) -> str:
        """Its name tells its policy."""
        return f"{self.join}-{self.publish}-{'seen' if self.presence else 'hidden'}-{self.kind}"

    @property
    def policy(self) -> dict[str, Any]:
        """The policy of rooms of this name."""
        pattern = self.name.rpartition("-")[0] + "-*"
        return {"match": pattern, "join": self.join, "publish": self.publish, "presence": self.presence}


ROOMS = [
    Room(join, publish, presence, kind)
    for join in JOIN
    for publish in PUBLISH
    for presence in (True, False)
    for kind in ("mine", "other")
]
POLICIES = list({room.policy["match"]: room.policy for room in ROOMS}.values())


def passes(rule: str, who: Who, claimed: tuple[str, ...], room: Room) -> bool:
    """Whether a rule lets somebody pass."""
    return {
        "anyone": True,
        "authenticated": who.verified,
        "claim": room.kind in claimed,
        "nobody": False,
    }[rule]


def steps(who: Who, room: Room) -> Iterator[tuple[str, dict[str, Any], str]]:
    """What to ask, one after the other, and how each is answered: ``ok`` or the reason of the refusal."""
    may_join = passes(room.join, who, who.rooms, room)
    for inside in (False, True):
        if inside:
            yield "join", {}, "ok" if may_join else "forbidden"
        member = inside and may_join
        if room.publish == "members":
            publish = "ok" if member else "not_a_member"
        else:
            publish = "ok" if passes(room.publish, who, who.publish, room) else "forbidden"
        yield "chat", {"message": "x"}, publish
        yield "broadcast", {"message": "x"}, publish
        yield "typing", {"is_typing": True}, "ok" if member else "not_a_member"
        yield "history", {}, "ok" if may_join else "forbidden"
        yield "presence", {}, "ok" if may_join and room.presence else "forbidden"
    yield "leave", {}, "ok" if may_join else "not_a_member"
    yield "leave", {}, "not_a_member"


RESERVED = ("user:ada", "topic:news", "sid:x", "user:")


def reserved_steps() -> Iterator[tuple[str, dict[str, Any], str]]:
    """Rooms of the server's own are closed to everybody."""
    yield "join", {}, "forbidden"
    yield "chat", {"message": "x"}, "forbidden"
    yield "broadcast", {"message": "x"}, "forbidden"
    yield "history", {}, "forbidden"
    yield "presence", {}, "forbidden"
    yield "typing", {"is_typing": True}, "not_a_member"
    yield "leave", {}, "not_a_member"


def config(mode: str) -> dict[str, Any]:
    """The server of a mode."""
    jwt = {"jwt": {"secret": SECRET, "algorithms": ["HS256"]}} if mode != "none" else {}
    return {
        "auth": {"mode": mode, **jwt},
        "rooms": [*POLICIES, {"match": "*"}],
        "limits": {"rooms_per_client": 1000},
        "announce": {"connections": True},
    }
