"""How the tables of an older version become those of this one.

Step *n* brings version *n* to *n* + 1. A new database gets the tables as they are now, and the newest version.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection, Table, insert, inspect, literal_column, select, update

from rtserver.store.tables import lives, metadata, notifications, releases, revocations, schema


def _notifications(connection: Connection) -> None:
    """Version 1 had no inboxes."""
    notifications.create(connection)


def _revocations(connection: Connection) -> None:
    """Version 2 forgot revocations."""
    revocations.create(connection)


def _releases(connection: Connection) -> None:
    """Up to version 3 every command ended a target's pause."""
    releases.create(connection)


def _shared(connection: Connection) -> None:
    """Up to version 4 one machine had the database for itself."""
    _rebuild(connection, lives)
    _rebuild(connection, revocations)


def _rebuild(connection: Connection, table: Table) -> None:
    """Make a small table anew, with what is in it: added columns would make it another than a new one."""
    rows = [
        dict(row) for row in connection.execute(select(literal_column("*")).select_from(table)).mappings()
    ]
    table.drop(connection)
    table.create(connection)
    if rows:
        connection.execute(insert(table), rows)


STEPS: tuple[Callable[[Connection], None], ...] = (_notifications, _revocations, _releases, _shared)
NEWEST = 1 + len(STEPS)


class TooNew(Exception):
    """The database was written by a newer version."""


def migrate(connection: Connection) -> None:
    """Make the tables, or bring them up to date; raise `TooNew` when they are from the future."""
    if not inspect(connection).has_table(schema.name):
        metadata.create_all(connection)
        connection.execute(insert(schema).values(version=NEWEST))
        return
    version = connection.execute(select(schema.c.version)).scalar_one()
    if version > NEWEST:
        raise TooNew(f"it has version {version} of the tables, this rtserver knows {NEWEST}")
    for step in STEPS[version - 1 :]:
        step(connection)
    connection.execute(update(schema).values(version=NEWEST))
