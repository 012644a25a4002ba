"""Changes as SQL for SQLite: few statements of many rows, since each costs the interpreter's lock twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, TypeVar

import orjson
from sqlalchemy import Table, bindparam, insert
from sqlalchemy.dialects import sqlite

from rtserver.store.base import Changes, Delivery, Outcome
from rtserver.store.sqlite.writer import Statement
from rtserver.store.tables import batches, deliveries, session_rooms, sessions

_T = TypeVar("_T")

# How many rows go into one INSERT; SQLite takes 32 766 values.
_RUNS = (64, 8, 1)

_dialect = sqlite.dialect(paramstyle="qmark")


def _inserting(table: Table, *columns: str) -> str:
    row = insert(table).values({name: bindparam(name) for name in columns}).prefix_with("OR IGNORE")
    return str(row.compile(dialect=_dialect))


_ADD_DELIVERY = _inserting(deliveries, *Delivery._fields)
_ADD_BATCH = _inserting(batches, "id", "target", "life", "members")
_OPEN = _inserting(sessions, "id", "life", "about")
_ENTER = _inserting(session_rooms, "session", "room")
_LEAVE = "DELETE FROM session_rooms WHERE session=? AND room=?"
_DROP_BATCHES = "DELETE FROM batches WHERE id IN "
_CLOSE = "DELETE FROM sessions WHERE id IN "
_EMPTY = "DELETE FROM session_rooms WHERE session IN "
# Not what a command has dropped, finished or given a fresh start meanwhile.
_RECORD = (
    "UPDATE deliveries SET state=?, attempts=?, due_at=?, error=?, finished_at=?"
    " WHERE state='pending' AND attempts=? AND position IN "
)


def statements(changes: Changes, life: int) -> Iterator[Statement]:
    """Yield what writes all of *changes*, by the life with that epoch; the same again changes nothing."""
    yield from _rows(_ADD_DELIVERY, changes.deliveries)
    yield from _rows(
        _ADD_BATCH, [(b.id, b.target, life, " ".join(map(str, b.positions))) for b in changes.batches]
    )
    for outcome in changes.outcomes:
        yield from _recording(outcome)
    yield from _among(
        _DROP_BATCHES, [o.batch for o in changes.outcomes if o.batch is not None and o.state != "pending"]
    )
    yield from _rows(_OPEN, [(s.id, s.life, orjson.dumps(s.about)) for s in changes.opened])
    yield from _rows(_ENTER, changes.entered)
    for left in changes.left:
        yield _LEAVE, tuple(left)
    yield from _among(_CLOSE, changes.closed)
    yield from _among(_EMPTY, changes.closed)


def _recording(outcome: Outcome) -> Iterator[Statement]:
    finished_at = outcome.at if outcome.state != "pending" else None
    what = (outcome.state, outcome.attempts, outcome.due_at, outcome.error, finished_at)
    known: dict[int, list[int]] = {}
    for position, before in zip(outcome.positions, outcome.before, strict=True):
        known.setdefault(before, []).append(position)
    for before, positions in known.items():
        yield from _among(_RECORD, positions, (*what, before))


def _rows(sql: str, rows: Sequence[tuple[Any, ...]]) -> Iterator[Statement]:
    """Yield an INSERT of one row as few INSERTs of many: each statement costs the interpreter's lock twice."""
    for chunk in _chunks(rows):
        yield _repeated(sql, len(chunk)), tuple(chain.from_iterable(chunk))


def _among(sql: str, values: Sequence[Any], first: tuple[Any, ...] = ()) -> Iterator[Statement]:
    for chunk in _chunks(values):
        yield f"{sql}({', '.join('?' * len(chunk))})", (*first, *chunk)


def _chunks(values: Sequence[_T]) -> Iterator[Sequence[_T]]:
    """Yield runs of a few lengths, so that the statements stay few enough to be prepared once."""
    start = 0
    for size in _RUNS:
        while len(values) - start >= size:
            yield values[start : start + size]
            start += size


@lru_cache(maxsize=64)
def _repeated(sql: str, times: int) -> str:
    _, _, row = sql.partition(" VALUES ")
    return sql + f", {row}" * (times - 1)
