"""Changes as SQL for PostgreSQL: one statement for all of them, and so one round trip, whose values are arrays.

The first part of every statement asks whether the life that writes goes on, and holds it so until the end: a node that
was taken for dead, whose deliveries and sessions are others' by now, writes nothing any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import orjson

from rtserver.store.base import Changes, Delivery, Outcome
from rtserver.store.texts import escaped


class Statement(NamedTuple):
    """SQL that returns 1 when the life goes on, and its values."""

    sql: str
    values: list[Any]


# A lock that goes with all but the end of the life (https://www.postgresql.org/docs/current/explicit-locking.html).
_OURS = "WITH ours AS MATERIALIZED (SELECT epoch FROM lives WHERE epoch = $1 FOR KEY SHARE)"
_ANSWER = "SELECT count(*) FROM ours"

_TYPES = {
    "position": "bigint",
    "body": "bytea",
    "life": "bigint",
    "created_at": "float8",
    "attempts": "int",
    "due_at": "float8",
}
_ARRAYS = ", ".join("{}::" + _TYPES.get(name, "text") + "[]" for name in Delivery._fields)
_DELIVERIES = (
    f"INSERT INTO deliveries ({', '.join(Delivery._fields)})"  # noqa: S608  # our own names
    f" SELECT u.* FROM unnest({_ARRAYS}) u, ours ON CONFLICT DO NOTHING"
)
_BATCHES = (
    "INSERT INTO batches (id, target, members, life)"
    " SELECT u.*, ours.epoch FROM unnest({}::text[], {}::text[], {}::text[]) u, ours ON CONFLICT DO NOTHING"
)
# Not what a command has dropped, finished or given a fresh start meanwhile.
_OUTCOMES = (
    "UPDATE deliveries d SET state = u.state, attempts = u.attempts, due_at = u.due_at, error = u.error,"
    " finished_at = u.finished_at FROM unnest({}::bigint[], {}::int[], {}::text[], {}::int[], {}::float8[],"
    " {}::text[], {}::float8[]) u (position, before, state, attempts, due_at, error, finished_at), ours"
    " WHERE d.position = u.position AND d.state = 'pending' AND d.attempts = u.before"
)
_END_BATCHES = "DELETE FROM batches b USING unnest({}::text[]) u (id), ours WHERE b.id = u.id"
_OPEN = (
    "INSERT INTO sessions (id, life, about)"
    " SELECT u.* FROM unnest({}::text[], {}::bigint[], {}::bytea[]) u, ours ON CONFLICT DO NOTHING"
)
_CLOSE = "DELETE FROM sessions s USING unnest({}::text[]) u (id), ours WHERE s.id = u.id"
_ENTER = (
    "INSERT INTO session_rooms (session, room)"
    " SELECT u.* FROM unnest({}::text[], {}::text[]) u, ours ON CONFLICT DO NOTHING"
)
_LEAVE = (
    "DELETE FROM session_rooms r USING unnest({}::text[], {}::text[]) u (session, room), ours"
    " WHERE r.session = u.session AND r.room = u.room"
)
_EMPTY = "DELETE FROM session_rooms r USING unnest({}::text[]) u (id), ours WHERE r.session = u.id"

Part = tuple[str, Sequence[Sequence[Any]]]


def statements(changes: Changes, life: int) -> list[Statement]:
    """Return what writes all of *changes* when run in one transaction; there is one statement, but for rare cases."""
    first, *more = list(_rounds(changes.outcomes)) or [[]]
    found = [_statement([*_parts(changes), (_OUTCOMES, _columns(first, 7))], life)]
    found += [_statement([(_OUTCOMES, _columns(outcomes, 7))], life) for outcomes in more]
    return found


def _statement(parts: Iterable[Part], life: int) -> Statement:
    steps, values = [_OURS], [life]
    for number, (sql, columns) in enumerate(parts):
        if not columns or not columns[0]:
            continue
        names = [f"${len(values) + place + 1}" for place in range(len(columns))]
        steps.append(f"step{number} AS ({sql.format(*names)})")
        values.extend(columns)  # type: ignore[arg-type]
    return Statement(f"{', '.join(steps)} {_ANSWER}", values)


def _parts(changes: Changes) -> Iterator[Part]:
    # All parts see what was there before: what comes and goes within one transaction never comes.
    closed = set(changes.closed)
    yield (
        _DELIVERIES,
        _columns([_delivery(delivery) for delivery in changes.deliveries], len(Delivery._fields)),
    )
    yield (
        _BATCHES,
        _columns([(b.id, b.target, " ".join(map(str, b.positions))) for b in changes.batches], 3),
    )
    yield _END_BATCHES, [[o.batch for o in changes.outcomes if o.batch is not None and o.state != "pending"]]
    opened = [(s.id, s.life, orjson.dumps(s.about)) for s in changes.opened if s.id not in closed]
    yield _OPEN, _columns(opened, 3)
    entered = [
        (place.session, escaped(place.room)) for place in changes.entered if place.session not in closed
    ]
    yield _ENTER, _columns(entered, 2)
    yield _LEAVE, _columns([(place.session, escaped(place.room)) for place in changes.left], 2)
    yield _CLOSE, [changes.closed]
    yield _EMPTY, [changes.closed]


def _delivery(one: Delivery) -> tuple[Any, ...]:
    return one._replace(
        event_id=escaped(one.event_id),
        room=escaped(one.room),
        client=escaped(one.client),
        error=escaped(one.error),
    )


def _rounds(outcomes: Iterable[Outcome]) -> Iterator[list[tuple[Any, ...]]]:
    """Yield outcomes such that none of a round changes what another one does: one statement changes a row once."""
    rest = list(outcomes)
    while rest:
        seen: set[int] = set()
        rows: list[tuple[Any, ...]] = []
        later: list[Outcome] = []
        for outcome in rest:
            if seen.isdisjoint(outcome.positions):
                rows.extend(_outcome(outcome))
            else:
                later.append(outcome)
            seen.update(outcome.positions)
        yield rows
        rest = later


def _outcome(one: Outcome) -> Iterator[tuple[Any, ...]]:
    finished_at = one.at if one.state != "pending" else None
    what = (one.state, one.attempts, one.due_at, escaped(one.error), finished_at)
    for position, before in zip(one.positions, one.before, strict=True):
        yield (position, before, *what)


def _columns(rows: Sequence[Sequence[Any]], width: int) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[]] * width
