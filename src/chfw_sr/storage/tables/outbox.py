"""What is to be published, and in which lanes it travels."""

from sqlalchemy import (
    Column,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)

from chfw_sr.storage.columns import DETAIL, KEY, SERIAL, Instant

from .base import metadata

lanes = Table(
    "lanes",
    metadata,
    Column("lane", KEY, nullable=False),
    Column("token", KEY),
    Column("leased_until", Instant),
    Column("served_at", Instant),
    PrimaryKeyConstraint("lane", name="pk_lanes"),
)
"""Every lane that ever had a message; a lane that is leased belongs to one relay."""

outbox = Table(
    "outbox",
    metadata,
    Column("id", SERIAL, nullable=False, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("recipient", Text, nullable=False),
    Column("message_id", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("octets", LargeBinary, nullable=False),
    Column("correlation_id", Text),
    Column("headers", DETAIL, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("status", Text, nullable=False),
    Column("token", Text),
    Column("leased_until", Instant),
    Column("attempts", Integer, nullable=False),
    Column("published_at", Instant),
    Column("lane", KEY, nullable=False, server_default=""),
    PrimaryKeyConstraint("id", name="pk_outbox"),
    # The relay's claims: what is not finished, lane by lane.
    Index(
        "ix_outbox_lane",
        "lane",
        "id",
        sqlite_where=text("published_at IS NULL"),
        postgresql_where=text("published_at IS NULL"),
    ),
    # For people, and for how much waits.
    Index(
        "ix_outbox_unfinished",
        "id",
        sqlite_where=text("published_at IS NULL"),
        postgresql_where=text("published_at IS NULL"),
    ),
    # The purge: what is.
    Index(
        "ix_outbox_published_at",
        "published_at",
        sqlite_where=text("published_at IS NOT NULL"),
        postgresql_where=text("published_at IS NOT NULL"),
    ),
)
