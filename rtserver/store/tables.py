"""The tables. The numbers of versions and how to get from one to the next are in migrations.py."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    text,
)

from rtserver.store.texts import AnyText

metadata = MetaData()

schema = Table("rtserver_schema", metadata, Column("version", Integer, nullable=False))

lives = Table(
    "lives",
    metadata,
    Column("epoch", BigInteger, primary_key=True, autoincrement=False),
    Column("slot", Integer, nullable=False),
    Column("node", Text, nullable=False),
    Column("seen_at", Float, nullable=False),
    # Where lives have leases (postgres/leases.py): until when, and since when it was always renewed in time.
    Column("expires_at", Float, nullable=False, server_default="0"),
    Column("in_touch_since", Float, nullable=False, server_default="0"),
)

# Who looks after the deliveries that a life wrote for a target: the life itself, or who took over when it was dead.
care = Table(
    "care",
    metadata,
    Column("life", BigInteger, primary_key=True, autoincrement=False),
    Column("target", Text, primary_key=True),
    Column("keeper", BigInteger, nullable=False),
)

deliveries = Table(
    "deliveries",
    metadata,
    # SQLite's own row number, which only an INTEGER can be: no second index.
    Column("position", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("event_id", AnyText, nullable=False),
    Column("target", AnyText, nullable=False),
    Column("type", Text, nullable=False),
    Column("room", AnyText),
    Column("client", AnyText),
    Column("body", LargeBinary, nullable=False),
    Column("life", BigInteger, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", Float, nullable=False),
    Column("error", AnyText),
    Column("finished_at", Float),
)
# As text: SQLite takes a partial index only where it sees the very words, not a bound value.
PENDING = text("deliveries.state = 'pending'")
FINISHED = text("deliveries.state <> 'pending'")
# A finished delivery leaves the first index for the second, so that both stay as short as what they are for. The life
# stands in the first so that counting needs nothing else.
Index(
    "deliveries_pending",
    deliveries.c.target,
    deliveries.c.position,
    deliveries.c.life,
    sqlite_where=text("state = 'pending'"),
    postgresql_where=text("state = 'pending'"),
)
Index(
    "deliveries_finished",
    deliveries.c.target,
    deliveries.c.state,
    deliveries.c.position,
    sqlite_where=text("state <> 'pending'"),
    postgresql_where=text("state <> 'pending'"),
)
# Ids rise with time, so this index grows at its end only.
Index("deliveries_event", deliveries.c.event_id)

batches = Table(
    "batches",
    metadata,
    Column("id", Text, primary_key=True),
    Column("target", Text, nullable=False),
    Column("life", BigInteger, nullable=False),
    # Positions, separated by spaces.
    Column("members", Text, nullable=False),
)

targets = Table(
    "targets",
    metadata,
    Column("name", Text, primary_key=True),
    Column("revision", Integer, nullable=False),
    Column("disabled", Text),
)

# How often commands wanted something delivered to a target. One that only forgets raises its revision alone.
releases = Table(
    "releases",
    metadata,
    Column("target", Text, primary_key=True),
    Column("number", Integer, nullable=False),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("life", BigInteger, nullable=False, index=True),
    Column("about", LargeBinary, nullable=False),
)

session_rooms = Table(
    "session_rooms",
    metadata,
    Column("session", Text, primary_key=True),
    Column("room", AnyText, primary_key=True),
)

notifications = Table(
    "notifications",
    metadata,
    Column("id", AnyText, primary_key=True),
    Column("user", AnyText, nullable=False),
    Column("type", AnyText, nullable=False),
    Column("title", AnyText, nullable=False),
    Column("message", AnyText, nullable=False),
    Column("data", LargeBinary),
    Column("created_at", Float, nullable=False),
    Column("read_at", Float),
)
Index("notifications_inbox", notifications.c.user, notifications.c.id)
# So that counting what is unread looks at nothing else.
_unread = notifications.c.read_at.is_(None)
Index(
    "notifications_unread",
    notifications.c.user,
    notifications.c.created_at,
    sqlite_where=_unread,
    postgresql_where=_unread,
)
Index("notifications_age", notifications.c.created_at)

# Empty text stands for "any": a key cannot be null.
revocations = Table(
    "revocations",
    metadata,
    Column("user", AnyText, primary_key=True),
    Column("jti", AnyText, primary_key=True),
    Column("issued_before", Float, nullable=False),
    Column("recorded_at", Float, nullable=False),
    # Rises with every rule that is kept: what came since is what has a higher one.
    Column("number", BigInteger, nullable=False, server_default="0", index=True),
)
