"""The SQL of the outbox table, with the table's name quoted (pure)."""

from __future__ import annotations

from rtserver.config.values import table_name

_OID = "SELECT '{literal}'::regclass::oid::bigint"
# Reads nothing and changes nothing: it fails when a column or a privilege is missing.
_CHECK = """
WITH one AS (SELECT id, body FROM {table} WHERE error IS NULL AND false FOR UPDATE),
     two AS (UPDATE {table} SET error = '', failed_at = now() WHERE false),
     three AS (DELETE FROM {table} WHERE false)
SELECT count(*) FROM one
"""
_PAGE = """
SELECT id,
       octet_length(body::text) AS size,
       CASE WHEN octet_length(body::text) <= $1 THEN body::text END AS body
FROM {table} WHERE error IS NULL ORDER BY id LIMIT {limit} FOR UPDATE SKIP LOCKED
"""
_DELETE = "DELETE FROM {table} WHERE id = ANY($1::bigint[])"
_MARK = """
UPDATE {table} AS t SET error = bad.error, failed_at = now()
FROM unnest($1::bigint[], $2::text[]) AS bad (id, error) WHERE t.id = bad.id
"""


def quoted(table: str) -> str:
    """Return ``"schema"."table"`` for a name that the configuration takes."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in table_name(table))


class Statements:
    """What is asked of one table, at most *limit* rows at a time."""

    # One reader at a time, whichever node it is on: two at once would be out of order.
    turn = "SELECT pg_try_advisory_xact_lock($1::bigint)"

    def __init__(self, table: str, limit: int) -> None:
        name = quoted(table)
        self.oid = _OID.format(literal=name.replace("'", "''"))
        self.check = _CHECK.format(table=name)
        # $1: the most bytes of a body that are worth being read.
        self.page = _PAGE.format(table=name, limit=limit)
        self.delete = _DELETE.format(table=name)
        self.mark = _MARK.format(table=name)
